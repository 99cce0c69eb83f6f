# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""The install record: what a role put on a host, and what stood there before.

Uninstalling reads the record, not the variables: it also takes away what an earlier
configuration left, and gives back what was there first. One JSON file an owner; an entry
is written before the change it records, so an interrupted run can be undone too. Whatever
removes something asks :meth:`Ledger.require` first.

The file is replaced as a whole, and is on the disk before the change begins: after a crash
there is either the former record or the new one.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

STATE_DIRECTORY = "/var/lib/binary_cluster"
# What files and units are named after: nothing that leads to another directory, or that a program takes for an option.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,199}")
# Directories that were made on the way to somebody's file belong to nobody alone:
# the last one to leave takes them away.
SHARED = "directories"
# Kinds whose notes are mappings; of others each has a form of its own.
MAPPINGS = ("paths", "accounts")


class FileError(TaskError):
    """A file could not be read or made as wanted; the message says which and why."""


class LedgerError(FileError):
    """The install record cannot be read or written, or does not show what is to be removed as ours."""


class Ledger:
    """Entries of one owner, as ``{kind: {name: what stood there before}}``.

    Raises LedgerError where the record is damaged, so that nothing is changed or removed by what is left of it, and
    where no file can have the owner's name.
    """

    def __init__(self, owner: str, directory: str = STATE_DIRECTORY) -> None:
        if not NAME.fullmatch(owner):
            raise LedgerError(f"name: {owner!r}: take letters, digits and . _ @ -, with a letter or a digit first")
        self.owner = owner
        self.directory = directory
        self.path = os.path.join(directory, f"{owner}.json")
        self.entries: dict[str, dict[str, Any]] = _read(self.path)

    def names(self, kind: str) -> list[str]:
        """Names of a kind that this owner put here, in the order it did."""
        return list(self.entries.get(kind, {}))

    def before(self, kind: str, name: str) -> Any:
        """What stood there before; None where nothing did or the owner has no such entry."""
        return self.entries.get(kind, {}).get(name)

    def owns(self, kind: str, name: str) -> bool:
        """Whether this owner put it here."""
        return name in self.entries.get(kind, {})

    def require(self, kind: str, name: str) -> None:
        """Ask for permission to remove something; raises LedgerError where the record does not show it as ours."""
        if not self.owns(kind, name):
            raise LedgerError(f"{name}: not removed: {self.path} does not list it among the {kind} of {self.owner}")

    def record(self, kind: str, name: str, before: Any) -> None:
        """Note what stood there before. The first note stays: later changes are our own."""
        self.record_all(kind, {name: before})

    def record_all(self, kind: str, notes: Mapping[str, Any]) -> None:
        """Note several things in one write."""
        new = {name: before for name, before in notes.items() if not self.owns(kind, name)}
        if new:
            self._save({**self.entries, kind: {**self.entries.get(kind, {}), **new}})

    def replace(self, kind: str, name: str, note: Any) -> None:
        """Note something in place of what was noted, in one write: no crash loses both. It keeps its place."""
        if self.entries.get(kind, {}).get(name, ...) != note:
            self._save({**self.entries, kind: {**self.entries.get(kind, {}), name: note}})

    def forget(self, kind: str, *names: str) -> None:
        """Drop entries whose former state is restored."""
        entries = self.entries.get(kind, {})
        if entries.keys().isdisjoint(names):
            return
        left = {name: before for name, before in entries.items() if name not in names}
        self._save(
            {**{one: held for one, held in self.entries.items() if one != kind}, **({kind: left} if left else {})}
        )

    def _save(self, entries: dict[str, dict[str, Any]]) -> None:
        try:
            if entries:
                self._write(entries)
            else:
                self._remove()
        except OSError as error:
            raise LedgerError(f"{self.path}: the install record cannot be written: {error.strerror}") from error
        self.entries = entries

    def _write(self, entries: dict[str, dict[str, Any]]) -> None:
        if not os.path.isdir(self.directory):
            os.makedirs(self.directory, mode=0o700, exist_ok=True)
            os.chmod(self.directory, 0o700)  # whatever the umask is
        partial = f"{self.path}.new"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            os.fchmod(descriptor, 0o600)
            json.dump(entries, stream, indent=1)
            stream.flush()
            os.fsync(descriptor)
        os.replace(partial, self.path)
        _sync(self.directory)

    def _remove(self) -> None:
        for path in (f"{self.path}.new", self.path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        if not os.path.isdir(self.directory):
            return
        _sync(self.directory)
        # The state directory goes with its last ledger, and with what a write that was cut short left in it.
        if all(name.endswith(".json.new") for name in os.listdir(self.directory)):
            for path in glob.glob(os.path.join(glob.escape(self.directory), "*.json.new")):
                os.unlink(path)
            os.rmdir(self.directory)


def all_of(directory: str = STATE_DIRECTORY) -> Iterator[tuple[str, Ledger | LedgerError]]:
    """Every owner with its record, or with what is wrong with it."""
    for path in sorted(glob.glob(os.path.join(glob.escape(directory), "*.json"))):
        owner = os.path.basename(path)[: -len(".json")]
        try:
            yield owner, Ledger(owner, directory)
        except LedgerError as error:
            yield owner, error


def _read(path: str) -> dict[str, dict[str, Any]]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            text = stream.read()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise LedgerError(f"{path}: the install record cannot be read: {error.strerror}") from error
    try:
        entries = json.loads(text)
    except ValueError:
        raise LedgerError(_damage(path, text, "is cut or not JSON" if text.strip() else "is empty")) from None
    if not isinstance(entries, dict) or not all(isinstance(held, dict) for held in entries.values()):
        raise LedgerError(_damage(path, text, "is not a mapping of mappings"))
    wrong = [name for kind in MAPPINGS for name, note in entries.get(kind, {}).items() if not isinstance(note, dict)]
    if wrong:
        raise LedgerError(_damage(path, json.dumps(entries, indent=1), f"has no usable note of {', '.join(wrong)}"))
    return entries


def _damage(path: str, text: str, what: str) -> str:
    """What to say of a damaged record: what it still names, and what to do."""
    # Names of entries that can be read from any piece of the file: they are the keys at the second level.
    names = re.findall(r'^  "((?:[^"\\]|\\.)+)": ', text, flags=re.MULTILINE)
    still = f"it still names {', '.join(names)}" if names else "it names nothing any more"
    return (
        f"{path}: the install record {what}; {still}. Nothing was changed. Restore the file from a backup. Without "
        f"one, move it away (mv {path} {path}.damaged) and run again: what is on the host then counts as there before "
        "the collection, so uninstall will leave it, and you remove by hand what it named"
    )


def _sync(directory: str) -> None:
    """Bring the names in a directory to the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
