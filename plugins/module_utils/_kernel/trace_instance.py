# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""An instance of the kernel's tracer of our own, which disturbs no other one (trace/ftrace.rst of the kernel).

Where tracefs is not mounted it is mounted detached (fsmount(2)): no path leads to it, and it goes with this process.
What a run that was killed left behind is removed by the next one; the tracer refuses to remove what is in use.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
import uuid
from collections.abc import Iterator, Mapping

from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

PLACES = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
PREFIX = "binary_cluster_"
# Seconds after which an instance that nobody has open was left behind: a run opens its own at once.
LIFETIME = 10
# Of each processor.
BUFFER_KB = 1024
READ = 32 << 20
DROP = "skb/kfree_skb"
# Numbers of system calls, the same on all architectures since Linux 5.2, and what tells fsconfig(2) to make it.
FSOPEN, FSCONFIG, FSMOUNT, FSCONFIG_CMD_CREATE = 430, 431, 432, 6


class TraceError(TaskError):
    """The kernel cannot be traced; the message says why."""


class Instance:
    """A tracer of our own, which is on from the moment it is made."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.marker = os.open(f"{path}/trace_marker", os.O_WRONLY | os.O_CLOEXEC)

    def write(self, name: str, text: str) -> None:
        """Write one of its files."""
        with open(f"{self.path}/{name}", "w", encoding="ascii") as stream:
            stream.write(text)

    def enable(self, filters: Mapping[str, str]) -> None:
        """Trace events, such as ``net/net_dev_queue``, as far as their filter says."""
        for event, condition in filters.items():
            self.write(f"events/{event}/filter", condition)
            self.write(f"events/{event}/enable", "1")

    def mark(self, text: str) -> None:
        """Put a line of our own between the events: it tells which task of the trace this thread is."""
        os.write(self.marker, text.encode("ascii"))

    def read(self) -> str:
        """End the trace, and return it."""
        self.write("tracing_on", "0")
        with open(f"{self.path}/trace", encoding="utf-8", errors="replace") as stream:
            return stream.read(READ)


def _mounted() -> int:
    """Descriptor of a detached mount of tracefs."""
    libc = ctypes.CDLL(None, use_errno=True)

    def call(*arguments: object) -> int:
        result = int(libc.syscall(*arguments))
        if result < 0:
            raise TraceError(f"tracefs cannot be mounted: {os.strerror(ctypes.get_errno())}")
        return result

    context = call(FSOPEN, b"tracefs", 1)
    try:
        call(FSCONFIG, context, FSCONFIG_CMD_CREATE, None, None, 0)
        return call(FSMOUNT, context, 1, 0)
    finally:
        os.close(context)


@contextlib.contextmanager
def tracefs() -> Iterator[str]:
    """The directory of tracefs; raises TraceError where there is none."""
    place = next((one for one in PLACES if os.path.isdir(f"{one}/instances")), "")
    if place:
        yield place
        return
    mount = _mounted()
    try:
        yield f"/proc/self/fd/{mount}"
    finally:
        os.close(mount)


def sweep(root: str, now: float) -> None:
    """Remove the instances that runs left behind which were killed."""
    for name in os.listdir(f"{root}/instances"):
        made = name[len(PREFIX) :].partition("_")[0] if name.startswith(PREFIX) else ""
        if made.isdigit() and now - int(made) > LIFETIME:
            with contextlib.suppress(OSError):
                os.rmdir(f"{root}/instances/{name}")


def clean() -> None:
    """Remove what killed runs left, where the kernel can be traced at all."""
    with contextlib.suppress(TraceError, OSError), tracefs() as root:
        sweep(root, time.clock_gettime(time.CLOCK_BOOTTIME))


@contextlib.contextmanager
def instance() -> Iterator[Instance]:
    """A tracer of our own, removed whatever happens; raises TraceError where the kernel does not say why it drops."""
    with tracefs() as root:
        made = ""
        try:
            now = time.clock_gettime(time.CLOCK_BOOTTIME)
            sweep(root, now)
            with open(f"{root}/events/{DROP}/format", encoding="ascii") as stream:
                if "reason" not in stream.read():
                    raise TraceError("this kernel does not say why it drops packets: it is older than Linux 5.17")
            made = f"{root}/instances/{PREFIX}{int(now)}_{uuid.uuid4().hex[:8]}"
            os.mkdir(made)
            one = Instance(made)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.rmdir(made)
            raise TraceError(f"the kernel cannot be traced: {error.strerror}") from error
        try:
            # Before the first event, for a change of the size empties it.
            one.write("buffer_size_kb", str(BUFFER_KB))
            one.write("trace_clock", "mono")
            yield one
        finally:
            os.close(one.marker)
            # It is busy while another process reads it; then the next run removes it.
            with contextlib.suppress(OSError):
                os.rmdir(made)
