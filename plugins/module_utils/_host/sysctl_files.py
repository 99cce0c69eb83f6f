# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""What the files of a host set sysctls to at its next boot."""

from __future__ import annotations

import os
from collections.abc import Sequence

# The first directory that has a name is the one it is read from (sysctl.d(5)).
DIRECTORIES = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d")
# Two names of one setting.
ALIASES = {"net.ipv4.conf.all.forwarding": "net.ipv4.ip_forward"}


def read_after(name: str, directories: Sequence[str] = DIRECTORIES) -> dict[str, list[str]]:
    """Settings of the files that are read after one: ``[file, value]`` by the setting, of its last file.

    Patterns such as ``net.ipv4.conf.*.rp_filter`` are left out: a setting of its own wins over them.
    """
    paths: dict[str, str] = {}
    for directory in reversed(directories):
        if os.path.isdir(directory):
            paths.update({one: os.path.join(directory, one) for one in os.listdir(directory) if one.endswith(".conf")})
    found: dict[str, list[str]] = {}
    for one in sorted(paths):
        if one <= name:
            continue
        try:
            with open(paths[one], encoding="utf-8", errors="replace") as stream:
                lines = stream.read().splitlines()
        except OSError:  # such as a link that leads nowhere
            continue
        for line in lines:
            key, equals, value = line.strip().removeprefix("-").partition("=")
            key = _dotted(key.strip())
            if equals and not key.startswith(("#", ";")) and not set("*?[") & set(key):
                # The file that is meant, where it is a link such as to /etc/sysctl.conf.
                found[ALIASES.get(key, key)] = [os.path.realpath(paths[one]), " ".join(value.split())]
    return found


def _dotted(key: str) -> str:
    """A name with dots, as roles have it: where its first separator is a slash, the two are swapped (sysctl.d(5))."""
    first = next((char for char in key if char in "./"), ".")
    return key if first == "." else key.translate(str.maketrans("./", "/."))
