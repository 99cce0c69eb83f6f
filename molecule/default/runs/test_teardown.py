"""Teardown of one of three members of etcd: it asks, keeps the quorum, and the next site brings the host back."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from testing import lab

STAYING, DOWN, LEAVING = lab.names("etcd")
MEMBERS = "set -a; . /etc/etcd/etcdctl.env; etcdctl member list --write-out json"
RECORD = "ls /var/lib/binary_cluster 2>/dev/null || true"


def members() -> list[str]:
    """Names of etcd's members, as one that stays lists them."""
    return sorted(member["name"] for member in json.loads(lab.inside(STAYING, MEMBERS))["members"])


def teardown(*arguments: str) -> tuple[int, str]:
    """Exit code of teardown of one host, and what it said."""
    done = lab.playbook("teardown", "--limit", LEAVING, *arguments)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def one_member_down() -> Iterator[None]:
    lab.inside(DOWN, "systemctl stop etcd")
    yield
    lab.inside(DOWN, "systemctl start etcd")


def test_a_teardown_of_some_hosts_asks_too_and_says_what_goes() -> None:
    before = lab.inside(LEAVING, RECORD)
    code, told = teardown()
    assert code != 0
    assert f"- {LEAVING}: " in told
    assert "etcd with all its data in /var/lib/etcd" in told
    assert f"- {STAYING}: " not in told
    assert "teardown_confirmed: not true, and the answer was not yes; nothing was removed" in told
    assert lab.inside(LEAVING, RECORD) == before
    assert members() == sorted(lab.names("etcd"))


def test_a_preview_asks_nothing_and_removes_nothing() -> None:
    before = lab.inside(LEAVING, RECORD)
    code, told = teardown("--check")
    assert code == 0, told
    assert "Type yes" not in told
    assert lab.inside(LEAVING, RECORD) == before
    assert members() == sorted(lab.names("etcd"))


@pytest.mark.usefixtures("one_member_down")
def test_a_member_is_not_torn_down_where_the_others_would_lose_their_quorum() -> None:
    before = lab.inside(LEAVING, RECORD)
    code, told = teardown("--extra-vars", "teardown_confirmed=true")
    assert code != 0
    assert f"etcd: {LEAVING}: cannot leave the cluster: 1 of 2 members are healthy, and 2 are needed" in told
    assert f"Not healthy: {DOWN} (" in told
    assert lab.inside(LEAVING, RECORD) == before


def test_a_member_leaves_its_cluster_and_site_brings_it_back() -> None:
    # Nothing of it is read from the variables.
    code, told = teardown("--extra-vars", "teardown_confirmed=true cluster_network=edited")
    assert code == 0, told
    assert lab.inside(LEAVING, RECORD) == ""
    assert members() == sorted([STAYING, DOWN])
    done = lab.playbook("site")
    assert done.returncode == 0, done.stdout + done.stderr
    assert members() == sorted(lab.names("etcd"))
