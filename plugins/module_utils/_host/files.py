# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Files, directories and links of one owner: wanted state, plan, application, undoing.

A whole set is compared and written in one go. The plan is data; only :func:`look` and
:func:`apply` touch the file system.

Nothing is removed that the ledger does not list. A wanted directory that is a link to one, or a mount point, is
kept as it is. A directory with something in it is removed by uninstall only, and of what is in it only that which
a daemon wrote there.
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
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host import install_record
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import (
    SHARED,
    Ledger,
    LedgerError,
)

FileError = install_record.FileError
Run = Callable[[Sequence[str]], "tuple[int, str, str]"]
KIND = "paths"
MOUNTS = "/proc/self/mountinfo"
# How many names of what a directory holds a message lists.
LISTED = 5


@dataclass(frozen=True)
class Entry:
    """A path as wanted or as found.

    ``kind`` is ``file``, ``directory``, ``link`` or, where found, ``special`` (a socket, a device); ``data`` is
    the content of a file or the target of a link. ``purge`` lets uninstall remove a directory with all a daemon
    wrote into it. ``held`` are the names in a directory that was found; ``through`` is what a directory that was
    found really is, where it is a link to one or a mount point.
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
    held: tuple[str, ...] = field(default=(), compare=False)
    through: str = field(default="", compare=False)

    def text(self) -> str:
        """The entry as lines of a diff; a secret shows as its digest."""
        if self.kind == "link":
            return f"link to {self.data.decode()}\n"
        head = f"{self.kind} {self.mode:04o} {self.owner}:{self.group}\n"
        if self.kind != "file":
            return head
        if self.secret:
            return f"{head}(secret, sha256 {hashlib.sha256(self.data).hexdigest()[:12]})\n"
        return head + self.data.decode("utf-8", errors="replace")


@dataclass(frozen=True)
class Change:
    """One path that differs: what is there, and what will be (None: nothing).

    ``purge`` are the names in a directory that go with all that is in them.
    """

    path: str
    before: Entry | None
    after: Entry | None
    purge: tuple[str, ...] = ()

    def diff(self) -> dict[str, str]:
        """The change in the form Ansible shows with ``--diff``."""
        secret = self.after is not None and self.after.secret
        before = self.before
        if before is not None and secret:
            before = replace(before, secret=True)
        holds = f"holds {', '.join(self.purge)}\n" if self.purge else ""
        return {
            "before_header": self.path,
            "after_header": self.path,
            "before": (before.text() if before else "") + holds,
            "after": self.after.text() if self.after else "",
        }

    def sentence(self) -> str:
        """The change in a few words."""
        kind = (self.after or self.before or Entry(self.path)).kind
        if self.after is None:
            return f"remove {kind} {self.path}"
        return f"{'empty ' if self.purge else ''}{kind} {self.path}"


def look(path: str, follow: bool = False) -> Entry | None:
    """What stands at a path; None where nothing does. ``follow`` takes a link to a directory as the directory."""
    try:
        return _look(path, follow)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise FileError(f"{path}: it cannot be read: {error.strerror}") from error


def _look(path: str, follow: bool) -> Entry:
    status = os.lstat(path)
    through = ""
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(path)
        if not (follow and os.path.isdir(path)):
            # A link has no mode or owner of its own that matters.
            return Entry(path, "link", target.encode(), 0o777, "root", "root")
        status, through = os.stat(path), f"a link to {target}"
    mode = stat.S_IMODE(status.st_mode)
    owner, group = _name(pwd.getpwuid, status.st_uid), _name(grp.getgrgid, status.st_gid)
    if stat.S_ISDIR(status.st_mode):
        if not through and is_mount(path):
            through = "a mount point"
        return Entry(path, "directory", b"", mode, owner, group, held=tuple(sorted(os.listdir(path))), through=through)
    if not stat.S_ISREG(status.st_mode):
        return Entry(path, "special", b"", mode, owner, group)
    with open(path, "rb") as stream:
        return Entry(path, "file", stream.read(), mode, owner, group)


def mounts() -> set[str]:
    """All mount points. os.path.ismount() does not know a bind mount within a file system (proc_pid_mountinfo(5))."""
    with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as stream:
        fields = [line.split()[4] for line in stream]
    return {re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), name) for name in fields}


def is_mount(path: str) -> bool:
    """Whether a path is a mount point."""
    return os.path.realpath(path) in mounts()


def link(path: str, target: str) -> Entry:
    """A wanted symbolic link."""
    return Entry(path, "link", target.encode(), 0o777, "root", "root")


def json_file(path: str, content: Any) -> Entry:
    """A wanted file with a value as JSON."""
    return Entry(path, data=(json.dumps(content, indent=2) + "\n").encode())


def observe(wanted: Iterable[Entry], ledger: Ledger) -> dict[str, Entry | None]:
    """Look at every path the plan needs to know."""
    by_path = {entry.path: entry for entry in wanted}
    return {path: _found(path, by_path.get(path), ledger) for path in [*by_path, *ledger.names(KIND)]}


def _found(path: str, wanted: Entry | None, ledger: Ledger) -> Entry | None:
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
        there, noted = _seen(seen.get(path), ledger), ledger.before(KIND, path) or {}
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
    former = _restore(path, noted)
    if there is None:
        # A directory that somebody removed is not made for him again.
        lost = former is not None and former.kind != "directory"
        return (Change(path, None, former) if lost else None), ""
    if there.kind != "directory" and there == former:
        return None, ""
    made = noted.get("made") or ("directory" if noted.get("purge") else there.kind)
    if there.kind != made or (there.through and former is None):
        return None, f"it is {_what(there)} now, which was not made here; remove it by hand if nobody needs it"
    if there.kind != "directory":
        return Change(path, there, former), ""
    purge, rest = _contents(there, noted, uninstall, gone)
    if former is None:
        return (None, rest) if rest else (Change(path, there, None, purge), "")
    if (rest and not uninstall) or (there == former and not purge):
        return None, rest
    return Change(path, there, former, purge), rest


def _what(entry: Entry) -> str:
    """An entry in words."""
    if entry.kind == "link":
        return f"a link to {entry.data.decode()}"
    return entry.through or f"a {entry.kind}"


def _contents(there: Entry, noted: Mapping[str, Any], uninstall: bool, gone: set[str]) -> tuple[tuple[str, ...], str]:
    """Names in a directory that go with all in them, and what to say of those that stay."""
    existed = "kind" in noted
    if existed and not noted.get("purge"):
        return (), ""  # somebody's directory, in which only our files were made
    names = [name for name in there.held if os.path.join(there.path, name) not in gone and not _is_partial(name)]
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
    return account != "root" and _name(pwd.getpwuid, os.lstat(path).st_uid) == account


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
        what = f"{_what(there)}{f' that holds {_list(there.held)}' if there.held else ''}"
        raise FileError(f"{entry.path}: {what} is there, and a {entry.kind} is wanted; move it away")


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
        ledger.record_all(KIND, _notes(noted, ledger))
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
    adopted = _notes([(seen.get(path), entry) for path, entry in by_path.items() if entry.purge], ledger)
    ledger.record_all(KIND, adopted)
    for path, noted in adopted.items():
        # A note of an earlier version, which did not know of data in a directory that was there before.
        if not ledger.before(KIND, path).get("purge"):
            known = {key: noted[key] for key in ("made", "purge", "by", "held") if key in noted}
            ledger.replace(KIND, path, {**ledger.before(KIND, path), **known})
    others = [path for path in ledger.names(KIND) if path not in by_path and _as_before(path, ledger)]
    for path in others:
        _discard_partial(path)
    ledger.forget(KIND, *others)


def _as_before(path: str, ledger: Ledger) -> bool:
    there, former = _found(path, None, ledger), _restore(path, ledger.before(KIND, path))
    if there is None:
        return former is None or former.kind == "directory"
    # A directory that still holds a daemon's data is remembered.
    return there == former and not (there.kind == "directory" and there.held)


def undo(changes: Sequence[Change], ledger: Ledger) -> list[str]:
    """Put back what stood at each path before these changes, each for itself; return what could not be, and why."""
    failures = []
    for change in reversed(changes):
        try:
            _discard_partial(change.path)
            there = _found(change.path, change.after or change.before, ledger)
            if there != change.before:
                _write(Change(change.path, there, change.before), ledger)
            elif change.before == _restore(change.path, ledger.before(KIND, change.path)):
                ledger.forget(KIND, change.path)
        except OSError as error:
            failures.append(f"{change.path}: {error.strerror or error}")
        except FileError as error:
            failures.append(str(error))
    with contextlib.suppress(OSError, FileError):
        leave_parents(ledger)
    return failures


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
                _discard_partial(change.path)  # what a run that was cut short left
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
            _discard_partial(path)
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


def _name(lookup: Callable[[int], Any], number: int) -> str:
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)


def _number(lookup: Callable[[str], Any], name: str) -> int:
    """Number of an account or group; a number is one that had no name when it was found."""
    try:
        return int(lookup(name)[2])
    except KeyError:
        if not name.isdigit():
            raise
        return int(name)


def _seen(entry: Entry | None, ledger: Ledger) -> Entry | None:
    """What was found, marked as a secret where we put one."""
    noted = ledger.before(KIND, entry.path) if entry else None
    return replace(entry, secret=True) if entry and noted and noted.get("secret") else entry


def _restore(path: str, before: Mapping[str, Any] | None) -> Entry | None:
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


def _notes(pairs: Sequence[tuple[Entry | None, Entry]], ledger: Ledger) -> dict[str, dict[str, Any]]:
    """What the ledger keeps of paths that were found like this, and are wanted like that.

    Data that somebody moved, with a link in its former place, is still the daemon's: the new place held nothing else.
    """
    notes = {wanted.path: _note(entry, wanted) for entry, wanted in pairs}
    known = data_directories(ledger)
    for path, noted in notes.items():
        if noted.get("held") and os.path.realpath(path) in {real for former, real in known.items() if former != path}:
            noted["held"] = []
    return notes


def _note(entry: Entry | None, wanted: Entry) -> dict[str, Any]:
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


def _check(entry: Entry, ledger: Ledger, run: Run) -> None:
    """Let the file's own checker judge the new content before it replaces anything."""
    if not entry.validate:
        return
    # Beside its place, so that relative names in it resolve; same suffix, for checkers that look.
    trial = _trial_of(entry.path)
    make_parents(trial, ledger)
    try:
        _put(trial, entry.data, 0o600)
        command = [trial if word == "%s" else word for word in entry.validate]
        code, out, err = run(command)
    finally:
        with contextlib.suppress(FileNotFoundError):
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
    if not missing:
        return
    shared = Ledger(SHARED, ledger.directory)
    shared.record_all(KIND, {directory: {} for directory in missing if not os.path.lexists(directory)})
    for directory in missing:
        try:
            os.mkdir(directory, 0o755)
            os.chmod(directory, 0o755)  # whatever the umask is
        except OSError as error:
            leave_parents(ledger)
            raise FileError(f"{directory}: {error.strerror}") from error


