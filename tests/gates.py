"""Run the gates, cheapest first, and end with one line: N passed, N failed, and N skipped if any was.

usage: gates.py [--fast] [--scenario NAME ...]

A gate is a command. Its output goes to .cache/gates/<name>.log; what is shown is when a gate and each step
of it begins, how long it took and, of one that failed, the end of its log. All gates run, also after one
that failed: two at a time, since most of a scenario is waiting, and at the end one after the other those
that count how long something was away. One that this machine cannot run says why, and is skipped. What
failed is named once more at the end, gate by gate.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
LOGS = CHECKOUT / ".cache" / "gates"
AT_A_TIME = min(2, os.cpu_count() or 1)


@dataclass(frozen=True)
class Scenario:
    """A folder of molecule's, and how it is run there."""

    folder: str
    # Told apart by it where a folder runs more than once.
    environment: dict[str, str] = field(default_factory=dict)
    # It counts answers that are lost or late, or emulates machines: beside another it would count that one's load.
    alone: bool = False
    # Makes sure that this machine can run it; the last line of one that fails is the reason.
    needs: tuple[str, ...] = ()
    # It runs when it is asked for, and else not.
    on_request: bool = False


MACHINES = ("molecule/shared/prepare-host", "machines")
# The longest begin early, so that none runs on where nothing is left to run beside it.
SCENARIOS = {
    "default": Scenario("default"),
    "etcd": Scenario("etcd"),
    "calico": Scenario("calico"),
    "verify": Scenario("verify"),
    "host_routes": Scenario("host_routes"),
    "vxlan_mesh": Scenario("vxlan_mesh"),
    "debian13": Scenario("releases", {"LAB_SUITE": "trixie"}),
    "debian11": Scenario("releases", {"LAB_SUITE": "bullseye"}),
    "seed": Scenario("seed"),
    "coredns": Scenario("coredns", alone=True),
    "api_load_balancer": Scenario("api_load_balancer", alone=True),
    "machines": Scenario("machines", alone=True, needs=MACHINES),
    "machines_flannel": Scenario("machines_flannel", alone=True, needs=MACHINES, on_request=True),
}


@dataclass(frozen=True)
class Gate:
    """A command that must succeed, and what its log must not say."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    forbidden: str = ""
    alone: bool = False
    needs: tuple[str, ...] = ()


def gates(fast: bool, scenarios: Collection[str]) -> Iterator[Gate]:
    """The gates in the order of their cost."""
    if not scenarios:
        yield Gate("format", ("ruff", "format", "--check", "."))
        yield Gate("lint", ("ruff", "check", "."))
        yield Gate("types", ("mypy",))
        yield Gate("changelog", ("antsibull-changelog", "lint"))
        yield Gate("unit", ("pytest", "tests/unit"))
        yield Gate("package", ("pytest", "tests/package"))
        yield Gate("ansible-lint", ("ansible-lint", "--offline", "--strict"))
        if not fast:
            yield Gate("integration", (sys.executable, "tests/run_ansible_test.py", "integration"))
            yield Gate("sanity", (sys.executable, "tests/run_ansible_test.py", "sanity"))
            yield Gate("kernel", ("pytest", "tests/kernel"))
            yield Gate("browser", ("pytest", "tests/browser"))
            yield Gate("readme", ("pytest", "tests/readme"))
    if fast:
        return
    for name, scenario in SCENARIOS.items():
        if name in scenarios or (not scenarios and not scenario.on_request):
            # A step whose playbook is missing only warns, and would pass while it tests nothing. The
            # clean-up after a failure has none, and runs after a failure only.
            forbidden = r"(create|prepare|converge|side_effect|verify)\] Executed: Missing playbook|no tests found"
            command = ("molecule", "test", "--scenario-name", scenario.folder)
            yield Gate(f"molecule-{name}", command, scenario.environment, forbidden, scenario.alone, scenario.needs)


def count(log: str) -> tuple[int, int]:
    """Tests that passed and failed, from pytest's last lines in a log."""
    passed = sum(int(number) for number in re.findall(r"(\d+) passed", log))
    failed = sum(int(number) for number in re.findall(r"(\d+) (?:failed|error)", log))
    return passed, failed


