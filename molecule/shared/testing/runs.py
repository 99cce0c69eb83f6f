"""Tests of every scenario that converges through check mode and repeats its run: a scenario's tests import them."""

from __future__ import annotations

from testing import lab


def test_check_mode_announces_exactly_what_the_run_changes() -> None:
    announced, done = lab.runs(check_mode=True)[0], lab.runs()[0]
    assert lab.changes(announced) == lab.changes(done)
    assert lab.changes(done)


def test_a_second_run_changes_nothing() -> None:
    assert lab.changes(lab.runs()[1]) == set()


def test_a_second_run_of_site_needs_few_tasks() -> None:
    for host, counts in lab.runs()[1]["hosts"].items():
        # The first host also carries what runs once for all.
        allowed = 27 if host == lab.names()[0] else 20
        assert counts["ok"] <= allowed, f"{host}: {counts}"
