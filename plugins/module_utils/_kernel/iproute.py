# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""The kernel's network state, read and changed through iproute2.

The only file that runs ``ip`` and ``bridge``. Reading gives their JSON; changing takes lines of a
``-batch`` file, so that a thousand changes cost one process.
"""

from __future__ import annotations

import glob
import json
import re
import shutil
from collections.abc import Sequence
from typing import Any, Protocol

from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

OLDEST = (5, 0)
# Releases up to 5.4 carry a date in place of a number; this is the date of 5.0.
OLDEST_DATE = 190319
# Later directories win.
NAMES = ("/usr/share/iproute2", "/usr/lib/iproute2", "/etc/iproute2")
# What `ip` prints by name where no file says otherwise (linux/rtnetlink.h).
BUILT_IN = {
    "rt_protos": {
        "unspec": 0, "redirect": 1, "kernel": 2, "boot": 3, "static": 4, "gated": 8, "ra": 9, "mrt": 10,
        "zebra": 11, "bird": 12, "dnrouted": 13, "xorp": 14, "ntk": 15, "dhcp": 16, "mrouted": 17,
        "keepalived": 18, "babel": 42, "openr": 99, "bgp": 186, "isis": 187, "ospf": 188, "rip": 189, "eigrp": 192,
    },
    "rt_tables": {"unspec": 0, "default": 253, "main": 254, "local": 255},
}  # fmt: skip


class KernelError(TaskError):
    """The kernel refused; the message has the command and the kernel's own words."""


class BatchError(KernelError):
    """A line of a batch was refused.

    ``done`` lines before it were carried out (None: it is not known how many); ``words`` are the
    kernel's own.
    """

    def __init__(self, program: str, words: str, done: int | None) -> None:
        super().__init__(f"{program}: {words}")
        self.words = words
        self.done = done


class Run(Protocol):
    """AnsibleModule.run_command, or anything of the same form."""

    def __call__(self, args: list[str], *, data: str | None = None) -> tuple[int, str, str]: ...


class IpRoute:
    """Asks and changes the kernel of this network namespace."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def require(self) -> None:
        """Raise KernelError where iproute2 is missing or too old to tell all in JSON."""
        wanted = ".".join(str(part) for part in OLDEST)
        for program in ("ip", "bridge"):
            if shutil.which(program) is None:
                raise KernelError(f"iproute2 {wanted} or newer is needed: there is no program `{program}`")
        _code, out, _err = self.run(["ip", "-Version"])
        if not recent(out):
            raise KernelError(f"iproute2 {wanted} or newer is needed: this is {out.strip() or 'of an unknown version'}")

    def links(self, statistics: bool = False) -> list[dict[str, Any]]:
        """Links with their addresses, as ``ip -json -details address show`` gives them."""
        options = ["-statistics"] if statistics else []
        return self._json(["ip", *options, "-json", "-details", "address", "show"])

    def routes(self, table: str = "main", family: int = 4) -> list[dict[str, Any]]:
        """Routes of a table; ``all`` takes every table."""
        return self._json(["ip", f"-{family}", "-json", "-details", "route", "show", "table", table])

    def egress(self, address: str) -> dict[str, Any]:
        """The route that packets to an address take; empty where there is none."""
        code, out, _err = self.run(["ip", "-json", "route", "get", address])
        found = json.loads(out or "[]") if code == 0 else []
        return dict(found[0]) if found else {}

    def fdb(self, device: str = "") -> list[dict[str, Any]]:
        """Forwarding database of a device; of all devices, with their ``ifname``, where none is named."""
        return self._json(["bridge", "-json", "fdb", "show", *_of(device)])

    def neighbours(self, device: str = "") -> list[dict[str, Any]]:
        """Neighbours on a device, the permanent ones included; on all, with their ``dev``, where none is named."""
        return self._json(["ip", "-json", "neighbour", "show", *_of(device), "nud", "all"])

    def change(self, lines: Sequence[str], program: str = "ip", force: bool = False) -> None:
        """Carry out lines of a batch; stop at the first that fails, or with ``force`` after all. Raises BatchError."""
        if not lines:
            return
        options = ["-force"] if force else []
        code, out, err = self.run([program, *options, "-batch", "-"], data="\n".join(lines) + "\n")
        if code != 0:
            failed = re.search(r"Command failed -:(\d+)", err)
            words = re.sub(r"^Command failed -:\d+\n?", "", err or out, flags=re.MULTILINE).strip()
            raise BatchError(program, words or "it failed without a word", int(failed.group(1)) - 1 if failed else None)

    def _json(self, command: list[str]) -> list[dict[str, Any]]:
        code, out, err = self.run(command)
        if code != 0:
            raise KernelError(f"{' '.join(command)}: {err.strip()}")
        return [entry for entry in json.loads(out or "[]") if entry]


def _of(device: str) -> list[str]:
    return ["dev", device] if device else []


def recent(version: str) -> bool:
    """Whether the output of ``ip -Version`` is of a release that is new enough."""
    numbered = re.search(r"iproute2-(\d+)\.(\d+)", version)
    if numbered:
        return (int(numbered.group(1)), int(numbered.group(2))) >= OLDEST
    dated = re.search(r"iproute2-ss(\d{6})", version)
    return dated is not None and int(dated.group(1)) >= OLDEST_DATE


def numbers(kind: str, directories: Sequence[str] = NAMES) -> dict[str, str]:
    """Numbers by name of ``rt_protos`` or ``rt_tables``: `ip` prints the name where it knows one."""
    found = {name: str(number) for name, number in BUILT_IN[kind].items()}
    for directory in directories:
        for path in [f"{directory}/{kind}", *sorted(glob.glob(f"{directory}/{kind}.d/*.conf"))]:
            try:
                with open(path, encoding="utf-8") as stream:
                    lines = [line.split("#")[0].split() for line in stream]
            except OSError:
                continue
            found.update({words[1]: str(int(words[0], 0)) for words in lines if len(words) == 2})
    return found
