"""Run the gates, cheapest first, and end with one line: N passed, N failed, and N skipped if any was.

usage: gates.py [--fast] [--scenario NAME ...] [--changed COMMIT]

A gate is a command. Its output goes to .cache/gates/<name>.log; what is shown is when a gate and each step
of it begins, how long it took and, of one that failed, the end of its log. All gates run, also after one
that failed: two at a time, since most of a scenario is waiting, and at the end one after the other those
that count how long something was away. One that this machine cannot run says why, and is skipped. What
failed is named once more at the end, gate by gate, and so is what took half as long again as its budget.

With --changed only those run that the differences from a commit can reach (tests/reach.py).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import reach

CHECKOUT = Path(__file__).resolve().parents[1]
LOGS = CHECKOUT / ".cache" / "gates"
# What Python compiles, for all processes of all gates, where the checkout and packages stay as they are.
COMPILED = CHECKOUT / ".cache" / "python"
AT_A_TIME = min(2, os.cpu_count() or 1)
# The names of the gates that failed the last time, a line each.
FAILED = LOGS / "failed"
# In front of a command: Ansible's programs in it are copies of a process that has imported them.
PREPARED = (sys.executable, "tests/prepared.py")
# Only what is otherwise unused. A session is scheduled as one (sched(7), autogroup), and containers as another, so it
# is the session whose share is made the smallest.
IDLE = ("setsid", "--wait", "sh", "-c", '{ echo 19 >/proc/self/autogroup; } 2>/dev/null; exec nice -n 19 "$@"', "sh")


@dataclass(frozen=True)
class Scenario:
    """A folder of molecule's, and how it is run there."""

    folder: str
    # Seconds it should take with the other gates beside it, on two cores and with everything built.
    budget: int
    # Told apart by it where a folder runs more than once.
    environment: dict[str, str] = field(default_factory=dict)
    # It counts answers that are lost or late, or emulates machines: beside another it would count that one's load.
    alone: bool = False
    # Makes sure that this machine can run it; the last line of one that fails is the reason.
    needs: tuple[str, ...] = ()
    # It has the built collection and the README, so any change reaches it, and runs Ansible's programs as users do.
    built: bool = False
    # It runs when it is asked for, and else not.
    on_request: bool = False


MACHINES = ("molecule/shared/prepare-host", "machines")
# The longest begin early, so that none runs on where nothing is left to run beside it.
SCENARIOS = {
    "default": Scenario("default", 500),
    "etcd": Scenario("etcd", 480),
    "calico": Scenario("calico", 720),
    "verify": Scenario("verify", 640),
    "host_routes": Scenario("host_routes", 400),
    "vxlan_mesh": Scenario("vxlan_mesh", 420),
    "debian13": Scenario("releases", 280, {"LAB_SUITE": "trixie"}),
    "debian11": Scenario("releases", 280, {"LAB_SUITE": "bullseye"}),
    "as_users_have_it": Scenario("as_users_have_it", 300, built=True),
    "seed": Scenario("seed", 100),
    "coredns": Scenario("coredns", 420, alone=True),
    "api_load_balancer": Scenario("api_load_balancer", 560, alone=True),
    "machines": Scenario("machines", 650, alone=True, needs=MACHINES),
    "machines_flannel": Scenario("machines_flannel", 650, alone=True, needs=MACHINES, on_request=True),
}


@dataclass(frozen=True)
class Gate:
    """A command that must succeed, and what its log must not say."""

    name: str
    command: tuple[str, ...]
    budget: int
    environment: dict[str, str] = field(default_factory=dict)
    forbidden: str = ""
    alone: bool = False
    # It takes processor time and waits for nothing: at idle priority it takes none from what runs beside it.
    idle: bool = False
    needs: tuple[str, ...] = ()
    # What it looks at; everything where it does not say.
    parts: Callable[[], Collection[str]] | None = None


def browser() -> set[str]:
    """What the tests with a browser look at."""
    return {*reach.of("tests/browser"), "tests/images.py"}


def kernel() -> set[str]:
    """What the tests of the kernel look at."""
    return {*reach.of("tests/kernel"), "tests/forked.py"}


def gates(fast: bool, scenarios: Collection[str]) -> Iterator[Gate]:
    """The gates in the order of their cost."""
    if not scenarios:
        yield Gate("format", ("ruff", "format", "--check", "."), 10)
        yield Gate("lint", ("ruff", "check", "."), 10)
        yield Gate("types", ("mypy",), 60)
        yield Gate("changelog", ("antsibull-changelog", "lint"), 10)
        yield Gate("unit", ("pytest", "tests/unit"), 140)
        yield Gate("package", ("pytest", "tests/package"), 90)
        yield Gate("ansible-lint", ("ansible-lint", "--offline", "--strict"), 220, idle=not fast)
        if not fast:
            yield Gate("integration", (sys.executable, "tests/run_ansible_test.py", "integration"), 60)
            yield Gate(
                "sanity", (sys.executable, "tests/run_ansible_test.py", "sanity"), 300, idle=True, parts=reach.code
            )
            # Members of etcd elect a leader there, which takes its share of the processors.
            yield Gate("kernel", ("pytest", "tests/kernel"), 480, parts=kernel)
            yield Gate("browser", ("pytest", "tests/browser"), 90, idle=True, parts=browser)
            yield Gate("readers", ("pytest", "tests/readers"), 90)
            yield Gate("examples", (*PREPARED, "pytest", "tests/examples"), 240)
            yield Gate("readme", ("pytest", "tests/readme"), 100)
    if fast:
        return
    for name, scenario in SCENARIOS.items():
        if name in scenarios or (not scenarios and not scenario.on_request):
            # A step whose playbook is missing only warns, and would pass while it tests nothing. The
            # clean-up after a failure has none, and runs after a failure only.
            forbidden = r"(create|prepare|converge|side_effect|verify)\] Executed: Missing playbook|no tests found"
            command: tuple[str, ...] = ("molecule", "test", "--scenario-name", scenario.folder)
            if not scenario.built:
                command = (*PREPARED, *command)
            yield Gate(
                f"molecule-{name}",
                command,
                scenario.budget,
                scenario.environment,
                forbidden,
                scenario.alone,
                needs=scenario.needs,
                parts=None if scenario.built else partial(reach.of_scenario, scenario.folder, scenario.environment),
            )


