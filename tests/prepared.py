"""Run a command whose runs of Ansible's programs are copies of processes that have imported Ansible.

usage: prepared.py COMMAND [ARGUMENT ...]

A scenario runs Ansible's programs some twenty times. To start each one, and to put together the modules that it sends,
takes it a second or more of processor time. Here that is done once: the command finds programs of the same names first
in its PATH, which ask this process for a run (prepared_client.py). Everything ends with the command, whose exit status
is this program's.

Ansible reads its configuration while it is imported. So there is a process for each directory and environment in which
runs are asked for, which has imported Ansible there. Runs of the same one share Ansible's directory of temporary files,
and in it the modules that were put together: a change of a module's source is not seen by the rest of a scenario.
"""

from __future__ import annotations

import atexit
import dataclasses
import gc
import importlib
import marshal
import os
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Optional

import forked

CLIENT = Path(__file__).with_name("prepared_client.py")
PROGRAMS = {
    "ansible": "ansible.cli.adhoc",
    "ansible-inventory": "ansible.cli.inventory",
    "ansible-playbook": "ansible.cli.playbook",
}
# What nearly all runs import, the programs themselves first.
IMPORTED = (
    *PROGRAMS.values(),
    "ansible.executor.playbook_executor", "ansible.executor.process.worker", "ansible.executor.task_executor",
    "ansible.playbook.handler_task_include", "ansible.playbook.role_include", "ansible.plugins.vars.host_group_vars",
    "multiprocessing.popen_fork", "multiprocessing.synchronize",
)  # fmt: skip
# Plugins whose options are read from their documentation, which is most of what a short run does.
PLUGINS = {
    "become": ("sudo",),
    "cache": ("memory",),
    "callback": ("default", "minimal"),
    "connection": ("local", "ssh"),
    "inventory": ("auto", "host_list", "script", "yaml"),
    "shell": ("sh",),
    "strategy": ("linear",),
}
# Names in the environment that differ from test to test and that neither Ansible nor Python reads while it is imported.
UNREAD = ("BINARY_CLUSTER_", "LAB_", "MOLECULE_", "OLDPWD", "PWD", "PYTEST_", "SHLVL", "_=")
# Those that were not asked for the longest end, so that tests with an environment of their own do not add up.
AT_MOST = 5


@dataclasses.dataclass(frozen=True)
class Asked:
    """A run that was asked for."""

    program: str
    arguments: Sequence[str]
    directory: str
    environment: Mapping[str, str]
    umask: int

    def place(self) -> tuple[str, ...]:
        """What processes that can be copied for it have in common."""
        read = (f"{name}={value}" for name, value in self.environment.items())
        return (self.directory, *sorted(one for one in read if not one.startswith(UNREAD)))


def receive(connection: socket.socket) -> tuple[bytes, list[int]]:
    """What a client asks for, and its three descriptors. Raises OSError or struct.error if it is gone by then."""
    length, descriptors, _flags, _address = socket.recv_fds(connection, 4, 3)
    (expected,) = struct.unpack("=I", length)
    message = b""
    while len(message) < expected:
        part = connection.recv(expected - len(message))
        if not part:
            raise ConnectionError("the client is gone")
        message += part
    return message, descriptors


# --- a process that has imported Ansible ------------------------------------------------------


def follow(child: int, connection: socket.socket) -> None:
    """Give a run the client's signals, and the client the run's exit status; end a run whose client is gone."""
    ended = os.pidfd_open(child)
    watched: list[int | socket.socket] = [ended, connection]
    while ended not in select.select(watched, [], [])[0]:
        sent = connection.recv(1)
        if not sent:
            watched.remove(connection)
        os.kill(child, sent[0] if sent else signal.SIGKILL)
    _child, status = os.waitpid(child, 0)
    connection.sendall(struct.pack("=i", os.waitstatus_to_exitcode(status)))


def run(asked: Asked, descriptors: Sequence[int], connection: socket.socket) -> None:
    """A run in a process of its own."""
    os.umask(asked.umask)
    connection.sendall(b".")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            connection.close()
            # A terminal's interrupt comes by way of the client.
            os.setpgid(0, 0)
            from ansible.utils.path import cleanup_tmp_file

            # The directory of temporary files is there for the next run, too.
            atexit.unregister(cleanup_tmp_file)
            program = str(Path(sys.executable).parent / asked.program)
            request = forked.Request(
                PROGRAMS[asked.program], [program, *asked.arguments], asked.directory, asked.environment
            )
            status = forked.call(request, descriptors)
        finally:
            os._exit(status)
    for descriptor in descriptors:
        os.close(descriptor)
    follow(child, connection)


