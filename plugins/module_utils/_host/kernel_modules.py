# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Modules that came into the kernel with what a role put on a host, and that leave it again with that."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger

Run = Callable[..., "tuple[int, str, str]"]
KIND = "modules"
# The link that the kernel makes when a module comes, and that goes with it.
LINKS = {"ipip": "tunl0"}
# Where a module is asked for at every boot (modules-load.d(5)).
ASKED_IN = (
    "/etc/modules",
    "/etc/modules-load.d/*.conf",
    "/run/modules-load.d/*.conf",
    "/usr/lib/modules-load.d/*.conf",
)


def note(ledger: Ledger, name: str) -> None:
    """Note a module that is not in the kernel yet, before it comes."""
    ledger.record(KIND, name, None)


def noted(ledger: Ledger) -> list[str]:
    """Modules that came with this owner."""
    return ledger.names(KIND)


def release(
    run: Run, ledger: Ledger, names: list[str], links: Iterable[Mapping[str, Any]], own: Collection[str] = ()
) -> None:
    """Take modules out of the kernel that came with this owner. One that is used or asked for by others stays.

    ``links`` are those of the host: a link ends without a word when the module of its kind goes. ``own`` are the
    names of this owner's.
    """
    used = {
        link.get("linkinfo", {}).get("info_kind")
        for link in links
        if link["ifname"] not in own and link["ifname"] not in LINKS.values()
    }
    for name in names:
        if name not in used and name not in asked_for():
            # The kernel refuses for one that another module needs. Not modprobe: it would take along what the
            # module needs, and with the module bridge every bridge of the host.
            run(["rmmod", name])
        ledger.forget(KIND, name)


def asked_for(patterns: tuple[str, ...] = ASKED_IN) -> set[str]:
    """Names of the modules that are asked for at every boot."""
    found: set[str] = set()
    for path in sorted(name for pattern in patterns for name in glob.glob(pattern)):
        with open(path, encoding="utf-8", errors="replace") as stream:
            # The kernel takes a dash for an underscore.
            found.update(line.strip().replace("-", "_") for line in stream if re.match(r"\s*[^#;\s]", line))
    return found
