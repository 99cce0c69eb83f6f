"""A host in small that cannot harm the machine: its network, processes, named namespaces and state are its own.

Its process 1 is in its own network namespace, so that even /proc/1/ns/net leads to it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.binary_cluster.networking.tests.kernel.calico_datastore import program
from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import (
    SECONDS,
    CommandFailed,
    run,
    start_module,
)

# Directories of the machine that the sandbox has in its own, empty form. Of /etc it has what programs need.
MASKED = ("/run", "/var/lib", "/opt", "/etc")
NEEDED = ("passwd", "group", "hosts", "iproute2", "nsswitch.conf", "ld.so.cache", "ld.so.conf", "ssl", "alternatives")


class Sandbox:
    """A running sandbox; :meth:`end` removes all of it."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        ready = scratch / f"ready-{uuid.uuid4().hex[:8]}"
        kept = scratch / "etc"
        copies = [f"cp -a /etc/{name} {kept} 2>/dev/null || true" for name in NEEDED]
        masks = [f"mount -t tmpfs none {path}" for path in MASKED]
        begin = ["set -e", f"mkdir -p {kept}", *copies, *masks, f"cp -a {kept}/. /etc", "mkdir /run/netns"]
        # A new namespace has what the machine has.
        begin += [f"echo 0 >/proc/sys/net/{one}" for one in ("ipv4/ip_forward", "ipv6/conf/all/forwarding")]
        # It ends by itself, and as process 1 it waits for what it is left with.
        wait = "for one in $(seq 3000); do sleep 0.2; done"
        lines = [*begin, "ip link set lo up", f"touch {ready}", wait]
        options = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self.process = subprocess.Popen(["unshare", *options, "sh", "-c", "\n".join(lines)])
        until = time.monotonic() + 10
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > until:
                self.end()
                raise CommandFailed("the sandbox does not start")
            time.sleep(0.01)
        (child,) = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        self.first = int(child)
        self.enter = ["nsenter", f"--target={child}", "--net", "--mount", "--pid"]
        self.plugins = str(Path(program("cni-plugins", "bridge")).parent)

    def end(self) -> None:
        """End it, with all that runs in it."""
        self.process.kill()
        self.process.wait()

    def stand_in(self, name: str, text: str = "exit 0") -> None:
        """Put a shell script in the place of a program, for modules."""
        path = self.scratch / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def exec(self, *command: str, check: bool = True) -> str:
        """Run a command in it."""
        return run(*self.enter, *command, check=check)

    def ip(self, line: str, check: bool = True) -> str:
        """Run `ip` with the words of a line."""
        return self.exec("ip", *line.split(), check=check)

    def links(self, namespace: str = "") -> list[str]:
        """Names of the links, of the sandbox or of a named namespace in it."""
        options = ["-n", namespace] if namespace else []
        told = json.loads(self.exec("ip", *options, "-json", "link", "show"))
        return [link["ifname"] for link in told]

    def namespaces(self) -> list[str]:
        """Names of its named namespaces."""
        return sorted(self.exec("ls", "/run/netns").split())

    def read(self, path: str) -> str:
        """A file as the sandbox has it."""
        return self.exec("cat", path)

    def files(self, directory: str) -> list[str]:
        """Names in a directory; none where it is not there."""
        return sorted(self.exec("sh", "-c", f"ls {directory} 2>/dev/null || true").split())

    def run_module(
        self, module: str, params: dict[str, Any], check: bool = False, failing: bool = False
    ) -> dict[str, Any]:
        """Run a module of this collection and return its result. It must fail where ``failing`` says so."""
        internal = {"_ansible_check_mode": check, "_ansible_diff": True, "_ansible_tmpdir": str(self.scratch)}
        arguments = self.scratch / f"{module}-{uuid.uuid4().hex[:8]}.json"
        arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {**params, **internal}}))
        done = start_module(module, arguments, f"{self.scratch}/bin", beside=self.first).wait(SECONDS)
        try:
            result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        except (IndexError, ValueError):
            raise CommandFailed(f"{module} gave no result: {done.stdout}{done.stderr}") from None
        warnings = [one["event"]["msg"] if isinstance(one, dict) else one for one in result.get("warnings", ())]
        result["warnings"] = warnings
        if bool(result.get("failed")) != failing:
            raise CommandFailed(f"{module}: {json.dumps(result, indent=1)}")
        return result


@contextlib.contextmanager
def sandbox(scratch: Path) -> Iterator[Sandbox]:
    """A sandbox that is removed whatever happens."""
    made = Sandbox(scratch)
    try:
        yield made
    finally:
        made.end()