def leave_parents(ledger: Ledger) -> None:
    """Take away the shared directories that nobody uses any more."""
    shared = Ledger(SHARED, ledger.directory)
    gone = []
    for directory in reversed(shared.names(KIND)):
        if os.path.isdir(directory) and not os.path.islink(directory):
            try:
                os.rmdir(directory)
            except OSError:
                continue
        # What somebody put in its place is not ours.
        gone.append(directory)
    shared.forget(KIND, *gone)


def put_as(path: str, entry: Entry) -> None:
    """Make a file or directory like an entry at some path, readable by nobody else on the way."""
    if entry.kind != "directory":
        _put(path, entry.data, 0o600)
    elif not os.path.isdir(path):
        os.mkdir(path, 0o700)
    _own(path, entry)


def partial_of(path: str) -> str:
    """Where a file is written before it gets its name. The name is ours alone, so one that is left can go."""
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.binary-cluster")


def _trial_of(path: str) -> str:
    """Where new content is written for its checker."""
    return os.path.join(os.path.dirname(path), f".binary-cluster-{os.path.basename(path)}")


def _is_partial(name: str) -> bool:
    return name.startswith(".") and (name.endswith(".binary-cluster") or name.startswith(".binary-cluster-"))


def _discard_partial(path: str) -> None:
    for one in (partial_of(path), _trial_of(path)):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(one)