def prepare(asked: Asked) -> None:
    """Be as one of Ansible's programs is that was started there, once it has imported everything."""
    own = {str(Path(__file__).parent), *os.environ.get("PYTHONPATH", "").split(":")}
    given = filter(None, asked.environment.get("PYTHONPATH", "").split(":"))
    # The directory of a program stands first.
    sys.path[:] = [str(Path(sys.executable).parent), *given, *(path for path in sys.path if path not in own)]
    os.chdir(asked.directory)
    os.environ.clear()
    os.environ.update(asked.environment)
    for name in IMPORTED:
        importlib.import_module(name)
    from ansible.plugins import loader

    # As a run does first; none of the programs has an option that changes it.
    loader.init_plugin_loader()
    warnings.filterwarnings("ignore", "AnsibleCollectionFinder has already been configured")
    importlib.import_module("ansible_collections.ansible.builtin")
    for kind, names in PLUGINS.items():
        for name in names:
            getattr(loader, f"{kind}_loader").get(name, class_only=True)
    # What is not looked through for garbage is not copied.
    gc.collect()
    gc.freeze()


def serve(channel: socket.socket) -> None:
    """Run what is asked for in copies of this process until the channel is closed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, received, _flags, _address = socket.recv_fds(channel, forked.LONGEST, 4)
        if not message:
            return
        *descriptors, answering = received
        if os.fork() == 0:
            try:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                channel.close()
                run(Asked(*marshal.loads(message)), descriptors, socket.socket(fileno=answering))
            finally:
                os._exit(0)
        for descriptor in received:
            os.close(descriptor)


# --- the process that is asked ----------------------------------------------------------------


class Prepared:
    """The processes that have imported Ansible, by what was read meanwhile."""

    def __init__(self, server: socket.socket) -> None:
        self.server = server
        self.processes: dict[tuple[str, ...], tuple[int, socket.socket]] = {}

    def start(self, asked: Asked, not_its_own: Sequence[int]) -> tuple[int, socket.socket]:
        """A new process, without some of the descriptors of this one, and the channel to it."""
        channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        process = os.fork()
        if process:
            other.close()
            return process, channel
        try:
            for one in (self.server, channel, *(open_one for _process, open_one in self.processes.values())):
                one.close()
            for descriptor in not_its_own:
                os.close(descriptor)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            prepare(asked)
            serve(other)
            atexit._run_exitfuncs()
        finally:
            os._exit(0)

    def end(self, place: tuple[str, ...]) -> None:
        """Let a process end, which removes its temporary files."""
        process, channel = self.processes.pop(place)
        channel.close()
        os.waitpid(process, 0)

    def hand_over(self, connection: socket.socket) -> None:
        """Give a client to the process that runs what it asks for. It starts the program itself where none answers."""
        descriptors: list[int] = []
        place: tuple[str, ...] = ()
        try:
            message, descriptors = receive(connection)
            connection.setblocking(True)
            asked = Asked(*marshal.loads(message))
            place = asked.place()
            # The newest is the last one.
            process = self.processes.pop(place, None) or self.start(asked, [*descriptors, connection.fileno()])
            self.processes[place] = process
            socket.send_fds(process[1], [message], [*descriptors, connection.fileno()])
        except (OSError, struct.error) as problem:
            print(f"not run by {__file__}: {problem}", file=sys.stderr)
            if place in self.processes:
                self.end(place)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
            connection.close()
        if len(self.processes) > AT_MOST:
            self.end(next(iter(self.processes)))

    def until(self, ended: int) -> None:
        """Take clients until a process has ended, by its descriptor."""
        watched: list[int | socket.socket] = [self.server, ended]
        while ended not in select.select(watched, [], [])[0]:
            connection, _address = self.server.accept()
            connection.settimeout(5)
            self.hand_over(connection)
        self.server.close()
        for place in list(self.processes):
            self.end(place)


def programs(directory: Path, path: Path) -> None:
    """Write programs that ask at a socket, and else are Ansible's own."""
    for program in PROGRAMS:
        words = [sys.executable, "-IS", CLIENT, path, Path(sys.executable).parent / program]
        script = directory / program
        script.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, words))} "$@"\n')
        script.chmod(0o755)


def main() -> None:
    directory = Path(tempfile.mkdtemp(prefix="prepared-"))
    try:
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(directory / "socket"))
        server.listen(64)
        programs(directory, directory / "socket")
        for name in forked.ANSIBLE:
            importlib.import_module(name)
        first = {"PATH": f"{directory}:{os.environ['PATH']}"}
        command = subprocess.Popen(sys.argv[1:], env={**os.environ, **first})

        def terminate(_number: int, _frame: Optional[FrameType]) -> None:
            command.terminate()

        signal.signal(signal.SIGTERM, terminate)
        # The command has it from the terminal.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        Prepared(server).until(os.pidfd_open(command.pid))
        status = command.wait()
    finally:
        shutil.rmtree(directory)
    sys.exit(128 - status if status < 0 else status)


if __name__ == "__main__":
    main()
