"""Packets of Calico's pods travel as IP in IP between kernels that have it, and verify says where that is blocked."""

from __future__ import annotations

from testing import lab, wire
from testing.ipip import (  # pylint: disable=unused-import
    test_a_second_run_changes_nothing,  # noqa: F401
    test_all_packets_between_pods_of_two_nodes_are_wrapped,  # noqa: F401
)


def test_every_pair_of_pods_is_whole_with_the_mtu_that_ipip_leaves() -> None:
    report = lab.connectivity()
    assert report["ok"] and report["backend"] == "calico"
    assert {("cp-1", "worker-2"), ("worker-2", "cp-1")} <= {
        (pair["source"], pair["target"]) for pair in report["pairs"]
    }
    assert {pair["mtu"] for pair in report["pairs"] if pair["protocol"] == "mtu"} == {1480}


def test_protocol_4_that_is_blocked_between_the_nodes_is_named() -> None:
    with wire.blocked("cp-1"):
        done = lab.playbook("verify", "--extra-vars", "verify_timeout=1 verify_tries=2")
    assert done.returncode != 0
    told = " ".join(done.stdout.split())
    assert "IPIP (IP protocol 4) leaves cp-1 and does not arrive at worker-2" in told
    assert f"allow IPIP (IP protocol 4) from {lab.address('cp-1')} to " in told
