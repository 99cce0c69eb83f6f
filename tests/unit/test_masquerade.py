from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing import masquerade as routing_masquerade
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing.masquerade import (
    Masquerade,
    masquerade,
)

WANTED = masquerade("t", ["10.244.0.0/16"], ["10.96.0.0/12", "192.0.2.9/32"])


def listing() -> list[dict[str, Any]]:
    """The table as nft 1.0.6 lists it."""

    def match(field: str, name: str) -> dict[str, Any]:
        left = {"payload": {"protocol": "ip", "field": field}}
        return {"match": {"op": "==", "left": left, "right": name}}

    common = {"family": "inet", "table": "t"}
    cluster = [{"prefix": {"addr": "10.96.0.0", "len": 12}}, {"prefix": {"addr": "10.244.0.0", "len": 16}}, "192.0.2.9"]
    sets = {"pods4": [{"prefix": {"addr": "10.244.0.0", "len": 16}}], "networks4": cluster}
    hook = {"type": "nat", "hook": "postrouting", "prio": 100, "policy": "accept"}
    source = match("saddr", "@pods4")
    rules: list[list[Any]] = [
        [source, match("daddr", "@networks4"), {"return": None}],
        [source, {"masquerade": {"flags": "fully-random"}}],
    ]
    return [
        {"metainfo": {"version": "1.0.6", "json_schema_version": 1}},
        {"table": {"family": "inet", "name": "t", "handle": 2}},
        *(
            {"set": {**common, "name": name, "type": "ipv4_addr", "handle": 3, "flags": ["interval"], "elem": elements}}
            for name, elements in sets.items()
        ),
        {"chain": {**common, "name": "postrouting", "handle": 1, **hook}},
        *({"rule": {**common, "chain": "postrouting", "handle": 5, "expr": rule}} for rule in rules),
    ]  # fmt: skip


def test_a_table_of_ours_is_recognised() -> None:
    assert routing_masquerade.from_json("t", listing(), "as found") == WANTED


def test_releases_that_list_single_flags_otherwise_are_understood() -> None:
    entries = listing()
    entries[2]["set"]["flags"] = "interval"
    entries[-1]["rule"]["expr"][1]["masquerade"]["flags"] = ["fully-random"]
    assert routing_masquerade.from_json("t", entries, "as found") == WANTED


@pytest.mark.parametrize(
    "edit",
    [
        lambda entries: entries.pop(),
        lambda entries: entries[1]["table"].update(flags=["dormant"]),
        lambda entries: entries[3]["set"]["elem"].append("203.0.113.9"),
        lambda entries: entries[3]["set"]["elem"].append({"range": ["203.0.113.9", "203.0.113.10"]}),
        lambda entries: entries[4]["chain"].update(policy="drop"),
        lambda entries: entries[4]["chain"].update(prio=0),
        lambda entries: entries[5]["rule"]["expr"].insert(0, {"counter": None}),
        lambda entries: entries[5]["rule"].update(comment="mine"),
        lambda entries: entries.append(copy.deepcopy(entries[-1])),
        lambda entries: entries.append({"map": {"name": "more"}}),
    ],
)
def test_whatever_somebody_changed_makes_it_another_table(edit: Any) -> None:
    entries = listing()
    edit(entries)
    found = routing_masquerade.from_json("t", entries, "as found")
    assert found != WANTED
    if found.foreign:
        assert found.script() == "as found"


def test_a_changed_table_is_put_back_as_it_was_found() -> None:
    changed = Masquerade("t", (), (), foreign="table inet t {\n}\n")
    assert changed.put(WANTED) == ["table inet t\ndelete table inet t\ntable inet t {\n}\n"]


def test_pods_are_always_among_the_networks_of_the_cluster() -> None:
    assert masquerade("t", ["10.244.0.0/16", "fd00::/48"], []).networks == ("10.244.0.0/16", "fd00::/48")


def test_networks_that_overlap_or_adjoin_become_one_and_single_addresses_lose_their_length() -> None:
    given = ["10.0.1.0/24", "10.0.0.0/24", "10.0.0.128/25", "192.0.2.9/32", "fd00::1/128", "fd00:1::/64"]
    assert routing_masquerade.merged(given) == ("10.0.0.0/23", "192.0.2.9", "fd00::1", "fd00:1::/64")


def test_only_ip_versions_that_pods_have_get_rules() -> None:
    assert "ip6" not in WANTED.script()
    script = masquerade("t", ["fd00::/48"], ["10.96.0.0/12"]).script()
    assert "ip saddr" not in script
    assert "ip6 saddr @pods6 ip6 daddr @networks6 return" in script
