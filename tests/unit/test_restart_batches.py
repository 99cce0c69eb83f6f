"""Which hosts restart their daemon together."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.binary_cluster.networking.plugins.filter import restart_batches as plugin

HOSTS = [f"worker-{number}.lab.example" for number in range(1, 10)]


def batches(size: object, due: dict[str, str], hosts: list[str] = HOSTS) -> list[list[str]]:
    hostvars = {host: {"__daemon": {"due": due.get(host, "")}} for host in HOSTS}
    return plugin.restart_batches(hosts, hostvars, ["__daemon"], size)


ALL = dict.fromkeys(HOSTS, "restart")


def test_there_is_no_batch_where_nothing_is_due() -> None:
    assert batches("25%", {}) == []


def test_a_percentage_is_of_all_hosts_and_is_rounded_up() -> None:
    assert [len(batch) for batch in batches("25%", ALL)] == [3, 3, 3]
    assert batches("25%", dict.fromkeys(HOSTS[:4], "reload")) == [HOSTS[:3], HOSTS[3:4]]


def test_a_batch_has_at_least_one_host() -> None:
    assert batches("1%", ALL, HOSTS[:2]) == [HOSTS[:1], HOSTS[1:2]]


def test_a_number_is_a_number_of_hosts_also_as_a_text() -> None:
    assert [len(batch) for batch in batches(4, ALL)] == [4, 4, 1]
    assert [len(batch) for batch in batches("4", ALL)] == [4, 4, 1]


def test_hosts_that_are_not_in_the_run_are_left_out() -> None:
    hostvars = {HOSTS[0]: {"__daemon": {"due": "restart"}}, HOSTS[1]: {}, HOSTS[2]: {"__daemon": {"skipped": True}}}
    assert plugin.restart_batches(HOSTS, hostvars, ["__other", "__daemon"], "25%") == [HOSTS[:1]]


@pytest.mark.parametrize("size", [0, "0%", "101%", "half", "-1", "", None, 1.5])
def test_what_is_no_size_is_refused(size: object) -> None:
    with pytest.raises(AnsibleFilterError, match=r"cluster_max_unavailable: .*give a number of hosts from 1"):
        batches(size, ALL)
