"""Nodes that check the paths to one another's pods by themselves."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pytest

from testing import lab
from testing.breakage import QUICK, Breakage, Facts, broken, expect, known

NODES = ("cp-1", "worker-2.lab.example", "worker-3.lab.example")
UNIT = "binary-cluster-verify"
TIMER = ("--extra-vars", "verify_timer=*:*:0/2", "--extra-vars", '{"verify_protocols": ["icmp"]}')
REPAIR = "systemctl restart flanneld"
LEFT = (
    f"ls -d /etc/systemd/system/{UNIT}.* /usr/local/lib/{UNIT} /var/lib/{UNIT} /var/lib/binary_cluster/{UNIT}.json"
    f" 2>/dev/null; getent passwd {UNIT}; systemctl list-units --all --no-legend '{UNIT}*'"
)


def changed(*arguments: str) -> dict[str, int]:
    """How many tasks changed something, or would, on each node."""
    done = lab.playbook("verify", *QUICK, *TIMER, *arguments)
    assert done.returncode == 0, done.stdout
    counts = re.findall(r"^(\S+) .* changed=(\d+) ", done.stdout, re.MULTILINE)
    return {node: int(number) for node, number in counts if node in NODES}


def heard(since: str, words: str, priority: str) -> bool:
    """Whether cp-1 says something in its journal before long."""
    for _try in range(100):
        journal = f"journalctl -t {UNIT} -p {priority} --since=@{since} --output=cat --no-pager"
        if words in lab.inside("cp-1", journal):
            return True
        time.sleep(0.1)
    return False


@pytest.fixture(scope="module", autouse=True)
def timer() -> Iterator[None]:
    would = changed("--check")
    assert would == dict.fromkeys(NODES, 1)
    assert changed() == would
    assert changed() == dict.fromkeys(NODES, 0)
    yield
    # A service that has failed is to be gone too.
    spoil = f"echo spoilt > /var/lib/{UNIT}/state.json"
    lab.inside("worker-3.lab.example", f"until {spoil}; systemctl is-failed --quiet {UNIT}; do sleep 0.2; done")
    done = lab.playbook("verify", *QUICK, "--extra-vars", '{"verify_protocols": ["icmp"]}')
    assert done.returncode == 0, done.stdout
    assert [lab.inside(node, f"{LEFT}; true") for node in NODES] == [""] * 3


@pytest.fixture(scope="module")
def facts(timer: None) -> Facts:
    return known()


FAULTS = (
    (
        Breakage("", "cp-1", "ip route del {subnet2}", REPAIR, "route-missing"),
        "there is no route to {subnet2}, the pods of worker-2.lab.example",
    ),
    (
        Breakage("", "cp-1", "ip neigh del {vtep3} dev flannel.1", REPAIR, "neighbour-missing"),
        "flannel.1 does not know the MAC of {vtep3}, the tunnel of worker-3.lab.example",
    ),
    (
        Breakage(
            "",
            "cp-1",
            "nft add table inet breakage; nft 'add chain inet breakage in { type filter hook input priority 0; }';"
            " nft add rule inet breakage in ip saddr {address2} udp dport 8472 drop",
            "nft delete table inet breakage",
            "tunnel-blocked",
        ),
        "in the pod network of worker-2.lab.example do not answer, though {address2} does",
    ),
    (
        Breakage("", "cp-1", "sysctl -qw net.ipv4.ip_forward=0", "sysctl -qw net.ipv4.ip_forward=1", "forwarding-off"),
        "IPv4 forwarding is off",
    ),
)


@pytest.mark.parametrize(("fault", "told"), FAULTS, ids=[fault.code for fault, _told in FAULTS])
def test_a_fault_is_alarmed_with_its_cause_and_its_end_is_told(fault: Breakage, told: str, facts: Facts) -> None:
    began = lab.inside("cp-1", "date +%s.%N").strip()
    with broken([fault], facts):
        assert heard(began, facts.fill(told), "err")
        if fault.code == "route-missing":  # and the timer is no dead daemon
            expect([fault], facts, *TIMER)
        # It may be seen whole before the repair has come back.
        mended = lab.inside("cp-1", "date +%s.%N").strip()
    assert heard(mended, "whole again; it was: ", "notice")
    assert heard(mended, "all paths to 2 other nodes and their pods pass", "info")


def test_a_timer_that_was_changed_by_hand_is_told_as_drift_and_mended() -> None:
    directory = lab.REPORTS / "drift-of-timer"
    lab.inside("cp-1", f"systemctl stop {UNIT}.timer")
    lab.inside("worker-2.lab.example", f"echo '# by hand' >> /etc/systemd/system/{UNIT}.service")
    done = lab.playbook("drift", *TIMER, "--extra-vars", f"drift_report_directory={directory}")
    assert done.returncode != 0
    differences = json.loads((directory / "drift.json").read_text())["differences"]
    assert {(one["host"], one["role"], one["what"]) for one in differences} == {
        ("cp-1", "verify", f"start {UNIT}"),
        ("worker-2.lab.example", "verify", f"/etc/systemd/system/{UNIT}.service"),
    }
    assert changed() == {"cp-1": 1, "worker-2.lab.example": 1, "worker-3.lab.example": 0}


def test_the_service_is_allowed_little() -> None:
    level = lab.inside("cp-1", f"systemd-analyze security --no-pager {UNIT}.service | tail -n 1")
    assert float(re.findall(r"\d+\.\d+", level)[0]) < 2.5
