# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Settings that keep systemd-networkd and NetworkManager from the links and routes of pods.

systemd-networkd removes routes that are not its own from an interface that it configures, and either may take a new
link for one of its own. They read the settings when they start next. They are not restarted for it: that would apply
whatever else is pending in their configuration.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ansible_collections.binary_cluster.networking.plugins.module_utils._host.file_entry import Entry
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

Run = Callable[[Sequence[str]], "tuple[int, str, str]"]
PATTERN = re.compile(r"[A-Za-z0-9_.*?\[\]+-]+")
HEAD = "# Ansible managed\n"


def entries(run: Run, name: str, interfaces: Sequence[str]) -> list[Entry]:
    """Files for those of the two that run or are enabled; ``interfaces`` are names with shell patterns.

    Rules of routing policy are left to systemd-networkd: none of the networks has any. Raises TaskError where a name
    could not be written into the files.
    """
    for number, interface in enumerate(interfaces):
        if not PATTERN.fullmatch(interface):
            raise TaskError(
                f"{interface!r}: not the name of an interface, which may have the patterns *, ? and [0-9]",
                f"unmanaged[{number}]",
            )
    found = {}
    if interfaces and _there(run, "systemd-networkd"):
        # See networkd.conf(5) and systemd.network(5): of the files that match a link the first by name counts.
        found[f"/etc/systemd/networkd.conf.d/90-{name}.conf"] = "[Network]\nManageForeignRoutes=no\n"
        found[f"/etc/systemd/network/05-{name}.network"] = (
            f"[Match]\nName={' '.join(interfaces)}\n\n[Link]\nUnmanaged=yes\n"
        )
    if interfaces and _there(run, "NetworkManager"):
        # See NetworkManager.conf(5): a section of its own adds to what other files say.
        # It knows no [0-9]; the pattern ? is wider.
        names = [re.sub(r"\[[^]]*\]", "?", interface) for interface in interfaces]
        devices = ";".join(f"interface-name:{interface}" for interface in names)
        found[f"/etc/NetworkManager/conf.d/90-{name}.conf"] = f"[device-{name}]\nmatch-device={devices}\nmanaged=0\n"
    return [Entry(path, data=(HEAD + text).encode()) for path, text in found.items()]


def _there(run: Run, unit: str) -> bool:
    questions = ("is-active", "is-enabled")
    return any(run(["systemctl", question, "--quiet", f"{unit}.service"])[0] == 0 for question in questions)
