# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Work that another process must not do at the same time, and that leaves nothing when it is stopped."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# Something that is being made, and one of which no name is known.
PARTIAL = ".partial-"
NAMELESS = re.compile(r"\.partial-[a-z0-9_]{8}")
# Seconds.
LONGEST_RUN = 86400
# Processes to kill and directories to remove on Ctrl-C and SIGTERM.
_processes: set[subprocess.Popen[str]] = set()
_works: set[Path] = set()
# Held while a process is started or a directory made. The signal handler keeps it, so that nothing new starts.
_starting = threading.Lock()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep a second controller process from making the same thing at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def work_directory(root: Path, prefix: str) -> Iterator[Path]:
    """A temporary directory, removed afterwards, also on Ctrl-C and SIGTERM; one of this prefix that was left is, too.

    The caller holds the lock of what is made there, so nobody works in one that was left.
    """
    for left in root.glob(f"{prefix}*"):  # by a process that was killed
        shutil.rmtree(left)
    with _starting:
        work = Path(tempfile.mkdtemp(dir=root, prefix=prefix))
        _works.add(work)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        _works.discard(work)


def run_to_end(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> tuple[int, str]:
    """Run a program to its end; its exit code, and what it said."""
    with _starting:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # so that what it starts can be ended with it
        )
        _processes.add(process)
    with process:
        try:
            said, _none = process.communicate()
        finally:
            _processes.discard(process)
    return process.returncode, said


@contextlib.contextmanager
def tidy_when_stopped() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the programs that run, and remove what they began, before they end this process."""

    def stop(number: int, _frame: Any) -> None:
        # Never given back, so that nothing is begun any more. A second signal does not wait for the first for ever.
        _starting.acquire(timeout=5)
        for process in list(_processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for work in list(_works):
            shutil.rmtree(work, ignore_errors=True)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [one for one in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(one) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def is_left(path: Path) -> bool:
    """Whether something in the cache is older than a run can be."""
    try:
        return time.time() - path.stat().st_mtime > LONGEST_RUN
    except FileNotFoundError:
        return False


def sweep(root: Path) -> None:
    """Remove what killed runs of former versions left in the cache, under names that no lock protects."""
    for path in root.glob(f"{PARTIAL}*"):
        if NAMELESS.fullmatch(path.name) and is_left(path):
            shutil.rmtree(path, ignore_errors=True)
