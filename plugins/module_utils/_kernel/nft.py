# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Tables of nftables, read and written as a whole.

A script is taken by the kernel in one transaction: all of it, or nothing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel.iproute import (
    BatchError,
    KernelError,
    Run,
)


class Nft:
    """Asks and changes nftables of this network namespace."""

    def __init__(self, run: Run) -> None:
        self.run = run

    @property
    def there(self) -> bool:
        """Whether the host has nftables."""
        return shutil.which("nft") is not None

    def require(self) -> None:
        """Raise KernelError where nftables is missing."""
        if not self.there:
            raise KernelError("nftables is needed: there is no program `nft`")

    def table(self, name: str) -> tuple[list[dict[str, Any]], str] | None:
        """A table of family ``inet`` as the entries of nft's JSON and as a script; None where there is none."""
        if not self._has(name):
            return None
        entries = self._listed(name, "--json")
        return list(json.loads(entries)["nftables"]), self._listed(name, "--stateless")

    def listing(self, name: str) -> str:
        """A table of family ``inet`` as this host's nft lists it, with numbers for names; empty where there is none.

        Two listings by the same nft are equal where the tables are.
        """
        return self._listed(name, "--stateless", "--numeric") if self._has(name) else ""

    def _has(self, name: str) -> bool:
        code, out, err = self.run(["nft", "--json", "list", "tables", "inet"])
        if code != 0:
            raise KernelError(f"nft list tables: {err.strip()}")
        entries = json.loads(out or "{}").get("nftables", ())
        return any(entry["table"]["name"] == name for entry in entries if "table" in entry)

    def _listed(self, name: str, *options: str) -> str:
        code, out, err = self.run(["nft", *options, "list", "table", "inet", name])
        if code != 0:
            raise KernelError(f"nft list table inet {name}: {err.strip()}")
        return out

    def check(self, script: str) -> None:
        """See that the kernel would take a script, which is not loaded. Raises KernelError."""
        code, out, err = self.run(["nft", "--check", "--file", "-"], data=script)
        if code != 0:
            raise KernelError(f"nft --check: {(err or out).strip()}")

    def change(self, scripts: Sequence[str]) -> None:
        """Load scripts in one transaction. Raises BatchError."""
        code, out, err = self.run(["nft", "--file", "-"], data="\n".join(scripts) + "\n")
        if code != 0:
            raise BatchError("nft", (err or out).strip(), 0)
