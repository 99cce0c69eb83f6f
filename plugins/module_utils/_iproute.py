# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""The kernel's network state, read and changed through iproute2.

The only file that runs ``ip`` and ``bridge``. Reading gives their JSON; changing takes lines of a
``-batch`` file, so that a thousand changes cost one process.
"""

from __future__ import annotations

import json
from typing import Any, Protocol


class KernelError(Exception):
    """The kernel refused; the message has the command and the kernel's own words."""


class Run(Protocol):
    """AnsibleModule.run_command, or anything of the same form."""

    def __call__(self, args: list[str], *, data: str | None = None) -> tuple[int, str, str]: ...


class IpRoute:
    """Asks and changes the kernel of this network namespace."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def links(self) -> list[dict[str, Any]]:
        """Links with their addresses, as ``ip -json -details address show`` gives them."""
        return self._json(["ip", "-json", "-details", "address", "show"])

    def routes(self, table: str = "main", family: int = 4) -> list[dict[str, Any]]:
        """Routes of a table."""
        return self._json(["ip", f"-{family}", "-json", "-details", "route", "show", "table", table])

    def fdb(self, device: str) -> list[dict[str, Any]]:
        """Forwarding database of a device."""
        return self._json(["bridge", "-json", "fdb", "show", "dev", device])

    def neighbours(self, device: str) -> list[dict[str, Any]]:
        """Neighbours on a device, the permanent ones included."""
        return self._json(["ip", "-json", "neighbour", "show", "dev", device, "nud", "all"])

    def change(self, lines: list[str], program: str = "ip") -> None:
        """Carry out lines of a batch; stop at the first that fails."""
        if not lines:
            return
        code, out, err = self.run([program, "-batch", "-"], data="\n".join(lines) + "\n")
        if code != 0:
            raise KernelError(f"{program}: {(err or out).strip()}")

    def _json(self, command: list[str]) -> list[dict[str, Any]]:
        code, out, err = self.run(command)
        if code != 0:
            raise KernelError(f"{' '.join(command)}: {err.strip()}")
        return [entry for entry in json.loads(out or "[]") if entry]
