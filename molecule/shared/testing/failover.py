"""Break a balancer in every way, and measure how long its clients get no answer.

Machines are containers: they are reached with the container engine, so that a machine can be frozen
and its link cut.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

INTERVAL = 0.01
# Until the neighbours, the daemons and the health checks have settled after an event.
SETTLE = 2.5
BACKENDS = ("api-1", "api-2")


@dataclass(frozen=True)
class Outcome:
    """What clients and machines saw of an event."""

    gap: float
    attempts: int
    failed: int
    # Machines that held the address, in the order they came to it, and who held it at the end.
    moves: list[str]
    holders: list[str]


class Machines:
    """The balancers of a lab and the client that probes them."""

    def __init__(self, lab: str, balancers: Sequence[str], client: str, address: str, port: int = 6443) -> None:
        self.lab, self.balancers, self.client = lab, list(balancers), client
        self.address, self.port = address, port

    @classmethod
    def of_this_lab(cls) -> Machines:
        """Those of the lab that the environment describes; the address is the one its inventory gives."""
        return cls(
            os.environ["LAB_NAME"],
            ["lb-1.lab.example", "lb-2.lab.example"],
            "client",
            f"{os.environ['LAB_SUBNET']}.100",
        )

    def container(self, host: str) -> str:
        """Name of a host's container."""
        return f"{self.lab}-{host}"

    def engine(self, *words: str) -> str:
        """Output of the container engine."""
        done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"docker {' '.join(words)}: {done.stderr}"
        return done.stdout

    def run(self, host: str, command: str) -> str:
        """Run a shell command on a machine."""
        return self.engine("exec", self.container(host), "sh", "-c", command)

    def holders(self) -> list[str]:
        """Machines that have the address now."""
        # Who hands it over goes on answering at it, on the loopback.
        show = f"ip -o address show to {self.address} | grep -v ' lo '; true"
        return [host for host in self.balancers if self.run(host, show).strip()]

    def holder(self) -> str:
        """The one machine that has the address."""
        found = self.holders()
        assert len(found) == 1, f"{self.address} is on {found or 'no machine'}"
        return found[0]

    def other(self, host: str) -> str:
        """Another balancer."""
        return next(name for name in self.balancers if name != host)

    @contextlib.contextmanager
    def watched(self, moves: list[tuple[float, str]]) -> Iterator[None]:
        """Note every time that the address comes to a machine."""
        watchers = {
            host: subprocess.Popen(
                ["docker", "exec", self.container(host), "ip", "-ts", "-o", "monitor", "address"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for host in self.balancers
        }
        time.sleep(0.2)
        try:
            yield
        finally:
            for host, watcher in watchers.items():
                self.run(host, "pkill -x ip; true")
                out, _err = watcher.communicate(timeout=30)
                for line in out.splitlines():
                    stamp, _end, event = line.partition("] ")
                    if f" {self.address}/" in event and " lo " not in event and not event.startswith("Deleted"):
                        moves.append((_seconds(stamp.strip("[")), host))
            moves.sort()

    def probe(
        self, event: Callable[[], object], after: float = SETTLE, interval: float = INTERVAL, patience: float = 0.25
    ) -> Outcome:
        """Let an event happen while a client asks for answers, every ``interval`` seconds."""
        moves: list[tuple[float, str]] = []
        command = (
            f"python3 /opt/prober/prober.py {self.address} {self.port} /opt/prober/ca.crt 3600 {interval} {patience}"
        )
        with self.watched(moves):
            prober = subprocess.Popen(
                ["docker", "exec", self.container(self.client), *command.split()], stdout=subprocess.PIPE, text=True
            )
            time.sleep(1)
            try:
                event()
                time.sleep(after)
            finally:
                self.run(self.client, "pkill -TERM -f '[p]rober.py'")
                out, _err = prober.communicate(timeout=30)
        told = json.loads(out)
        return Outcome(
            gap=longest_gap(told, interval),
            attempts=len(told),
            failed=sum(1 for _started, name in told if name is None),
            moves=[host for _stamp, host in moves],
            holders=self.holders(),
        )

    # --- events -------------------------------------------------------------------------

    def kill(self, host: str, unit: str) -> None:
        """Kill every process of a unit."""
        self.run(host, f"systemctl kill --signal=KILL {unit}")

    def stop(self, host: str, unit: str) -> None:
        """Stop a unit for a while."""
        self.run(host, f"systemctl stop {unit}; sleep 1; systemctl start {unit}")

    def freeze(self, host: str, seconds: float = 2) -> None:
        """Freeze a machine for a while."""
        self.engine("pause", self.container(host))
        try:
            time.sleep(seconds)
        finally:
            self.engine("unpause", self.container(host))

    def cut(self, host: str, seconds: float = 2) -> None:
        """Cut a machine's link for a while. Its default route is put back with it."""
        back = f"ip route replace default via {self.address.rpartition('.')[0]}.1 dev eth0"
        self.run(host, f"ip link set eth0 down; sleep {seconds}; ip link set eth0 up; {back}")

    def refuse(self, host: str, backends: Sequence[str], port: int = 6443, seconds: float = 2) -> None:
        """Let connections of a machine to its backends be refused for a while."""
        rule = f"ip daddr {{ {', '.join(backends)} }} tcp dport {port} reject with tcp reset"
        chain = "{ type filter hook output priority 0; }"
        self.run(
            host,
            f"nft 'add table inet refused; add chain inet refused output {chain}; add rule inet refused output {rule}';"
            f"sleep {seconds}; nft delete table inet refused",
        )

    def silence(self, seconds: float = 2) -> None:
        """Stop all backends for a while."""
        for backend in BACKENDS:
            self.run(backend, "systemctl stop backend")
        time.sleep(seconds)
        for backend in BACKENDS:
            self.run(backend, "systemctl start backend")


def longest_gap(told: Sequence[tuple[float, str | None]], interval: float = INTERVAL) -> float:
    """Longest time without an attempt that was answered, less the time between two attempts."""
    assert told, "nothing was probed"
    first, last = told[0][0], told[-1][0]
    answered = [first, *(started for started, name in told if name is not None), last]
    widest = max(later - earlier for earlier, later in zip(answered, answered[1:]))
    # Two attempts are never closer than this; a busy machine makes them further apart.
    return max(0.0, widest - interval) if any(name is None for _started, name in told) else 0.0


def _seconds(stamp: str) -> float:
    whole, _dot, fraction = stamp.partition(".")
    return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{fraction or 0}")
