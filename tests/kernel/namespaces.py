"""Hosts made of network namespaces, on the real kernel.

A host is a namespace with its interface ``eth0`` on an underlay, a bridge in a namespace of its
own. Modules run in it through their real entry, in a process that is given its arguments as JSON.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ansible_collections.binary_cluster.networking.tests.forked import Forks, Request, Run

COLLECTIONS = Path(__file__).resolve().parents[2] / ".ansible" / "collections"
MODULES = "ansible_collections.binary_cluster.networking.plugins.modules"
# A module that hangs is a failure, not a wait.
SECONDS = 60
# Python of the targets, where it is to be another one than that of the tests.
PYTHON = os.environ.get("TARGET_PYTHON", sys.executable)


@cache
def modules() -> Forks:
    """A process that has imported what all modules import; each module runs in a copy of it."""
    environment = {**os.environ, "PYTHONPATH": Host.module_path()}
    return Forks(["ansible.module_utils.basic"], environment, PYTHON)


atexit.register(modules.cache_clear)


def start_module(module: str, arguments: Path, path: str, network: str = "", beside: int = 0) -> Run:
    """Begin a run of a module of this collection, with a file of its arguments as Ansible writes it.

    Programs in the directories ``path`` come before those of the system.
    """
    program = f"{MODULES}.{module}"
    environment = {**os.environ, "PYTHONPATH": Host.module_path(), "PATH": f"{path}:{os.environ['PATH']}"}
    words = [program, str(arguments)]
    return modules().start(Request(program, words, "/", environment, network, beside, kept=True))


class CommandFailed(AssertionError):
    """A command of the test itself failed; the message has its output."""


def run(*command: str, check: bool = True, data: str | None = None) -> str:
    """Run a command and return what it wrote to standard output."""
    done = subprocess.run(command, input=data, capture_output=True, text=True, timeout=SECONDS, check=False)
    if check and done.returncode != 0:
        raise CommandFailed(f"{' '.join(command)}: rc {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout


class Namespace:
    """A network namespace, removed with all in it by :meth:`remove`."""

    def __init__(self, label: str) -> None:
        self.name = f"bct-{label}-{uuid.uuid4().hex[:8]}"
        run("ip", "netns", "add", self.name)
        self.ip("link set lo up")

    def remove(self) -> None:
        """Remove it; processes in it are the caller's."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            run("ip", "netns", "delete", self.name, check=False)

    def exec(self, *command: str, check: bool = True, data: str | None = None) -> str:
        """Run a command in the namespace."""
        return run("ip", "netns", "exec", self.name, *command, check=check, data=data)

    def ip(self, line: str, check: bool = True) -> str:
        """Run `ip` with the words of a line, such as ``link set lo up``."""
        return self.exec("ip", *line.split(), check=check)

    def bridge(self, line: str, check: bool = True) -> str:
        """Run `bridge` with the words of a line."""
        return self.exec("bridge", *line.split(), check=check)

    def json(self, line: str) -> list[dict[str, Any]]:
        """What `ip` or `bridge` tells, such as ``ip route show``."""
        program, *words = line.split()
        return [entry for entry in json.loads(self.exec(program, "-json", *words) or "[]") if entry]

    def background(self, *command: str) -> subprocess.Popen[str]:
        """Start a command in the namespace; the caller ends it."""
        whole = ["ip", "netns", "exec", self.name, *command]
        return subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


class Host(Namespace):
    """A namespace with ``eth0`` on an underlay."""

    def __init__(self, number: int, scratch: Path) -> None:
        super().__init__(f"h{number}")
        self.number = number
        self.scratch = scratch
        self.address = f"192.0.2.{10 + number}"
        self.address6 = f"2001:db8::{10 + number}"

    def run_module(
        self, module: str, params: dict[str, Any], check: bool = False, failing: bool = False, path: str = ""
    ) -> dict[str, Any]:
        """Run a module of this collection and return its result.

        It must fail where ``failing`` says so, and not otherwise. Programs in the directory
        ``path`` stand in for those of the system.
        """
        internal = {"_ansible_check_mode": check, "_ansible_diff": True, "_ansible_tmpdir": str(self.scratch)}
        arguments = self.scratch / f"{self.name}-{uuid.uuid4().hex[:8]}.json"
        arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {**params, **internal}}))
        done = start_module(module, arguments, path, network=self.name).wait(SECONDS)
        try:
            result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        except (IndexError, ValueError):
            raise CommandFailed(f"{module} gave no result: {done.stdout}{done.stderr}") from None
        if bool(result.get("failed")) != failing:
            raise CommandFailed(f"{module}: {json.dumps(result, indent=1)}")
        return result

    @staticmethod
    def module_path() -> str:
        """Where a process finds this collection and ansible.module_utils."""
        import ansible

        return f"{COLLECTIONS}:{Path(ansible.__file__).parents[1]}"

    def pings(self, address: str, *options: str) -> bool:
        """Whether an address answers; tried for at most two seconds."""
        with contextlib.suppress(CommandFailed):
            self.exec("ping", "-c", "1", "-i", "0.2", "-w", "2", *options, address)
            return True
        return False


class Underlay:
    """Hosts on one segment."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.hosts: list[Host] = []
        self.switch = Namespace("switch")
        try:
            self.switch.ip("link add underlay up type bridge")
        except CommandFailed:
            self.switch.remove()
            raise

    def add(self, count: int) -> list[Host]:
        """Make further hosts, with addresses 192.0.2.11 and 2001:db8::11 for the first."""
        added = []
        for number in range(len(self.hosts) + 1, len(self.hosts) + 1 + count):
            host = Host(number, self.scratch)
            self.hosts.append(host)
            added.append(host)
            host.ip(f"link add eth0 type veth peer name port{number} netns {self.switch.name}")
            self.switch.ip(f"link set port{number} up master underlay")
            host.ip("link set eth0 up")
            host.ip(f"address add {host.address}/24 dev eth0")
            host.ip(f"address add {host.address6}/64 dev eth0 nodad")
        return added

    def remove(self) -> None:
        """Remove all of it."""
        for namespace in [*self.hosts, self.switch]:
            namespace.remove()


@contextlib.contextmanager
def underlay(scratch: Path) -> Iterator[Underlay]:
    """An underlay that is removed whatever happens."""
    made = Underlay(scratch)
    try:
        yield made
    finally:
        made.remove()


def batch(host: Namespace, program: str, lines: Sequence[str]) -> None:
    """Carry out many lines of `ip` or `bridge` at once."""
    host.exec(program, "-batch", "-", data="\n".join(lines) + "\n")
