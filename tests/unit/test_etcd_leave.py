"""Which etcd members are removed, in which order, and when none may be."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd.answers import Member
from ansible_collections.binary_cluster.networking.plugins.modules import etcd_leave


def member(number: int, learner: bool = False, name: str | None = None) -> Member:
    """A member of a cluster whose members are named cp-1, cp-2 and so on."""
    address = f"192.0.2.{10 + number}"
    return Member(
        id=f"{number:x}",
        name=f"cp-{number}" if name is None else name,
        peer_urls=(f"https://{address}:2380",),
        client_urls=(f"https://{address}:2379",),
        learner=learner,
    )


def order(count: int, leaving: Iterable[int], sick: Iterable[int] = (), leader: int = 1) -> list[str]:
    """Names of the members to remove, in order."""
    members = [member(number) for number in range(1, count + 1)]
    told = [{"name": f"cp-{number}", "peer_url": f"https://192.0.2.{10 + number}:2380"} for number in leaving]
    steps = etcd_leave.order(members, told, {f"{number:x}": "no answer" for number in sick}, f"{leader:x}")
    return [step.name for step in steps]


def test_one_of_three_healthy_members_leaves() -> None:
    assert order(3, [2]) == ["cp-2"]


def test_all_members_together_have_nothing_to_leave_even_without_a_quorum() -> None:
    assert order(3, [1, 2, 3]) == []
    assert order(3, [1, 2, 3], sick=[1, 2, 3]) == []


def test_a_host_that_is_no_member_has_nothing_to_leave() -> None:
    assert order(3, [7]) == []


def test_the_leader_leaves_last_and_a_member_that_is_down_first() -> None:
    assert order(5, [1, 2], leader=1) == ["cp-2", "cp-1"]
    assert order(5, [1, 2, 3], sick=[3], leader=1) == ["cp-3", "cp-2", "cp-1"]


def test_two_of_three_leave_where_the_third_is_healthy() -> None:
    assert order(3, [1, 2], leader=3) == ["cp-1", "cp-2"]


def test_a_member_that_is_down_is_removed_before_it_costs_the_quorum() -> None:
    # The other way round, one healthy member of two would be left.
    assert order(3, [1, 2], sick=[1], leader=2) == ["cp-1", "cp-2"]


@pytest.mark.parametrize(
    ("count", "leaving", "sick"),
    [(3, [1], [2]), (3, [1, 2], [3]), (2, [1], [2]), (5, [1, 2], [3, 4]), (3, [1], [2, 3])],
)
def test_a_removal_that_would_leave_no_quorum_is_refused(count: int, leaving: list[int], sick: list[int]) -> None:
    with pytest.raises(etcd_leave.LeaveError) as refused:
        order(count, leaving, sick, leader=leaving[0])
    told = str(refused.value)
    assert told.startswith(", ".join(f"cp-{number}" for number in leaving) + ": cannot leave the cluster: ")
    assert f"cp-{sick[0]} (no answer)" in told
    assert "teardown_etcd_force: true" in told


def test_a_learner_counts_for_no_quorum() -> None:
    members = [member(1), member(2, learner=True)]
    leaving = [{"name": "cp-2", "peer_url": "https://192.0.2.12:2380"}]
    assert etcd_leave.order(members, leaving, {}, "1") == [members[1]]


def test_a_member_that_never_started_is_known_by_its_peer_url() -> None:
    members = [member(1), member(2), member(3, name="")]
    leaving = [{"name": "cp-3", "peer_url": "https://192.0.2.13:2380"}]
    assert etcd_leave.order(members, leaving, {"3": "never started"}, "1") == [members[2]]
