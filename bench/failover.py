"""Measure how long clients get no answer when a load balancer breaks, beside the first recipe's configuration.

usage: failover.py [--repeat 3] [--json FILE]

The machines are those of the molecule scenario api_load_balancer: two balancers, two backends, a client
that opens a TLS connection through the address every 10 ms and wants an answer of a backend. Each case is
measured with role api_load_balancer; then the role is removed and the same cases are measured in the same
containers with nginx and keepalived as the first recipe sets them. Prints the longest gap of each case, in
seconds; --json also writes every figure. What is broken stays so for 8 s: a gap as long was not noticed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT / "molecule" / "shared"))

from testing import scenario

scenario.enter("api_load_balancer")

from testing import lab
from testing.failover import BACKENDS, SETTLE, Machines, Outcome

BROKEN = 8.0  # seconds that something stays broken
Event = Callable[[str], object]
Figures = dict[str, list[float]]


def cases(machines: Machines, nginx: str, keepalived: str) -> dict[str, Event]:
    """What can break on the balancer that holds the address."""
    backends = [lab.address(name) for name in BACKENDS]

    def stopped(holder: str, unit: str) -> None:
        machines.run(holder, f"systemctl stop {unit}; sleep {BROKEN}; systemctl start {unit}")

    return {
        "nginx killed": lambda holder: machines.kill(holder, nginx),
        "nginx stopped": lambda holder: stopped(holder, nginx),
        "keepalived killed": lambda holder: machines.kill(holder, keepalived),
        "keepalived stopped": lambda holder: stopped(holder, keepalived),
        "machine frozen": lambda holder: machines.freeze(holder, BROKEN),
        "link down": lambda holder: machines.cut(holder, BROKEN),
        "its backends refuse": lambda holder: machines.refuse(holder, backends, seconds=BROKEN),
    }


def heal(machines: Machines, units: tuple[str, str]) -> None:
    """Bring both balancers back to where one of them holds the address."""
    for host in machines.balancers:
        machines.run(host, f"systemctl start {units[0]} && systemctl start {units[1]}")
    until = time.monotonic() + 30
    while len(machines.holders()) != 1:
        if time.monotonic() > until:
            # A keepalived that was killed has left the address behind: only a restart takes it away.
            for host in machines.holders():
                machines.run(host, f"systemctl stop {units[1]}; ip address flush to {machines.address} dev eth0")
                machines.run(host, f"systemctl start {units[1]}")
            until = time.monotonic() + 30
        time.sleep(0.2)
    time.sleep(3)


def measure(machines: Machines, units: tuple[str, str], repeat: int) -> tuple[Figures, dict[str, list[str]]]:
    """Gaps of every case, and the machines that had the address at its end."""
    gaps: Figures = {}
    holders: dict[str, list[str]] = {}
    for name, event in cases(machines, *units).items():
        for _time in range(repeat):
            heal(machines, units)
            holder = machines.holder()
            # A kill is over at once; what it does to clients is not.
            seen = machines.probe(partial(event, holder), after=BROKEN if name.endswith("killed") else SETTLE)
            gaps.setdefault(name, []).append(round(seen.gap, 2))
            holders[name] = seen.holders
    return gaps, holders


def runs(machines: Machines, repeat: int) -> dict[str, list[int]]:
    """Connections that runs of the playbook lose."""
    only = json.dumps({"api_load_balancer_backends": [f"{lab.address(BACKENDS[0])}:6443"]})

    def lost(*options: str) -> int:
        # A run takes processor time from the client: what counts is a connection that is lost, not a slow one.
        seen: Outcome = machines.probe(lambda: succeed("site", *options), interval=0.05, patience=2)
        return int(seen.failed)

    found: dict[str, list[int]] = {"second run, nothing to do": [], "upstream changed by a run": []}
    for _time in range(repeat):
        found["second run, nothing to do"].append(lost())
        found["upstream changed by a run"].append(lost("--extra-vars", only))
        succeed("site")
    return found


def succeed(playbook: str, *options: str) -> None:
    """Run a playbook of the collection, or one of the scenario or of this directory by its path."""
    done = lab.run(Path(playbook), *options) if playbook.endswith(".yml") else lab.playbook(playbook, *options)
    if done.returncode != 0:
        raise SystemExit(f"{playbook} failed:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    scenario.run("destroy", "create", "prepare", "converge")
    try:
        machines = Machines.of_this_lab()
        ours, held = measure(machines, ("api-load-balancer-nginx", "api-load-balancer-keepalived"), arguments.repeat)
        lost = runs(machines, arguments.repeat)
        succeed("teardown", "--extra-vars", "teardown_confirmed=true")
        succeed(str(CHECKOUT / "bench" / "seeds_balancer.yml"))
        theirs, theirs_held = measure(machines, ("nginx", "keepalived"), arguments.repeat)
    finally:
        scenario.run("destroy")
    print(f"{'longest gap, s':26} {'here':>6} {'first recipe':>13} {'ratio':>6}")
    for name, gaps in ours.items():
        mine, other = statistics.median(gaps), statistics.median(theirs[name])
        ratio = f"{other / mine:.0f}x" if mine >= 0.01 else "-"
        more = "" if len(theirs_held[name]) == 1 else f"  first recipe: address on {len(theirs_held[name])} machines"
        print(f"{name:26} {mine:6.2f} {other:13.2f} {ratio:>6}{more}")
    for name, numbers in lost.items():
        print(f"{name:26} {max(numbers)} connections lost")
    if arguments.json:
        figures = {"here": ours, "first recipe": theirs, "lost": lost, "held": held, "first recipe held": theirs_held}
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
