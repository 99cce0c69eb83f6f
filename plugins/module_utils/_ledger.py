# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""What a role put on a host, and what stood there before.

Uninstalling reads the ledger, not the variables: it also takes away what an earlier
configuration left, and gives back what was there first. One JSON file an owner; an entry
is written before the change it records, so an interrupted run can be undone too.
"""

from __future__ import annotations

import json
import os
from typing import Any

STATE_DIRECTORY = "/var/lib/binary_cluster"
# Directories that were made on the way to somebody's file belong to nobody alone:
# the last one to leave takes them away.
SHARED = "directories"


class Ledger:
    """Entries of one owner, as ``{kind: {name: what stood there before}}``."""

    def __init__(self, owner: str, directory: str = STATE_DIRECTORY) -> None:
        self.owner = owner
        self.directory = directory
        self.path = os.path.join(directory, f"{owner}.json")
        self.entries: dict[str, dict[str, Any]] = {}
        try:
            with open(self.path, encoding="utf-8") as stream:
                self.entries = json.load(stream)
        except FileNotFoundError:
            pass

    def names(self, kind: str) -> list[str]:
        """Names of a kind that this owner put here, in the order it did."""
        return list(self.entries.get(kind, {}))

    def before(self, kind: str, name: str) -> Any:
        """What stood there before; None where nothing did or the owner has no such entry."""
        return self.entries.get(kind, {}).get(name)

    def owns(self, kind: str, name: str) -> bool:
        """Whether this owner put it here."""
        return name in self.entries.get(kind, {})

    def record(self, kind: str, name: str, before: Any) -> None:
        """Note what stood there before. The first note stays: later changes are our own."""
        if self.owns(kind, name):
            return
        self.entries.setdefault(kind, {})[name] = before
        self._save()

    def forget(self, kind: str, name: str) -> None:
        """Drop an entry whose former state is restored."""
        entries = self.entries.get(kind, {})
        if name not in entries:
            return
        del entries[name]
        if not entries:
            del self.entries[kind]
        self._save()

    def _save(self) -> None:
        if not self.entries:
            if os.path.exists(self.path):
                os.unlink(self.path)
            # The state directory goes with its last ledger.
            if os.path.isdir(self.directory) and not os.listdir(self.directory):
                os.rmdir(self.directory)
            return
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        partial = f"{self.path}.new"
        with open(partial, "w", encoding="utf-8", opener=_private) as stream:
            json.dump(self.entries, stream, indent=1)
        os.replace(partial, self.path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