def failures(log: str) -> list[str]:
    """The tests and the hosts that failed, as pytest and Ansible name them in a log, each once."""
    named = re.findall(r"^(?:FAILED|ERROR) \S+::.*|^fatal: \[.*", log, re.MULTILINE)
    return list(dict.fromkeys(line[:300] for line in named))


def say(gate: Gate, what: str) -> None:
    """One line of progress, whole: two gates speak at a time."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {gate.name:26}{what}\n")
    sys.stdout.flush()


def follow(gate: Gate, process: subprocess.Popen[str]) -> str:
    """Write a gate's output to its log, and show the steps of molecule as they begin."""
    lines = []
    assert process.stdout
    with (LOGS / f"{gate.name}.log").open("w") as stream:
        for line in process.stdout:
            stream.write(line)
            stream.flush()
            lines.append(line)
            step = re.match(r"INFO\s+\[\S+ > (\S+)\] Executing", line)
            if step:
                say(gate, f"  {step.group(1)}")
    return "".join(lines)


def lacking(gate: Gate) -> str:
    """Why this machine cannot run a gate; empty where it can."""
    if not gate.needs:
        return ""
    done = subprocess.run(gate.needs, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    return (done.stderr.strip().splitlines() or ["it says no reason"])[-1].strip() if done.returncode else ""


@dataclass(frozen=True)
class Result:
    """How many tests of a gate passed, failed and were skipped; a gate without tests counts as one."""

    gate: Gate
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    # What failed, a line each.
    failures: tuple[str, ...] = ()


def run(gate: Gate) -> Result:
    """Run one gate, and say how it went."""
    say(gate, "begins")
    began = time.monotonic()
    if reason := lacking(gate):
        say(gate, f"skipped because {reason}")
        return Result(gate, skipped=1)
    process = subprocess.Popen(
        gate.command,
        cwd=CHECKOUT,
        # Without colours molecule tells its steps in one form, whatever the terminal.
        env={**os.environ, "NO_COLOR": "1", **gate.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = follow(gate, process)
    nothing = gate.forbidden and re.search(gate.forbidden, said)
    good = process.wait() == 0 and not nothing
    passed, failed = count(said)
    passed, failed = max(passed, int(good)), 0 if good else max(failed, 1)
    seconds = time.monotonic() - began
    verdict = f"{'ok' if good else 'FAILED'}  {passed} passed, {failed} failed, {seconds:.0f} s"
    if not good:
        last = [f"    {line}" for line in said.splitlines()[-40:]]
        if nothing:
            last.append(f"    a step tested nothing: {nothing.group(0)}")
        log = (LOGS / f"{gate.name}.log").relative_to(CHECKOUT)
        verdict = "\n".join([verdict, *last, f"    all of it: {log}"])
    say(gate, verdict)
    return Result(gate, passed, failed, failures=() if good else tuple(failures(said)))


def run_all(selected: list[Gate]) -> list[Result]:
    """Run the gates; those with the same command share a lab, and run one after the other."""
    together = [gate for gate in selected if not gate.alone]
    queues = [list(gates) for _command, gates in groupby(together, key=lambda gate: gate.command)]
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        done = pool.map(lambda queue: [run(gate) for gate in queue], queues)
    results = [result for queue in done for result in queue]
    return results + [run(gate) for gate in selected if gate.alone]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fast", action="store_true", help="only the gates that need no container")
    parser.add_argument("--scenario", nargs="+", default=[], choices=SCENARIOS, help="these molecule scenarios")
    arguments = parser.parse_args()
    LOGS.mkdir(parents=True, exist_ok=True)
    selected = list(gates(arguments.fast, arguments.scenario))
    began = time.monotonic()
    results = run_all(selected)
    for result in results:
        if result.failed:
            print("\n    ".join([f"FAILED  {result.gate.name}", *result.failures]))
    passed = sum(result.passed for result in results)
    failed = sum(result.failed for result in results)
    skipped = sum(result.skipped for result in results)
    print(f"in {(time.monotonic() - began) / 60:.1f} min")
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    sys.exit(failed > 0 or passed == 0)


if __name__ == "__main__":
    main()