@contextlib.contextmanager
def beside(path: str) -> Iterator[str]:
    """A path to write a file to before it replaces another; nothing is left there on a failure."""
    _discard_partial(path)
    try:
        yield partial_of(path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial_of(path))
        raise


def _replace(partial: str, entry: Entry) -> None:
    try:
        os.replace(partial, entry.path)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        # A file that is a mount point, as a container engine makes of resolv.conf, cannot be renamed over.
        shutil.copyfile(partial, entry.path)
        os.unlink(partial)
        _own(entry.path, entry)


def _put(path: str, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as stream:
        os.fchmod(descriptor, mode)  # whatever the umask is
        stream.write(data)


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
        ledger.record(KIND, change.path, _note(change.before, entry))
    elif noted.get("made", entry.kind) != entry.kind and entry != _restore(entry.path, noted):
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
                _replace(partial, entry)
    if entry == _restore(entry.path, ledger.before(KIND, entry.path)):
        ledger.forget(KIND, entry.path)


def _make_room(entry: Entry) -> None:
    """Take away what cannot be replaced by renaming. The plan has refused what is not to be; this looks once more."""
    there = os.path.isdir(entry.path) and not os.path.islink(entry.path)
    if entry.kind != "directory" and there:
        os.rmdir(entry.path)  # fails where something is in it
    elif entry.kind == "directory" and os.path.lexists(entry.path) and not os.path.isdir(entry.path):
        os.unlink(entry.path)


def _own(path: str, entry: Entry) -> None:
    try:
        owner, group = _number(pwd.getpwnam, entry.owner), _number(grp.getgrnam, entry.group)
    except KeyError as error:
        raise FileError(f"{entry.path}: there is no account {entry.owner}:{entry.group}") from error
    os.chown(path, owner, group)
    os.chmod(path, entry.mode)


def _remove(change: Change) -> None:
    _discard_partial(change.path)
    if change.before is None:
        return
    if change.before.kind != "directory":
        os.unlink(change.path)
        return
    _purge(change)
    for name in os.listdir(change.path):
        if _is_partial(name):
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
