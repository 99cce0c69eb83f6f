# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Files written whole or not at all, directories on the way to them, and what a write that was cut short left."""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import shutil
from collections.abc import Callable, Iterator
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host.file_entry import KIND, Entry
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import (
    SHARED,
    FileError,
    Ledger,
)


def _number(lookup: Callable[[str], Any], name: str) -> int:
    """Number of an account or group; a number is one that had no name when it was found."""
    try:
        return int(lookup(name)[2])
    except KeyError:
        if not name.isdigit():
            raise
        return int(name)


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
        put(path, entry.data, 0o600)
    elif not os.path.isdir(path):
        os.mkdir(path, 0o700)
    _own(path, entry)


def partial_of(path: str) -> str:
    """Where a file is written before it gets its name. The name is ours alone, so one that is left can go."""
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.binary-cluster")


def trial_of(path: str) -> str:
    """Where new content is written for its checker."""
    return os.path.join(os.path.dirname(path), f".binary-cluster-{os.path.basename(path)}")


def is_partial(name: str) -> bool:
    return name.startswith(".") and (name.endswith(".binary-cluster") or name.startswith(".binary-cluster-"))


def discard_partial(path: str) -> None:
    for one in (partial_of(path), trial_of(path)):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(one)


@contextlib.contextmanager
def beside(path: str) -> Iterator[str]:
    """A path to write a file to before it replaces another; nothing is left there on a failure."""
    discard_partial(path)
    try:
        yield partial_of(path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial_of(path))
        raise


def replace_by(partial: str, entry: Entry) -> None:
    try:
        os.replace(partial, entry.path)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        # A file that is a mount point, as a container engine makes of resolv.conf, cannot be renamed over.
        shutil.copyfile(partial, entry.path)
        os.unlink(partial)
        _own(entry.path, entry)


def put(path: str, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as stream:
        os.fchmod(descriptor, mode)  # whatever the umask is
        stream.write(data)


def _own(path: str, entry: Entry) -> None:
    try:
        owner, group = _number(pwd.getpwnam, entry.owner), _number(grp.getgrnam, entry.group)
    except KeyError as error:
        raise FileError(f"{entry.path}: there is no account {entry.owner}:{entry.group}") from error
    os.chown(path, owner, group)
    os.chmod(path, entry.mode)
