# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""A lock on a host that two runs from different controllers both see.

It says who holds it and since when, and counts until a time that it names, so that a run which was killed keeps
nobody out for ever. It is in /run, where a boot takes it away.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from typing import IO, Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

PATH = "/run/binary-cluster-etcd.lock"


class LockError(TaskError):
    """Somebody else has the lock; the message says who, since when, and how to remove it."""


def take(holder: str, seconds: float, path: str = PATH) -> None:
    """Take the lock for so many seconds, or keep it for as many more. Raises LockError where another has it."""
    with _exclusive(path) as stream:
        held = _parse(stream.read())
        if _counts(held) and held["holder"] != holder:
            raise LockError(sentence(held, path))
        now = time.time()
        since = held["since"] if _counts(held) else now
        stream.seek(0)
        stream.truncate()
        json.dump({"holder": holder, "since": since, "until": now + seconds}, stream)


def release(holder: str, path: str = PATH) -> None:
    """Give the lock back; that of another stays."""
    if not os.path.exists(path):
        return
    with _exclusive(path) as stream:
        held = _parse(stream.read())
        if not _counts(held) or held["holder"] == holder:
            os.unlink(path)


def held_by_another(holder: str, path: str = PATH) -> str:
    """A sentence about another's lock; empty where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            held = _parse(stream.read())
    except OSError:
        return ""
    return sentence(held, path) if _counts(held) and held["holder"] != holder else ""


def sentence(held: dict[str, Any], path: str) -> str:
    """Who holds the lock, and what to do."""
    return (
        f"another run is changing the members of etcd: {held['holder']}, since {_clock(held['since'])}. "
        f"Wait until it has ended. If it was killed, its lock counts until {_clock(held['until'])}; "
        f"to go on before, remove {path} on this host"
    )


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def _parse(text: str) -> dict[str, Any]:
    """What a lock says; empty where it says nothing, such as one that was cut while it was written."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        held = json.loads(text)
        return {"holder": str(held["holder"]), "since": float(held["since"]), "until": float(held["until"])}
    return {}


def _counts(held: dict[str, Any]) -> bool:
    return bool(held) and time.time() < held["until"]


@contextlib.contextmanager
def _exclusive(path: str) -> Iterator[IO[str]]:
    """The open file of the lock, which no other process reads or writes meanwhile."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "r+", encoding="utf-8", errors="replace") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink == 0:
                continue  # its holder gave it back while this process waited
            yield stream
            return
