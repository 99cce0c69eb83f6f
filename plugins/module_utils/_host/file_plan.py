# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""The plan for files, directories and links of one owner: what differs, what goes, and what is left with a reason.

Nothing is removed that the ledger does not list. A wanted directory that is a link to one, or a mount point, is
kept as it is. A directory with something in it is removed by uninstall only, and of what is in it only that which
a daemon wrote there.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host.file_entry import (
    KIND,
    Change,
    Entry,
    in_words,
    look,
    mounts,
    name_of,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.file_notes import (
    entry_before,
    has_data,
    marked,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.file_writing import is_partial
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import FileError, Ledger

# How many names of what a directory holds a message lists.
LISTED = 5


def observe(wanted: Iterable[Entry], ledger: Ledger) -> dict[str, Entry | None]:
    """Look at every path the plan needs to know."""
    by_path = {entry.path: entry for entry in wanted}
    return {path: found_at(path, by_path.get(path), ledger) for path in [*by_path, *ledger.names(KIND)]}


def found_at(path: str, wanted: Entry | None, ledger: Ledger) -> Entry | None:
    """What stands at a path: the directory itself where one is wanted, or was found there through a link."""
    noted = ledger.before(KIND, path) or {}
    return look(path, follow=wanted.kind == "directory" if wanted else bool(noted.get("through")))


def plan(
    wanted: Iterable[Entry], seen: Mapping[str, Entry | None], ledger: Ledger, uninstall: bool = False
) -> list[Change]:
    """Changes that lead from what is seen to what is wanted.

    What the ledger's owner put here earlier and no longer wants goes back to what it was. A directory with something
    in it that does not go too is left, except that ``uninstall`` takes what a daemon wrote into a directory of its
    own; :func:`left` tells which. Raises FileError where something stands at a wanted path that is not to be replaced.
    """
    return _plan(wanted, seen, ledger, uninstall)[0]


def left(
    wanted: Iterable[Entry], seen: Mapping[str, Entry | None], ledger: Ledger, uninstall: bool = False
) -> list[str]:
    """What a plan leaves although it is no longer wanted, a sentence each with the reason."""
    return _plan(wanted, seen, ledger, uninstall)[1]


def _plan(
    wanted: Iterable[Entry], seen: Mapping[str, Entry | None], ledger: Ledger, uninstall: bool
) -> tuple[list[Change], list[str]]:
    by_path = {entry.path: entry for entry in wanted}
    for entry in by_path.values():
        _refuse(entry, seen.get(entry.path), ledger)
    changes = [Change(path, seen.get(path), entry) for path, entry in by_path.items() if seen.get(path) != entry]
    reasons: list[str] = []
    gone: set[str] = set()
    # What is in a directory before the directory, whichever of them came first.
    for path in sorted(ledger.names(KIND), key=lambda name: -name.count("/")):
        if path in by_path:
            continue
        there, noted = marked(seen.get(path), ledger), ledger.before(KIND, path) or {}
        change, reason = _back(path, there, noted, uninstall, gone)
        if reason:
            reasons.append(f"{path} is left: {reason}")
        if change is None:
            continue
        changes.append(change)
        if change.after is None:
            gone.add(path)
    return changes, reasons


def _back(
    path: str, there: Entry | None, noted: Mapping[str, Any], uninstall: bool, gone: set[str]
) -> tuple[Change | None, str]:
    """The change that brings a path back to what it was, if any, and why something of it is left, if so.

    ``gone`` are paths that go too.
    """
    former = entry_before(path, noted)
    if there is None:
        # A directory that somebody removed is not made for him again.
        lost = former is not None and former.kind != "directory"
        return (Change(path, None, former) if lost else None), ""
    if there.kind != "directory" and there == former:
        return None, ""
    made = noted.get("made") or ("directory" if noted.get("purge") else there.kind)
    if there.kind != made or (there.through and former is None):
        return None, f"it is {in_words(there)} now, which was not made here; remove it by hand if nobody needs it"
    if there.kind != "directory":
        return Change(path, there, former), ""
    purge, rest = _contents(there, noted, uninstall, gone)
    if former is None:
        return (None, rest) if rest else (Change(path, there, None, purge), "")
    if (rest and not uninstall) or (there == former and not purge):
        return None, rest
    return Change(path, there, former, purge), rest


def _contents(there: Entry, noted: Mapping[str, Any], uninstall: bool, gone: set[str]) -> tuple[tuple[str, ...], str]:
    """Names in a directory that go with all in them, and what to say of those that stay."""
    existed = "kind" in noted
    if existed and not noted.get("purge"):
        return (), ""  # somebody's directory, in which only our files were made
    names = [name for name in there.held if os.path.join(there.path, name) not in gone and not is_partial(name)]
    before = [name for name in names if name in noted.get("held", ())] if existed else []
    names = [name for name in names if name not in before]
    was = f"it holds {_list(before)}, which was there before" if uninstall and has_data(before) else ""
    if not names:
        return (), was
    if not uninstall:
        return (), f"it is no longer wanted, but holds {_list(names)}; move or remove it by hand"
    if not noted.get("purge"):
        return (), f"it holds {_list(names)}, which was not made here"
    kept = [name for name in names if not _goes(os.path.join(there.path, name), noted, existed)]
    reason = f"it holds {_list(kept)}, which was not made here or is mounted there" if kept else was
    # A directory of ours that something is mounted in stays, and so does what is beside it: it may belong together.
    purge = () if kept and not existed else tuple(name for name in names if name not in kept)
    return purge, reason


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")


def _goes(path: str, noted: Mapping[str, Any], existed: bool) -> bool:
    """Whether something in a daemon's directory goes with it.

    Never what is mounted there. Of a directory that was there before, only what the daemon's account made.
    """
    real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    if any(mount == real or mount.startswith(f"{real}/") for mount in mounts()):
        return False
    if not existed:
        return True
    account = noted.get("by") or "root"
    return account != "root" and name_of(pwd.getpwuid, os.lstat(path).st_uid) == account


def _refuse(entry: Entry, there: Entry | None, ledger: Ledger) -> None:
    """Raise FileError where something stands at a wanted path that is not to be replaced by it."""
    if there is None or there.kind == entry.kind:
        return
    noted = ledger.before(KIND, entry.path) or {}
    if noted.get("made") == there.kind != "directory":
        return  # our own, of an earlier configuration
    # A file or link in the place of the other, and an empty directory, are noted and come back.
    replaceable = there.kind != "special" and not there.held and not there.through
    if entry.kind == "directory" or not replaceable:
        what = f"{in_words(there)}{f' that holds {_list(there.held)}' if there.held else ''}"
        raise FileError(f"{entry.path}: {what} is there, and a {entry.kind} is wanted; move it away")
