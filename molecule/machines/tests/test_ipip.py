"""Pods' packets travel as IP in IP between kernels that have it, and verify says where something blocks that."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

import pytest

from testing import lab

# On the lab's network, outside of the machines: what a switch or a firewall between them would do.
NFT = ["ip", "netns", "exec", os.environ["LAB_NAME"], "nft"]
TABLE = "netdev between"


def nft(command: str) -> str:
    return subprocess.run([*NFT, *command.split()], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def blocked() -> Iterator[None]:
    """The network drops IP protocol 4, and nothing else, of what node1 sends."""
    nft(f"add table {TABLE}")
    nft(f"add chain {TABLE} drops {{ type filter hook ingress device node1 priority 0 ; }}")
    nft(f"add rule {TABLE} drops ip protocol 4 counter drop")
    yield
    nft(f"delete table {TABLE}")


def test_a_second_run_changes_nothing() -> None:
    assert lab.changes(lab.runs()[0])
    assert lab.changes(lab.runs()[1]) == set()


def test_every_pair_of_pods_is_whole_with_the_mtu_that_ipip_leaves() -> None:
    report = lab.connectivity()
    assert report["ok"] and report["backend"] == "flannel"
    assert {("node1", "node2"), ("node2", "node1")} <= {(pair["source"], pair["target"]) for pair in report["pairs"]}
    assert {pair["mtu"] for pair in report["pairs"] if pair["protocol"] == "mtu"} == {1480}


def test_protocol_4_that_is_blocked_between_the_nodes_is_named(blocked: None) -> None:
    done = lab.playbook("verify", "--extra-vars", "verify_timeout=1 verify_tries=2")
    assert done.returncode != 0
    rules = json.loads(nft(f"--json list table {TABLE}"))["nftables"]
    dropped = next(rule["rule"]["expr"][1]["counter"]["packets"] for rule in rules if "rule" in rule)
    assert dropped > 0, "pods' packets do not travel as IP in IP"
    told = " ".join(done.stdout.split())
    assert "IPIP (IP protocol 4) leaves node1 and does not arrive at node2" in told
    assert f"allow IPIP (IP protocol 4) from {lab.address('node1')} to {lab.address('node2')}" in told
