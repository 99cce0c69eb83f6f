"""Python programs that run in copies of one process which has imported them.

usage: forked.py DESCRIPTOR MODULE ...

To start Python and to import Ansible takes most of the time of a run of a module, or of a playbook that is refused.
Here it is done once: each run is a copy of the process, with its own directory, environment, arguments and namespaces,
and calls the same function as the program's own file. The modules are imported at the beginning.

The descriptor is of a socket to the tests. For each run they send a JSON object, a Request as a dictionary, and three
descriptors: the run's output, its errors, and a socket that is sent two lines: the process id of the run, and then
its exit status, or the number of the signal that ended it as a negative number.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import dataclasses
import functools
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

LONGEST = 1 << 17
# sched.h and sys/mount.h of Linux.
NAMESPACES = {"mnt": 0x00020000, "pid": 0x20000000, "net": 0x40000000}
MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_REC, MS_SLAVE, MNT_DETACH = 4, 8, 2, 16384, 1 << 19, 2


@dataclasses.dataclass(frozen=True)
class Request:
    """A program, and what it is run with."""

    # A module of Python with a function main().
    program: str
    # sys.argv.
    arguments: Sequence[str]
    directory: str
    environment: Mapping[str, str]
    # As `ip netns exec` enters it.
    network: str = ""
    # A process whose network, mounts and processes it has, as with nsenter; 0 for those of the tests.
    beside: int = 0
    # Whether the program, too, is imported once for all runs: what it reads meanwhile is the same for each.
    kept: bool = False


# --- in the process and its copies ------------------------------------------------------------


def enter_network(name: str) -> None:
    """Be in a named network namespace; /sys is of it too, as `ip netns exec` mounts it."""
    _set_namespace(f"/run/netns/{name}", "net")
    _call("unshare", NAMESPACES["mnt"])
    _call("mount", b"", b"/", b"none", MS_SLAVE | MS_REC, None)
    _call("umount2", b"/sys", MNT_DETACH)
    _call("mount", name.encode(), b"/sys", b"sysfs", MS_NODEV | MS_NOEXEC | MS_NOSUID, None)


def enter_beside(process: int) -> None:
    """Be where a process is. Its process ids are of what is forked from now on."""
    # Its /proc is another one once the mounts are its own.
    for kind in ("net", "pid", "mnt"):
        _set_namespace(f"/proc/{process}/ns/{kind}", kind)


def _set_namespace(path: str, kind: str) -> None:
    """Be in a namespace that a file stands for."""
    descriptor = os.open(path, os.O_RDONLY)
    _call("setns", descriptor, NAMESPACES[kind])
    os.close(descriptor)


def _call(function: str, *arguments: Any) -> None:
    """Call a function of the C library. Raises OSError."""
    if getattr(LIBC, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


LIBC = ctypes.CDLL(None, use_errno=True)


def call(request: Request, descriptors: Sequence[int]) -> int:
    """Run a program in place of this process, with its input, output and errors; its exit status."""
    for wanted, descriptor in enumerate(descriptors):
        os.dup2(descriptor, wanted)
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request.environment)
    sys.argv = list(request.arguments)
    status = 0
    try:
        importlib.import_module(request.program).main()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if not isinstance(ended.code, (int, type(None))):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    # As Python ends: it waits for threads, and removes temporary files.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status & 255


def run(request: Request, descriptors: Sequence[int], answers: socket.socket) -> None:
    """Run a program in a process of its own, and tell how it ended."""
    os.chdir(request.directory)
    if request.network:
        enter_network(request.network)
    if request.beside:
        enter_beside(request.beside)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            answers.close()
            status = call(request, [os.open(os.devnull, os.O_RDONLY), *descriptors])
        finally:
            os._exit(status)
    answers.sendall(f"{child}\n".encode())
    _child, ended = os.waitpid(child, 0)
    answers.sendall(f"{os.waitstatus_to_exitcode(ended)}\n".encode())


def serve(tests: socket.socket) -> None:
    """Run what is asked for, at once, until the tests close the socket."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, received, _flags, _address = socket.recv_fds(tests, LONGEST, 3)
        if not message:
            return
        request = Request(**json.loads(message))
        if request.kept:
            # What cannot be imported says so in its run.
            with contextlib.suppress(Exception):
                importlib.import_module(request.program)
        *descriptors, answering = received
        if os.fork() == 0:
            try:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                tests.close()
                run(request, descriptors, socket.socket(fileno=answering))
            except BaseException:
                os.dup2(descriptors[-1], 2)
                traceback.print_exc()
            finally:
                os._exit(1)
        for descriptor in received:
            os.close(descriptor)


