"""Which changes of its members an etcd cluster allows; tests/kernel and molecule/etcd make them on real ones."""

from __future__ import annotations

import json

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import (
    answers as etcd_answers,
    client as etcd,
    cluster as etcd_cluster,
    process as etcd_process,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd.cluster import ClusterError, View, Wanted

NAMES = ("one", "two", "three")
INVENTORY = tuple(
    Wanted(name, f"https://192.0.2.{number}:2380", f"https://192.0.2.{number}:2379")
    for number, name in enumerate(NAMES, 1)
)


def member(name: str, number: int, learner: bool = False, started: bool = True) -> etcd_answers.Member:
    clients = (f"https://192.0.2.{number}:2379",) if started else ()
    return etcd_answers.Member(str(number), name, (f"https://192.0.2.{number}:2380",), clients, learner)


def view(*sick: str, members: tuple[etcd_answers.Member, ...] = ()) -> View:
    """Three members of the inventory, or others, of which those with these ids are sick."""
    members = members or tuple(member(name, number) for number, name in enumerate(NAMES, 1))
    return View(members, dict.fromkeys(sick, "no answer"), INVENTORY)


def test_a_member_is_known_by_its_name_or_else_by_where_it_is_reached() -> None:
    moved, nameless, strange = member("two", 9), member("", 3), member("nine", 8)
    found = view(members=(member("one", 1), moved, nameless, strange))
    assert [found.listed(one) for one in INVENTORY] == [found.members[0], moved, nameless]
    assert found.unknown == [strange]


@pytest.mark.parametrize(
    ("sick", "allowed"),
    [
        ((), True),
        (("1",), True),  # the one that is restarted
        (("2",), False),
        (("2", "3"), False),
        (("1", "2"), False),  # three serves, so one takes part
        (("1", "2", "3"), True),  # nobody serves: there is nothing to lose
    ],
)
def test_a_restart_is_allowed_while_it_takes_nothing_away(sick: tuple[str, ...], allowed: bool) -> None:
    found = view(*sick)
    if allowed:
        etcd_cluster.require_restart(found, found.members[0])
        return
    with pytest.raises(ClusterError, match="would lose its quorum or its spare member: "):
        etcd_cluster.require_restart(found, found.members[0])


def test_a_learner_may_be_restarted_whatever_the_others_do() -> None:
    learner = member("three", 3, learner=True)
    found = view("2", members=(member("one", 1), member("two", 2), learner))
    etcd_cluster.require_restart(found, learner)


def test_a_member_joins_while_the_others_are_a_quorum() -> None:
    found = view("3")
    etcd_cluster.require_join(found, found.members[2])
    with pytest.raises(
        ClusterError, match="2 of the 3 members that vote must be healthy, and 1 are: two is not healthy"
    ):
        etcd_cluster.require_join(view("2", "3"), found.members[2])


def test_the_lost_one_of_two_members_cannot_be_replaced_by_the_other() -> None:
    pair = (member("one", 1), member("two", 2))
    with pytest.raises(ClusterError, match="2 of the 2 members that vote must be healthy, and 1 are"):
        etcd_cluster.require_join(view("2", members=pair), pair[1])


def test_two_do_not_join_at_once() -> None:
    found = view("2", members=(member("one", 1), member("", 2, learner=True, started=False)))
    with pytest.raises(ClusterError, match="two is a learner, and etcd takes one at a time"):
        etcd_cluster.require_join(found, None)
    etcd_cluster.require_join(found, found.members[1])


def test_a_stranger_is_removed_where_a_variable_names_it_and_a_quorum_stays() -> None:
    strangers = (*view().members, member("nine", 9))
    assert etcd_cluster.removable(view("9", members=strangers), []) == []
    assert etcd_cluster.removable(view("9", members=strangers), ["nine"]) == [strangers[3]]
    assert etcd_cluster.removable(view(members=strangers), ["9", "nobody"]) == [strangers[3]]
    with pytest.raises(ClusterError, match="etcd_remove_members: nine: not removed, because 3 of the 4"):
        etcd_cluster.removable(view("8", "3", "9", members=strangers), ["nine"])
    with pytest.raises(ClusterError, match="etcd_remove_members: two: it is in the inventory"):
        etcd_cluster.removable(view(members=strangers), ["two"])
    alone = (member("one", 1), member("eight", 8), member("nine", 9))
    with pytest.raises(ClusterError, match="the 1 members that stay would be no quorum: one is not healthy"):
        etcd_cluster.removable(view("1", members=alone), ["eight", "nine"])


def test_strangers_are_named_with_what_can_be_done() -> None:
    strangers = (*view().members, member("nine", 9))
    assert etcd_cluster.strangers(view(members=strangers), []) == (
        "groups.etcd: the cluster has members that the inventory does not have: nine (https://192.0.2.9:2380). "
        "They stay and vote; put them into group etcd, or set etcd_remove_members: [nine]"
    )
    assert etcd_cluster.strangers(view(members=strangers), ["nine"]) == ""


def test_addresses_move_one_at_a_time_and_ports_all_together() -> None:
    here = tuple(member(name, number) for number, name in enumerate(NAMES, 11))
    with pytest.raises(ClusterError, match=r"one \(now at 192.0.2.11\), two .* change that of one alone"):
        etcd_cluster.require_one_move(view(members=here))
    etcd_cluster.require_one_move(view(members=(here[0], *view().members[1:])))
    ports = tuple(
        etcd_answers.Member(
            str(number), name, (f"https://192.0.2.{number}:12380",), (f"https://192.0.2.{number}:12379",), False
        )
        for number, name in enumerate(NAMES, 1)
    )
    etcd_cluster.require_one_move(view(members=ports))
    # Restarted by hand: they serve at the new addresses, and the cluster has only to be told.
    by_hand = tuple(
        etcd_answers.Member(
            str(number), name, (f"https://192.0.2.{number + 10}:2380",), (INVENTORY[number - 1].client_url,), False
        )
        for number, name in enumerate(NAMES, 1)
    )
    etcd_cluster.require_one_move(view(members=by_hand))


@pytest.mark.parametrize(
    ("size", "quota", "fits"),
    [
        (2**20, 2**21, False),  # a large request would not
        (2**20, 2**22, True),
        (2 * 1024**3, 0, False),
        (99, 0, True),
        (2**40, -1, True),
    ],
)
def test_a_database_fits_its_quota(size: int, quota: int, fits: bool) -> None:
    assert etcd_cluster.fits(size, quota) is fits


def test_the_gravest_of_the_last_messages_is_the_cause() -> None:
    entries = [
        {"level": "error", "msg": "an old one"},
        {"level": "fatal", "msg": "discovery failed", "error": "listen tcp: bind: address already in use"},
        {"level": "warn", "msg": "a later one"},
        {"level": "info", "msg": "no fault"},
    ]
    lines = ["Started etcd.", *map(json.dumps, entries), "{", "[1]"]
    assert etcd_process.cause(lines) == "listen tcp: bind: address already in use"
    assert etcd_process.cause(lines[:2]) == "an old one"
    assert etcd_process.cause([]) == ""


def test_a_cause_that_a_remedy_is_known_for_comes_first_and_no_stack_trace_is_shown() -> None:
    lines = [
        json.dumps({"level": "panic", "msg": "failed to create WAL", "error": "no space left on device"}),
        json.dumps({"level": "panic", "msg": "another"}),
        "panic: failed to create WAL",
        "",
        "goroutine 1 [running]:",
        "go.uber.org/zap.(*Logger).Panic(0x1c0677492e70?, {0x12b2151?, 0x180?})",
        "\tgo.uber.org/zap@v1.27.0/logger.go:284 +0x51",
        "created by go.etcd.io/etcd/server/v3/storage.OpenBackend in goroutine 1",
        "etcd.service: Main process exited, code=exited, status=2/INVALIDARGUMENT",
    ]
    assert etcd_process.cause(lines) == "failed to create WAL: no space left on device"
    assert [words for words in map(etcd_process.readable, lines) if words] == [
        "panic: failed to create WAL: no space left on device",
        "panic: another",
        lines[-1],
    ]


def test_members_of_several_clusters_are_not_taken_for_one() -> None:
    unanswered = etcd.EtcdError("http://c: timed out")
    etcd_cluster.require_one_cluster({})
    etcd_cluster.require_one_cluster({"http://a": "1f", "http://b": "1f", "http://c": unanswered})
    with pytest.raises(etcd_cluster.ClusterError, match="different clusters: http://a of 1f, and http://b of 2f; stop"):
        etcd_cluster.require_one_cluster({"http://b": "2f", "http://a": "1f", "http://c": unanswered})


def test_check_mode_judges_a_restart_as_if_the_steps_before_it_had_been_taken() -> None:
    gone = member("gone", 9)
    found = view("2", "9", members=(member("one", 1), member("two", 2), gone))
    for repaired, removed in ((["two"], []), ([], ["gone"])):
        with pytest.raises(ClusterError, match="would lose its quorum or its spare member"):
            etcd_cluster.require_restart(found.after(repaired, removed), found.members[0])
    expected = found.after(["two"], ["gone"])
    etcd_cluster.require_restart(expected, found.members[0])
    assert [one.name for one in expected.members] == ["one", "two"]
    # A member of the inventory is never removed.
    assert found.after([], ["two"]).members == found.members
