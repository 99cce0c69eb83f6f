# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""What the install record keeps of a path: what stood there before, and where daemons have their data."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host.file_entry import KIND, Entry
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import (
    FileError,
    Ledger,
    LedgerError,
)


def data_directories(ledger: Ledger) -> dict[str, str]:
    """Directories of a daemon's own that hold data: path in the ledger -> the directory that it stands for."""
    return {
        path: os.path.realpath(path)
        for path in ledger.names(KIND)
        if (ledger.before(KIND, path) or {}).get("purge") and _holds_data(path)
    }


def has_data(names: Iterable[str]) -> bool:
    """Whether a directory with these names in it holds anything but what comes with a file system."""
    return not {"lost+found"}.issuperset(names)


def _holds_data(path: str) -> bool:
    try:
        return has_data(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise FileError(f"{path}: it cannot be read: {error.strerror}") from error


def how_to_move(unit: str, old: str, new: str) -> str:
    """What to do by hand where a daemon is to have its data elsewhere."""
    return (
        f"Go back to {old}, or move the data by hand, one host after the other: systemctl stop {unit} && "
        f"mkdir -p {new} && cp -a {old}/. {new}/ && mv {old} {old}.moved && ln -s {new} {old} && "
        f"systemctl start {unit}; when all hosts have it there, run again"
    )


def marked(entry: Entry | None, ledger: Ledger) -> Entry | None:
    """What was found, marked as a secret where we put one."""
    noted = ledger.before(KIND, entry.path) if entry else None
    return replace(entry, secret=True) if entry and noted and noted.get("secret") else entry


def entry_before(path: str, before: Mapping[str, Any] | None) -> Entry | None:
    if not before or "kind" not in before:
        return None
    try:
        return Entry(
            path,
            before["kind"],
            base64.b64decode(before["data"]),
            before["mode"],
            before["owner"],
            before["group"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LedgerError(f"{path}: what stood there before is not readable in the install record: {error!r}") from None


def notes_of(pairs: Sequence[tuple[Entry | None, Entry]], ledger: Ledger) -> dict[str, dict[str, Any]]:
    """What the ledger keeps of paths that were found like this, and are wanted like that.

    Data that somebody moved, with a link in its former place, is still the daemon's: the new place held nothing else.
    """
    notes = {wanted.path: note_of(entry, wanted) for entry, wanted in pairs}
    known = data_directories(ledger)
    for path, noted in notes.items():
        if noted.get("held") and os.path.realpath(path) in {real for former, real in known.items() if former != path}:
            noted["held"] = []
    return notes


def note_of(entry: Entry | None, wanted: Entry) -> dict[str, Any]:
    """What the ledger keeps of a path: what stood there, and how to treat what we put there."""
    kept: dict[str, Any] = {"made": wanted.kind}
    if wanted.secret:
        kept["secret"] = True
    if wanted.purge:
        kept.update(purge=True, by=wanted.owner)
    if entry is None:
        return kept
    if wanted.purge:
        kept["held"] = list(entry.held)
    if entry.through:
        kept["through"] = entry.through
    return {
        **kept,
        "kind": entry.kind,
        "data": base64.b64encode(entry.data).decode(),
        "mode": entry.mode,
        "owner": entry.owner,
        "group": entry.group,
    }
