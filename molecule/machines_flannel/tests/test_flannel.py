"""Packets of flannel's pods travel as IP in IP."""

from __future__ import annotations

from testing import lab
from testing.ipip import (  # pylint: disable=unused-import
    test_a_second_run_changes_nothing,  # noqa: F401
    test_all_packets_between_pods_of_two_nodes_are_wrapped,  # noqa: F401
)


def test_every_pair_of_pods_is_whole_with_the_mtu_that_ipip_leaves() -> None:
    report = lab.connectivity()
    assert report["ok"] and report["backend"] == "flannel"
    assert {pair["mtu"] for pair in report["pairs"] if pair["protocol"] == "mtu"} == {1480}