def reached(selected: list[Gate], commit: str) -> list[Gate]:
    """The gates that look at anything that differs from a commit; says which are left out."""
    changed = reach.changed(commit)
    parts = {reach.part_of(path) for path in changed}
    # What named a file that is gone cannot be found by it.
    gone = [path for path in changed if not (CHECKOUT / path).exists()]
    if gone or any(path.startswith(reach.EVERYTHING) for path in changed):
        return selected
    kept = [gate for gate in selected if gate.parts is None or not parts.isdisjoint(gate.parts())]
    left_out = [gate.name for gate in selected if gate not in kept]
    print(f"left out, since no change reaches them: {', '.join(left_out) or 'none'}", flush=True)
    return kept


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
    seconds: float = 0


def environment(gate: Gate) -> dict[str, str]:
    """What a gate's command runs with. Its tests start hundreds of processes, which must not all compile the same."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    # Without colours molecule tells its steps in one form, whatever the terminal.
    return {**kept, "PYTHONPYCACHEPREFIX": str(COMPILED), "NO_COLOR": "1", **gate.environment}


def run(gate: Gate) -> Result:
    """Run one gate, and say how it went."""
    say(gate, "begins")
    began = time.monotonic()
    if reason := lacking(gate):
        say(gate, f"skipped because {reason}")
        return Result(gate, skipped=1)
    process = subprocess.Popen(
        [*IDLE, *gate.command] if gate.idle else gate.command,
        cwd=CHECKOUT,
        env=environment(gate),
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
    return Result(gate, passed, failed, failures=() if good else tuple(failures(said)), seconds=seconds)


def run_all(selected: list[Gate]) -> list[Result]:
    """Run the gates; those with the same command share a lab, and run one after the other."""
    alone = [gate for gate in selected if gate.alone]
    idle = [gate for gate in selected if gate.idle]
    together = [gate for gate in selected if not gate.alone and not gate.idle]
    commands = [gate.command for gate in together]
    queues = [[one for one in together if one.command == command] for command in dict.fromkeys(commands)]
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        done = [*pool.map(run_queue, queues), *pool.map(run_queue, (alone, idle))]
    return [result for queue in done for result in queue]


def run_queue(queue: list[Gate]) -> list[Result]:
    """Run gates one after the other."""
    return [run(gate) for gate in queue]


def report(results: list[Result]) -> None:
    """Name what failed and what took too long, and keep the former for the next run."""
    failed = [result for result in results if result.failed]
    for result in failed:
        print("\n    ".join([f"FAILED  {result.gate.name}", *result.failures]))
    for result in results:
        if result.seconds > 1.5 * result.gate.budget:
            print(f"SLOW    {result.gate.name}: {result.seconds:.0f} s, its budget is {result.gate.budget} s")
    ran = {result.gate.name for result in results if not result.skipped}
    before = FAILED.read_text().split() if FAILED.exists() else []
    names = [*(name for name in before if name not in ran), *(result.gate.name for result in failed)]
    FAILED.write_text("".join(f"{name}\n" for name in names))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fast", action="store_true", help="only the gates that need no container")
    parser.add_argument("--scenario", nargs="+", default=[], choices=SCENARIOS, help="these molecule scenarios")
    parser.add_argument("--changed", metavar="COMMIT", help="only gates that the differences from it reach")
    arguments = parser.parse_args()
    LOGS.mkdir(parents=True, exist_ok=True)
    # Directories of tests that are gone.
    shutil.rmtree(COMPILED.joinpath(*Path(tempfile.gettempdir()).parts[1:]), ignore_errors=True)
    before = FAILED.read_text().split() if FAILED.exists() else []
    selected = sorted(gates(arguments.fast, arguments.scenario), key=lambda gate: gate.name not in before)
    if arguments.changed:
        selected = reached(selected, arguments.changed)
        if not selected:
            print("0 passed, 0 failed")
            return
    began = time.monotonic()
    results = run_all(selected)
    report(results)
    passed = sum(result.passed for result in results)
    failed = sum(result.failed for result in results)
    skipped = sum(result.skipped for result in results)
    print(f"in {(time.monotonic() - began) / 60:.1f} min")
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    sys.exit(failed > 0 or passed == 0)


if __name__ == "__main__":
    main()
