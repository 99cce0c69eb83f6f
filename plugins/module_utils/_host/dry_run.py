# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""A trial start for daemons that have no checker of their own.

The real program is started for a moment on the new files, all of them in a tree beside the old ones, as
its own account, in an empty network namespace where any address and port are its own: nothing that is in
use is touched, and nobody can reach it. It passes once it says that it is up.
"""

from __future__ import annotations

import ctypes
import os
import re
import select
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ansible_collections.binary_cluster.networking.plugins.module_utils._host.file_entry import Entry
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.file_writing import put_as
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import FileError
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute

CLONE_NEWNET = 0x40000000
LAST_LINES = 5


@dataclass(frozen=True)
class Trial:
    """How to try a daemon. ``ready`` is a regular expression; ``directory`` one of the daemon's."""

    command: Sequence[str]
    directory: str
    ready: str
    addresses: Sequence[str]
    account: str
    timeout: float = 30.0


def check(trial: Trial, files: Iterable[Entry], kernel: iproute.IpRoute) -> None:
    """Start the daemon on these files; raises FileError with its last words where it does not come up."""
    said: list[str] = []
    passed: list[bool] = []
    failed: list[Exception] = []

    def work() -> None:
        # Only this thread, and what it starts, moves; the namespace ends with them.
        try:
            _enter_empty_network(kernel, trial.addresses)
            with _staged(files) as root:
                passed.append(_comes_up(trial, root, said))
        except (OSError, KeyError, ValueError, FileError, subprocess.SubprocessError, iproute.KernelError) as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failed:
        raise FileError(f"trial of {trial.command[0]}: {_reason(failed[0], trial)}") from failed[0]
    if passed != [True]:
        words = "\n".join(said[-LAST_LINES:]) or f"silent for {trial.timeout:.0f} s"
        raise FileError(f"{trial.directory}: refused by {trial.command[0]}: {words}")


def _reason(error: Exception, trial: Trial) -> str:
    """What went wrong, in words: grp and pwd say which of their functions did not find a name."""
    return f"there is no account {trial.account}" if isinstance(error, KeyError) else str(error)


def _enter_empty_network(kernel: iproute.IpRoute, addresses: Sequence[str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"unshare: {os.strerror(code)}")
    kernel.change(
        ["link set dev lo up"]
        # Without duplicate address detection, an IPv6 address can be bound at once.
        + [f"address add {address} dev lo{' nodad' if ':' in address else ''}" for address in addresses]
    )
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "w", encoding="ascii") as stream:
        stream.write("0")


@contextmanager
def _staged(files: Iterable[Entry]) -> Iterator[str]:
    """A directory with all the files, each below it at its own path. In memory: keys are among them."""
    root = tempfile.mkdtemp(dir="/run", prefix="binary-cluster-trial-")
    try:
        os.chmod(root, 0o711)
        for entry in files:
            path = root + entry.path
            _make_directories(root, path if entry.kind == "directory" else os.path.dirname(path))
            put_as(path, entry)
        yield root
    finally:
        shutil.rmtree(root)


def _make_directories(root: str, directory: str) -> None:
    """Make a directory below the root, and those between, for the daemon's account to pass whatever the umask is."""
    path = root
    for name in os.path.relpath(directory, root).split(os.sep):
        path = os.path.join(path, name)
        if not os.path.isdir(path):
            os.mkdir(path, 0o755)
            os.chmod(path, 0o755)


def _comes_up(trial: Trial, root: str, said: list[str]) -> bool:
    """Whether the daemon says that it is up; its lines are added to ``said``."""
    # run_command() tells what was said only when a program has ended.
    process = subprocess.Popen(  # pylint: disable=ansible-bad-function
        trial.command,
        cwd=root + trial.directory,
        env={"PATH": os.environ.get("PATH", os.defpath)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        user=trial.account,
        group=trial.account,
        extra_groups=[],
        umask=0o077,
    )
    ready = re.compile(trial.ready)
    until = time.monotonic() + trial.timeout
    try:
        if process.stdout is None:
            return False
        descriptor, rest = process.stdout.fileno(), b""
        while (left := until - time.monotonic()) > 0:
            if not select.select([descriptor], [], [], left)[0]:
                break
            chunk = os.read(descriptor, 65536)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in [*lines, *([rest] if not chunk and rest else [])]:
                said.append(line.decode(errors="replace").replace(root, ""))
                if ready.search(said[-1]):
                    return True
            if not chunk:
                break
        return False
    finally:
        process.kill()
        process.wait()
