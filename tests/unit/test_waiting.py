"""What takes its time is waited for in one way, and never without a deadline."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.waiting import Waiter

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
# Where a pause is none for something to come about.
PAUSES = {
    "module_utils/_task/waiting.py": "the waiter itself",
    "module_utils/_probe/throughput.py": "iperf3 is asked again a number of times, each with its own limit",
    "module_utils/_probe/drop_bursts.py": "packets of a burst leave one after another",
    "modules/path_evidence.py": "all hosts begin at a time that they agreed on",
}


def test_what_is_there_is_not_waited_for() -> None:
    began = time.monotonic()
    assert Waiter(30).until_done(lambda: "") == ""
    assert Waiter(30).retry(lambda: "done", TaskError) == "done"
    assert time.monotonic() - began < 1


def test_what_comes_about_is_seen() -> None:
    problems = ["no lease", "no lease", ""]
    assert Waiter(30, pause=0.001).until_done(lambda: problems.pop(0)) == ""
    assert problems == []


def test_without_time_it_is_looked_at_once() -> None:
    looks = list(Waiter(0, pause=0.001))
    assert len(looks) == 1


def test_the_problem_at_the_deadline_is_told() -> None:
    waiter = Waiter(0.05, pause=0.001)
    assert waiter.until_done(lambda: "no lease") == "no lease"
    assert waiter.over
    assert 0.05 <= waiter.elapsed < 5


def test_the_time_can_begin_again() -> None:
    waiter = Waiter(0.02, pause=0.001)
    assert list(waiter)
    waiter.extend()
    assert not waiter.over


def test_a_refusal_is_raised_at_the_deadline() -> None:
    def ask() -> None:
        raise TaskError("not yet")

    with pytest.raises(TaskError, match="not yet"):
        Waiter(0.05, pause=0.001).retry(ask, TaskError)


def test_what_is_given_up_is_not_waited_for() -> None:
    def ask() -> None:
        raise TaskError("never")

    began = time.monotonic()
    with pytest.raises(TaskError, match="never"):
        Waiter(30).retry(ask, TaskError, given_up=lambda: True)
    assert time.monotonic() - began < 1


def test_another_error_is_not_retried() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        Waiter(30).retry(lambda: int("x"), TaskError)


def test_nobody_else_sleeps() -> None:
    sleeping = {str(path.relative_to(PLUGINS)) for path in PLUGINS.rglob("*.py") if "time.sleep(" in path.read_text()}
    assert sleeping == PAUSES.keys()
