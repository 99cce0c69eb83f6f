# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Files, directories and links of one owner: a plan is carried out all or none, or taken back.

A whole set is compared and written in one go.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence

from ansible_collections.binary_cluster.networking.plugins.module_utils._host.file_entry import KIND, Change, Entry
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.file_notes import (
    entry_before,
    note_of,
    notes_of,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.file_plan import found_at, observe, plan
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.file_writing import (
    beside,
    discard_partial,
    is_partial,
    leave_parents,
    make_parents,
    put,
    put_as,
    replace_by,
    trial_of,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import FileError, Ledger

Run = Callable[[Sequence[str]], "tuple[int, str, str]"]


def apply(changes: Sequence[Change], ledger: Ledger, run: Run) -> None:
    """Write the changes, all or none: on a failure what was written is taken back."""
    path = ""
    try:
        for change in changes:
            path = change.path
            if change.after is not None:
                _check(change.after, ledger, run)
        # All in one write, and before the first change.
        noted = [(one.before, one.after) for one in changes if one.after is not None]
        ledger.record_all(KIND, notes_of(noted, ledger))
        for change in changes:
            path = change.path
            _write(change, ledger)
    except (OSError, FileError) as error:
        said = str(error) if isinstance(error, FileError) else f"{path}: {error.strerror or error}"
        failures = undo(changes, ledger)
        raise FileError("; ".join([said, *(f"not taken back: {failure}" for failure in failures)])) from error


def reach(wanted: Sequence[Entry], ledger: Ledger, run: Run, check_mode: bool) -> list[Change]:
    """Bring the owner's paths to what is wanted; return the changes, which in check mode are not made."""
    seen = observe(wanted, ledger)
    changes = plan(wanted, seen, ledger)
    if not check_mode:
        apply(changes, ledger, run)
        settle(wanted, seen, ledger)
    return changes


def settle(wanted: Iterable[Entry], seen: Mapping[str, Entry | None], ledger: Ledger) -> None:
    """Bring the ledger up to date with what needed no change.

    A directory that a daemon writes into is noted with what it held, although it was there as wanted: uninstall,
    and a change of place, must know of it. What is no longer wanted and is as it was before is forgotten.
    """
    by_path = {entry.path: entry for entry in wanted}
    adopted = notes_of([(seen.get(path), entry) for path, entry in by_path.items() if entry.purge], ledger)
    ledger.record_all(KIND, adopted)
    for path, noted in adopted.items():
        # A note of an earlier version, which did not know of data in a directory that was there before.
        if not ledger.before(KIND, path).get("purge"):
            known = {key: noted[key] for key in ("made", "purge", "by", "held") if key in noted}
            ledger.replace(KIND, path, {**ledger.before(KIND, path), **known})
    others = [path for path in ledger.names(KIND) if path not in by_path and _as_before(path, ledger)]
    for path in others:
        discard_partial(path)
    ledger.forget(KIND, *others)


def _as_before(path: str, ledger: Ledger) -> bool:
    there, former = found_at(path, None, ledger), entry_before(path, ledger.before(KIND, path))
    if there is None:
        return former is None or former.kind == "directory"
    # A directory that still holds a daemon's data is remembered.
    return there == former and not (there.kind == "directory" and there.held)


def undo(changes: Sequence[Change], ledger: Ledger) -> list[str]:
    """Put back what stood at each path before these changes, each for itself; return what could not be, and why."""
    failures = []
    for change in reversed(changes):
        try:
            discard_partial(change.path)
            there = found_at(change.path, change.after or change.before, ledger)
            if there != change.before:
                _write(Change(change.path, there, change.before), ledger)
            elif change.before == entry_before(change.path, ledger.before(KIND, change.path)):
                ledger.forget(KIND, change.path)
        except OSError as error:
            failures.append(f"{change.path}: {error.strerror or error}")
        except FileError as error:
            failures.append(str(error))
    with contextlib.suppress(OSError, FileError):
        leave_parents(ledger)
    return failures


def release(ledger: Ledger) -> list[Change]:
    """Changes that take away all that the owner put here."""
    return plan([], observe([], ledger), ledger, uninstall=True)


def withdraw(changes: Sequence[Change], ledger: Ledger, paths: Sequence[str] | None = None) -> list[str]:
    """Carry out the changes of :func:`release`, each for itself; return what could not be done, and why.

    ``paths`` are those that are given up; all of the owner's without them. What could not be done stays in the ledger
    for the next run. What is left for a reason is forgotten: it is not ours any more.
    """
    failures = {}
    given_up = ledger.names(KIND) if paths is None else paths
    planned = {change.path for change in changes}
    for change in [*changes, *(Change(path, None, None) for path in given_up if path not in planned)]:
        try:
            if change.before is None and change.after is None:
                discard_partial(change.path)  # what a run that was cut short left
            else:
                _write(change, ledger)
        except OSError as error:
            failures[change.path] = f"{change.path}: {error.strerror or error}"
        except FileError as error:
            failures[change.path] = str(error)
    ledger.forget(KIND, *(path for path in given_up if path not in failures))
    try:
        leave_parents(ledger)
    except (OSError, FileError) as error:
        failures[""] = str(error)
    return list(dict.fromkeys(failures.values()))


def take_away(paths: Iterable[str], ledger: Ledger, kind: str, noted_as: str = "") -> list[str]:
    """Remove files, and directories that are empty, which the ledger lists under a kind, and forget them.

    ``noted_as`` is the name of an entry that stands for all of them, and that the caller forgets. Returns what could
    not be removed, and why.
    """
    failures, gone = [], []
    for path in paths:
        ledger.require(kind, noted_as or path)
        try:
            discard_partial(path)
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                (os.rmdir if os.path.isdir(path) and not os.path.islink(path) else os.unlink)(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
                failures.append(f"{path}: {error.strerror}")
                continue
        gone.append(path)
    if not noted_as:
        ledger.forget(kind, *gone)
    leave_parents(ledger)
    return failures


def _check(entry: Entry, ledger: Ledger, run: Run) -> None:
    """Let the file's own checker judge the new content before it replaces anything."""
    if not entry.validate:
        return
    # Beside its place, so that relative names in it resolve; same suffix, for checkers that look.
    trial = trial_of(entry.path)
    make_parents(trial, ledger)
    try:
        put(trial, entry.data, 0o600)
        command = [trial if word == "%s" else word for word in entry.validate]
        code, out, err = run(command)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(trial)
        leave_parents(ledger)
    if code != 0:
        words = (err or out).strip().replace(trial, entry.path)
        raise FileError(f"{entry.path}: refused by {entry.validate[0]}: {words}")


def _write(change: Change, ledger: Ledger) -> None:
    entry = change.after
    noted = ledger.before(KIND, change.path)
    if entry is None:
        ledger.require(KIND, change.path)
        _remove(change)
        ledger.forget(KIND, change.path)
        leave_parents(ledger)
        return
    if noted is None:
        ledger.record(KIND, change.path, note_of(change.before, entry))
    elif noted.get("made", entry.kind) != entry.kind and entry != entry_before(entry.path, noted):
        ledger.replace(KIND, change.path, {**noted, "made": entry.kind})
    make_parents(entry.path, ledger)
    _make_room(entry)
    _purge(change)
    if entry.kind == "directory":
        put_as(entry.path, entry)
    else:
        with beside(entry.path) as partial:
            if entry.kind == "link":
                os.symlink(entry.data.decode(), partial)
                os.replace(partial, entry.path)
            else:
                put_as(partial, entry)
                replace_by(partial, entry)
    if entry == entry_before(entry.path, ledger.before(KIND, entry.path)):
        ledger.forget(KIND, entry.path)


def _make_room(entry: Entry) -> None:
    """Take away what cannot be replaced by renaming. The plan has refused what is not to be; this looks once more."""
    there = os.path.isdir(entry.path) and not os.path.islink(entry.path)
    if entry.kind != "directory" and there:
        os.rmdir(entry.path)  # fails where something is in it
    elif entry.kind == "directory" and os.path.lexists(entry.path) and not os.path.isdir(entry.path):
        os.unlink(entry.path)


def _remove(change: Change) -> None:
    discard_partial(change.path)
    if change.before is None:
        return
    if change.before.kind != "directory":
        os.unlink(change.path)
        return
    _purge(change)
    for name in os.listdir(change.path):
        if is_partial(name):
            os.unlink(os.path.join(change.path, name))
    os.rmdir(change.path)


def _purge(change: Change) -> None:
    """Remove what the plan names of a directory's content."""
    for name in change.purge:
        path = os.path.join(change.path, name)
        with contextlib.suppress(FileNotFoundError):
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
