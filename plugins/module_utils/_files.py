# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Files, directories and links of one owner: wanted state, plan, application, undoing.

A whole set is compared and written in one go. The plan is data; only :func:`look` and
:func:`apply` touch the file system.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import grp
import hashlib
import json
import os
import pwd
import shutil
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._ledger import (
    SHARED,
    Ledger,
)

Run = Callable[[Sequence[str]], "tuple[int, str, str]"]
KIND = "paths"


class FileError(Exception):
    """A file could not be made as wanted; the message says which and why."""


@dataclass(frozen=True)
class Entry:
    """A path as wanted or as found.

    ``kind`` is ``file``, ``directory`` or ``link``; ``data`` is the content of a file or the
    target of a link. ``purge`` lets uninstall remove a directory with all a daemon wrote into it.
    """

    path: str
    kind: str = "file"
    data: bytes = b""
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    secret: bool = field(default=False, compare=False)
    purge: bool = field(default=False, compare=False)
    validate: tuple[str, ...] = field(default=(), compare=False)

    def text(self) -> str:
        """The entry as lines of a diff; a secret shows as its digest."""
        if self.kind == "link":
            return f"link to {self.data.decode()}\n"
        head = f"{self.kind} {self.mode:04o} {self.owner}:{self.group}\n"
        if self.kind == "directory":
            return head
        if self.secret:
            return f"{head}(secret, sha256 {hashlib.sha256(self.data).hexdigest()[:12]})\n"
        return head + self.data.decode("utf-8", errors="replace")


@dataclass(frozen=True)
class Change:
    """One path that differs: what is there, and what will be (None: nothing)."""

    path: str
    before: Entry | None
    after: Entry | None

    def diff(self) -> dict[str, str]:
        """The change in the form Ansible shows with ``--diff``."""
        secret = self.after is not None and self.after.secret
        before = self.before
        if before is not None and secret:
            before = replace(before, secret=True)
        return {
            "before_header": self.path,
            "after_header": self.path,
            "before": before.text() if before else "",
            "after": self.after.text() if self.after else "",
        }


def look(path: str) -> Entry | None:
    """What stands at a path; None where nothing does."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    mode = stat.S_IMODE(status.st_mode)
    owner, group = _name(pwd.getpwuid, status.st_uid), _name(grp.getgrgid, status.st_gid)
    if stat.S_ISLNK(status.st_mode):
        # A link has no mode or owner of its own that matters.
        return Entry(path, "link", os.readlink(path).encode(), 0o777, "root", "root")
    if stat.S_ISDIR(status.st_mode):
        return Entry(path, "directory", b"", mode, owner, group)
    with open(path, "rb") as stream:
        return Entry(path, "file", stream.read(), mode, owner, group)


def holds_something(directory: str) -> bool:
    """Whether a directory is there and not empty."""
    return os.path.isdir(directory) and bool(os.listdir(directory))


def link(path: str, target: str) -> Entry:
    """A wanted symbolic link."""
    return Entry(path, "link", target.encode(), 0o777, "root", "root")


def json_file(path: str, content: Any) -> Entry:
    """A wanted file with a value as JSON."""
    return Entry(path, data=(json.dumps(content, indent=2) + "\n").encode())


def plan(wanted: Iterable[Entry], seen: Mapping[str, Entry | None], ledger: Ledger) -> list[Change]:
    """Changes that lead from what is seen to what is wanted.

    What the ledger's owner put here earlier and no longer wants goes back to what it was.
    """
    by_path = {entry.path: entry for entry in wanted}
    changes = [Change(path, seen.get(path), entry) for path, entry in by_path.items() if seen.get(path) != entry]
    for path in reversed(ledger.names(KIND)):
        if path not in by_path:
            former = _restore(path, ledger.before(KIND, path))
            if seen.get(path) != former:
                changes.append(Change(path, _seen(seen.get(path), ledger), former))
    return changes


def observe(wanted: Iterable[Entry], ledger: Ledger) -> dict[str, Entry | None]:
    """Look at every path the plan needs to know."""
    paths = [entry.path for entry in wanted] + ledger.names(KIND)
    return {path: look(path) for path in paths}


def apply(changes: Sequence[Change], ledger: Ledger, run: Run) -> None:
    """Write the changes, all or none: on a failure what was written is taken back."""
    done: list[Change] = []
    try:
        for change in changes:
            if change.after is not None:
                _check(change.after, ledger, run)
        for change in changes:
            done.append(change)
            _write(change, ledger)
    except (OSError, KeyError, FileError) as error:
        undo(done, ledger)
        if isinstance(error, FileError):
            raise
        raise FileError(f"{done[-1].path}: {error}") from error


def reach(wanted: Sequence[Entry], ledger: Ledger, run: Run, check_mode: bool) -> list[Change]:
    """Bring the owner's paths to what is wanted; return the changes, which in check mode are not made."""
    changes = plan(wanted, observe(wanted, ledger), ledger)
    if not check_mode:
        apply(changes, ledger, run)
    return changes


def undo(changes: Sequence[Change], ledger: Ledger) -> None:
    """Put back what stood at each path before these changes."""
    for change in reversed(changes):
        with contextlib.suppress(OSError):
            _write(Change(change.path, look(change.path), change.before), ledger)


