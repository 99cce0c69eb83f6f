# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""A path on a host: a file, a directory or a link, as wanted or as found, and the change from one to the other."""

from __future__ import annotations

import grp
import hashlib
import json
import os
import pwd
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import FileError

KIND = "paths"
MOUNTS = "/proc/self/mountinfo"


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
    owner, group = name_of(pwd.getpwuid, status.st_uid), name_of(grp.getgrgid, status.st_gid)
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


def in_words(entry: Entry) -> str:
    """An entry in words."""
    if entry.kind == "link":
        return f"a link to {entry.data.decode()}"
    return entry.through or f"a {entry.kind}"


def name_of(lookup: Callable[[int], Any], number: int) -> str:
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)
