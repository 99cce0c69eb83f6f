"""Pod CIDRs of nodes never move, whoever joins, leaves, or stands where in the inventory."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.binary_cluster.networking.plugins.filter.pod_cidrs import pod_cidrs as filtered
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends import pod_cidrs
from hypothesis import given, strategies as st

NETWORK = ipaddress.IPv4Network("10.244.0.0/16")
NEW = {"pod_cidr": "", "pod_cidrs": {}}


def given_to(names: Sequence[str], facts: Mapping[str, Any], length: int = 24) -> dict[str, str]:
    return pod_cidrs.pod_cidrs(names, facts, NETWORK, length)


def after(given: Mapping[str, str]) -> dict[str, Any]:
    """Facts of hosts after a run that was for all of them."""
    return {name: {"pod_cidr": part, "pod_cidrs": dict(given)} for name, part in given.items()}


def test_new_nodes_get_the_lowest_parts_in_the_order_of_the_inventory() -> None:
    assert given_to(["b", "a"], {"a": NEW, "b": NEW}) == {"b": "10.244.0.0/24", "a": "10.244.1.0/24"}


@given(st.permutations("abcdef"), st.permutations("abcdefgh"), st.sets(st.sampled_from("abcdef")))
def test_nobody_moves_whatever_the_order_and_whoever_joins_and_leaves(
    first: list[str], second: list[str], leaving: set[str]
) -> None:
    before = given_to(first, dict.fromkeys(first, NEW))
    names = [name for name in second if name not in leaving]
    known = after(before)
    now = given_to(names, {name: known.get(name, NEW) for name in names})
    assert all(now[name] == before[name] for name in names if name in before)
    assert len(set(now.values())) == len(names)


def test_a_new_node_takes_the_lowest_part_that_one_which_left_had() -> None:
    known = after(given_to("abc", dict.fromkeys("abc", NEW)))
    del known["a"]
    assert given_to("bcd", {**known, "d": NEW})["d"] == "10.244.0.0/24"


def test_a_node_out_of_the_run_keeps_what_another_knows_of_it() -> None:
    known = after(given_to("abc", dict.fromkeys("abc", NEW)))
    del known["b"]
    assert given_to("dabc", {**known, "d": NEW}) == {
        "a": "10.244.0.0/24",
        "b": "10.244.1.0/24",
        "c": "10.244.2.0/24",
        "d": "10.244.3.0/24",
    }


def test_a_node_out_of_the_run_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(pod_cidrs.PodCidrError, match=r"^b, c: not in this run"):
        given_to("abc", {"a": NEW})


def test_a_machine_that_was_interrupted_before_it_kept_anything_gets_what_the_others_were_told() -> None:
    known = after(given_to("abc", dict.fromkeys("abc", NEW)))
    assert given_to("cba", {**known, "b": NEW})["b"] == "10.244.1.0/24"


def test_what_a_node_has_itself_goes_before_what_an_outdated_one_has_heard() -> None:
    facts = {
        "a": {"pod_cidr": "10.244.0.0/24", "pod_cidrs": {"a": "10.244.0.0/24", "b": "10.244.1.0/24"}},
        "b": NEW,
        "c": {"pod_cidr": "10.244.1.0/24", "pod_cidrs": {"c": "10.244.1.0/24"}},
    }
    assert given_to("abc", facts) == {"a": "10.244.0.0/24", "b": "10.244.2.0/24", "c": "10.244.1.0/24"}


def test_a_machine_under_a_new_name_keeps_its_part() -> None:
    facts = {"new": {"pod_cidr": "10.244.7.0/24", "pod_cidrs": {"old": "10.244.7.0/24"}}}
    assert given_to(["new"], facts) == {"new": "10.244.7.0/24"}


def test_parts_of_another_network_or_length_do_not_count() -> None:
    facts = {"a": {"pod_cidr": "10.99.0.0/24"}, "b": {"pod_cidr": "10.244.0.0/25"}}
    assert given_to("ab", facts) == {"a": "10.244.0.0/24", "b": "10.244.1.0/24"}


def test_two_machines_with_one_part_are_an_error() -> None:
    copied = {"pod_cidr": "10.244.0.0/24"}
    with pytest.raises(pod_cidrs.PodCidrError, match=r"^a, b: 10.244.0.0/24 is had by each"):
        given_to("ab", {"a": copied, "b": copied})


def test_more_nodes_than_parts_are_an_error() -> None:
    with pytest.raises(pod_cidrs.PodCidrError, match=r"^c: no /17 of 10.244.0.0/16 is free"):
        given_to("abc", dict.fromkeys("abc", NEW), length=17)


def test_the_filter_gives_nodes_with_their_addresses() -> None:
    hostvars = {"a": {"ansible_host": "192.0.2.11", "ansible_facts": {"cluster_host": NEW}}}
    assert filtered(["a"], hostvars, "10.244.0.0/16", 24) == [
        {"name": "a", "address": "192.0.2.11", "pod_cidr": "10.244.0.0/24", "pod_cidr_v6": ""}
    ]


@pytest.mark.parametrize("network", ["10.244.0.1/16", "pods"])
def test_the_filter_says_what_is_no_network(network: str) -> None:
    hostvars = {"a": {"ansible_host": "192.0.2.11", "ansible_facts": {"cluster_host": NEW}}}
    with pytest.raises(AnsibleFilterError, match=r"^pod CIDRs: .*"):
        filtered(["a"], hostvars, network, 24)


@given(st.integers(0, 255), st.integers(40, 56))
def test_the_ipv6_network_of_a_node_has_the_number_of_its_pod_cidr(number: int, length: int) -> None:
    network = ipaddress.IPv6Network((0xFD00 << 112, length))
    found = ipaddress.IPv6Network(pod_cidrs.derived_v6(f"10.244.{number}.0/24", NETWORK, network))
    assert found.subnet_of(network) and found.prefixlen == 64
    assert int(found.network_address) >> 64 == (0xFD00 << 48) + number


def test_a_node_beyond_what_the_ipv6_network_has_is_refused() -> None:
    small = ipaddress.IPv6Network("fd00::/60")
    assert pod_cidrs.derived_v6("10.244.15.0/24", NETWORK, small) == "fd00:0:0:f::/64"
    with pytest.raises(pod_cidrs.PodCidrError, match=r"fd00::/60 has no /64 for 10.244.16.0/24, which is part 16"):
        pod_cidrs.derived_v6("10.244.16.0/24", NETWORK, small)
    assert pod_cidrs.room_v6(ipaddress.IPv6Network("fd00::/80")) == 0


def test_the_filter_tells_both_networks_of_a_node() -> None:
    hostvars = {"a": {"ansible_host": "192.0.2.11", "ansible_facts": {"cluster_host": NEW}}}
    (found,) = filtered(["a"], hostvars, "10.244.0.0/16", 24, "fd00:10:244::/48")
    assert (found["pod_cidr"], found["pod_cidr_v6"]) == ("10.244.0.0/24", "fd00:10:244::/64")
    with pytest.raises(AnsibleFilterError, match="pod CIDRs"):
        filtered(["a"], hostvars, "10.244.0.0/16", 24, "10.0.0.0/8")
