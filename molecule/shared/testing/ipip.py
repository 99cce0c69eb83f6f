"""Tests of IPIP between emulated machines, whichever backend it is of: the scenarios of them import these."""

from __future__ import annotations

from testing import lab, wire


def test_a_second_run_changes_nothing() -> None:
    assert lab.changes(lab.runs()[0])
    assert lab.changes(lab.runs("network.yml")[0]) == set()


def test_all_packets_between_pods_of_two_nodes_are_wrapped() -> None:
    counted = wire.counted()
    assert counted["cp-1_wrapped"] > 0 and counted["worker-2_wrapped"] > 0
    assert counted["cp-1_plain"] == counted["worker-2_plain"] == 0