def release(ledger: Ledger) -> list[Change]:
    """Changes that take away all that the owner put here."""
    return plan([], observe([], ledger), ledger)


def _name(lookup: Callable[[int], Any], number: int) -> str:
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)


def _seen(entry: Entry | None, ledger: Ledger) -> Entry | None:
    """What was found, marked as a secret where we put one."""
    note = ledger.before(KIND, entry.path) if entry else None
    return replace(entry, secret=True) if entry and note and note.get("secret") else entry


def _restore(path: str, before: dict[str, Any] | None) -> Entry | None:
    if not before or "kind" not in before:
        return None
    return Entry(
        path,
        before["kind"],
        base64.b64decode(before["data"]),
        before["mode"],
        before["owner"],
        before["group"],
    )


def _note(entry: Entry | None, wanted: Entry) -> dict[str, Any]:
    """What the ledger keeps of a path: what stood there, and how to treat what we put there."""
    note: dict[str, Any] = {"secret": True} if wanted.secret else {}
    if entry is None:
        return {**note, "purge": True} if wanted.purge else note
    return {
        **note,
        "kind": entry.kind,
        "data": base64.b64encode(entry.data).decode(),
        "mode": entry.mode,
        "owner": entry.owner,
        "group": entry.group,
    }


def _check(entry: Entry, ledger: Ledger, run: Run) -> None:
    """Let the file's own checker judge the new content before it replaces anything."""
    if not entry.validate:
        return
    # Beside its place, so that relative names in it resolve; same suffix, for checkers that look.
    trial = os.path.join(os.path.dirname(entry.path), f".check-{os.path.basename(entry.path)}")
    make_parents(trial, ledger)
    try:
        _put(trial, entry.data, 0o600)
        command = [trial if word == "%s" else word for word in entry.validate]
        code, out, err = run(command)
    finally:
        os.unlink(trial)
        leave_parents(ledger)
    if code != 0:
        words = (err or out).strip().replace(trial, entry.path)
        raise FileError(f"{entry.path}: refused by {entry.validate[0]}: {words}")


def make_parents(path: str, ledger: Ledger) -> None:
    """Make the directories a path needs, and note them as shared."""
    missing: list[str] = []
    parent = os.path.dirname(path)
    while not os.path.isdir(parent):
        missing.insert(0, parent)
        parent = os.path.dirname(parent)
    shared = Ledger(SHARED, ledger.directory)
    for directory in missing:
        shared.record(KIND, directory, {})
        os.mkdir(directory, 0o755)
        os.chmod(directory, 0o755)  # whatever the umask is


def leave_parents(ledger: Ledger) -> None:
    """Take away the shared directories that nobody uses any more."""
    shared = Ledger(SHARED, ledger.directory)
    for directory in reversed(shared.names(KIND)):
        if os.path.isdir(directory):
            try:
                os.rmdir(directory)
            except OSError:
                continue
        shared.forget(KIND, directory)


def put_as(path: str, entry: Entry) -> None:
    """Make a file or directory like an entry at some path, readable by nobody else on the way."""
    if entry.kind != "directory":
        _put(path, entry.data, 0o600)
    elif not os.path.isdir(path):
        os.mkdir(path, 0o700)
    _own(path, entry)


def _replace(partial: str, path: str) -> None:
    try:
        os.replace(partial, path)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        # A file that is a mount point, as a container engine makes of resolv.conf, cannot be renamed over.
        shutil.copyfile(partial, path)
        os.unlink(partial)


def _put(path: str, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)


def _write(change: Change, ledger: Ledger) -> None:
    entry = change.after
    if entry is None:
        _remove(change, ledger)
        return
    ledger.record(KIND, change.path, _note(change.before, entry))
    make_parents(entry.path, ledger)
    if change.before is not None and change.before.kind != entry.kind:
        _delete(entry.path, change.before.kind, purge=False)
    if entry.kind == "directory":
        put_as(entry.path, entry)
    elif entry.kind == "link":
        partial = f"{entry.path}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
        os.symlink(entry.data.decode(), partial)
        os.replace(partial, entry.path)
    else:
        partial = f"{entry.path}.new"
        put_as(partial, entry)
        _replace(partial, entry.path)
    if entry == _restore(entry.path, ledger.before(KIND, entry.path)):
        ledger.forget(KIND, entry.path)


def _own(path: str, entry: Entry) -> None:
    try:
        os.chown(path, pwd.getpwnam(entry.owner).pw_uid, grp.getgrnam(entry.group).gr_gid)
    except KeyError as error:
        raise FileError(f"{entry.path}: there is no account {entry.owner}:{entry.group}") from error
    os.chmod(path, entry.mode)


def _remove(change: Change, ledger: Ledger) -> None:
    before = ledger.before(KIND, change.path) or {}
    if change.before is not None:
        _delete(change.path, change.before.kind, purge=bool(before.get("purge")))
    ledger.forget(KIND, change.path)
    leave_parents(ledger)


def _delete(path: str, kind: str, purge: bool) -> None:
    if kind != "directory":
        os.unlink(path)
    elif purge:
        shutil.rmtree(path)
    else:
        # Somebody else's file in it is a reason to leave the directory, not to fail.
        with contextlib.suppress(OSError):
            os.rmdir(path)