# --- in the tests -----------------------------------------------------------------------------


class Run:
    """A run that was begun; as much of it as the tests need as of a subprocess.Popen."""

    def __init__(self, request: Request, tests: socket.socket) -> None:
        self.request = request
        # No pipes: what the program started and left is not waited for.
        self.output, self.errors = (os.fdopen(os.memfd_create(name), "rb") for name in ("output", "errors"))
        self.answers, other = socket.socketpair()
        with other:
            descriptors = [self.output.fileno(), self.errors.fileno(), other.fileno()]
            socket.send_fds(tests, [json.dumps(dataclasses.asdict(request)).encode()], descriptors)

    def wait(self, timeout: Optional[float] = None) -> subprocess.CompletedProcess[str]:
        """What it printed. Raises subprocess.TimeoutExpired, having ended it, where it takes longer."""
        words = list(self.request.arguments)
        self.answers.settimeout(timeout)
        with self.output, self.errors, self.answers, self.answers.makefile() as lines:
            process = lines.readline()
            try:
                status = lines.readline()
            except TimeoutError:
                os.kill(int(process), signal.SIGKILL)
                raise subprocess.TimeoutExpired(words, timeout or 0) from None
            texts = []
            for stream in (self.output, self.errors):
                stream.seek(0)
                texts.append(stream.read().decode())
            assert status, f"{self.request.program} did not run: {texts[1]}"
            return subprocess.CompletedProcess(words, int(status), *texts)


class Forks:
    """A process that has imported modules, and runs programs in copies of itself."""

    def __init__(
        self, modules: Sequence[str], environment: Mapping[str, str] | None = None, python: str = sys.executable
    ) -> None:
        self.socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self.process = subprocess.Popen(
                [python, __file__, str(other.fileno()), *modules],
                env=os.environ if environment is None else environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
            )

    def start(self, request: Request) -> Run:
        """Begin a run."""
        return Run(request, self.socket)

    def __del__(self) -> None:
        """End the process, once no test uses it."""
        self.socket.close()
        self.process.wait()


# What all of Ansible's programs import and what reads no configuration: that is read by each run for itself.
ANSIBLE = (
    "ansible.config.manager", "ansible.utils.collection_loader", "ansible.vars.hostvars", "concurrent.futures.thread",
    "cryptography.hazmat.primitives.asymmetric.ed25519", "cryptography.hazmat.primitives.ciphers.algorithms",
    "jinja2.nativetypes", "jinja2.sandbox", "multiprocessing.queues", "packaging.requirements", "tarfile", "zipfile",
)  # fmt: skip


@functools.cache
def ansible() -> Forks:
    """The process that runs of Ansible's programs are copies of."""
    return Forks(ANSIBLE)


def run_ansible(
    program: str, arguments: Sequence[str], directory: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """A run of one of Ansible's programs, such as ansible-playbook, in a directory."""
    path = Path(sys.executable).parent / program
    module = f"ansible.cli.{program.rpartition('-')[2]}"
    return ansible().start(Request(module, [str(path), *arguments], str(directory), environment)).wait()


atexit.register(ansible.cache_clear)


if __name__ == "__main__":
    # An interrupt is for the tests, which then close the socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Where this file is, which the programs do not import from.
    sys.path.pop(0)
    for name in sys.argv[2:]:
        importlib.import_module(name)
    serve(socket.socket(fileno=int(sys.argv[1])))
