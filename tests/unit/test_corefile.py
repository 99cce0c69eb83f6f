"""The files of CoreDNS, from the structure that describes its zones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.binary_cluster.networking.plugins.filter.coredns_files import coredns_files
from ansible_collections.binary_cluster.networking.plugins.filter.nth_address import nth_address
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._rendering import corefile as rendering_corefile
from hypothesis import given, strategies as some

SETTINGS = rendering_corefile.Settings(
    addresses=["10.0.0.2"],
    clients=["127.0.0.0/8", "10.244.0.0/16"],
    server="ns.dns.x.test",
    port=53,
    cache=30,
    query_log=False,
    status_address="127.0.0.1",
    health_port=8180,
    ready_port=8181,
    metrics_port=9153,
    blocks="",
)
RECORDS = [{"name": "a.x.test", "value": "10.0.0.9"}]


def corefile(*zones: dict[str, Any], **settings: Any) -> str:
    told = rendering_corefile.Settings(**{**SETTINGS.__dict__, **settings})
    return rendering_corefile.render(zones, told, {}).texts["Corefile"]


def plugins(text: str) -> list[str]:
    return rendering_corefile.plugins_named(text, 1)


def test_the_whole_of_a_forwarding_server() -> None:
    zone = {"names": ["."], "forward": {"to": ["192.0.2.53", "192.0.2.54"], "policy": "round_robin"}}
    text = corefile(zone)
    version = re.search(r"chaos (\w{16})$", text, re.M)
    assert version
    assert (
        text
        == f""".:53 {{
    bind 10.0.0.2
    errors
    prometheus 127.0.0.1:9153
    ready 127.0.0.1:8181
    health 127.0.0.1:8180
    cache 30
    loadbalance
    loop
    forward . 192.0.2.53 192.0.2.54 {{
        policy round_robin
    }}
    acl {{
        allow net 127.0.0.0/8 10.244.0.0/16
        block
    }}
}}

version.bind:53 {{
    bind 10.0.0.2
    chaos {version.group(1)}
    acl {{
        allow net 127.0.0.0/8 10.244.0.0/16
        block
    }}
}}
"""
    )


def test_an_access_list_in_a_zones_own_words_comes_first() -> None:
    """CoreDNS takes the first rule that fits, and the role's fits everybody."""
    text = corefile({"names": ["x.test"], "records": RECORDS, "extra": "acl {\n    block net 10.244.7.0/24\n}"})
    rules = [
        line.strip() for line in text.partition("version.bind")[0].splitlines() if "block" in line or "allow" in line
    ]
    assert rules == ["block net 10.244.7.0/24", "allow net 127.0.0.0/8 10.244.0.0/16", "block"]


def test_sources_hand_on_but_for_the_last() -> None:
    zone = {
        "names": ["x.test"],
        "records": RECORDS,
        "etcd": {"path": "/skydns", "endpoints": ["https://192.0.2.1:2379"]},
        "kubernetes": {"kubeconfig": "/a"},
        "forward": {"to": ["192.0.2.53"]},
    }
    text = corefile(zone)
    assert [name for name in plugins(text) if name in rendering_corefile.SOURCES] == list(rendering_corefile.SOURCES)
    assert text.count("fallthrough") == 3
    assert corefile({**zone, "forward": None}).count("fallthrough") == 2
    assert "fallthrough" not in corefile({"names": ["x.test"], "records": RECORDS})


def test_health_is_told_once_and_the_rest_by_every_zone() -> None:
    text = corefile({"names": ["x.test"], "records": RECORDS}, {"names": ["y.test"], "forward": {"to": ["192.0.2.1"]}})
    assert (text.count("health "), text.count("ready "), text.count("prometheus ")) == (1, 2, 2)


def test_a_cache_of_zero_is_none_and_a_zone_may_have_its_own() -> None:
    zone = {"names": ["x.test"], "records": RECORDS}
    assert "cache" not in corefile(zone, cache=0)
    assert "cache 5\n" in corefile({**zone, "cache": 5})
    assert "cache" not in corefile({**zone, "cache": 0})


def test_queries_are_logged_where_that_is_wanted() -> None:
    zone = {"names": ["x.test"], "records": RECORDS}
    assert "log" in plugins(corefile(zone, query_log=True))
    assert "log" not in plugins(corefile(zone))


def test_the_version_follows_every_byte_of_every_file(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("one")

    def version(value: str = "10.0.0.9", **settings: Any) -> str:
        zone = {"names": ["x.test"], "records": [{"name": "a.x.test", "value": value}]}
        told = rendering_corefile.Settings(**{**SETTINGS.__dict__, **settings})
        return rendering_corefile.render([zone], told, {"pki/key": str(key)}).version

    first = version()
    assert version() == first
    assert version(value="10.0.0.8") != first
    assert version(cache=31) != first
    key.write_text("two")
    assert version() != first


def test_paths_are_relative_so_that_the_files_can_be_tried_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "zone").write_text("; nothing")
    zone = {
        "names": ["x.test", "10.0.0.0/24"],
        "records": RECORDS,
        "files": {"10.0.0.0/24": str(tmp_path / "zone")},
    }
    with pytest.raises(rendering_corefile.CorefileError, match="has records too"):
        corefile(zone)
    text = corefile({"names": ["x.test"], "files": {"x.test": str(tmp_path / "zone")}})
    assert "file zones/x.test.zone x.test {" in text
    assert "/etc" not in text


def test_a_zone_file_that_is_not_there_is_told_with_its_place() -> None:
    with pytest.raises(
        rendering_corefile.CorefileError, match=r"coredns_zones\[0\].files.x.test: /nowhere: No such file"
    ):
        corefile({"names": ["x.test"], "files": {"x.test": "/nowhere"}})


@given(some.ip_addresses(v=4, network="10.244.0.0/15"))
def test_names_by_rule_hold_for_every_address_of_the_network(address: Any) -> None:
    name, pointer = rules("10.244.0.0/15")
    asked = f"{str(address).replace('.', '-')}.pod.x.test."
    found = re.match(name, asked)
    assert found and ".".join(found.group(*"abcd")) == str(address)
    found = re.match(pointer, f"{address.reverse_pointer}.")
    assert found and ".".join(found.group(*"abcd")) == str(address)


@pytest.mark.parametrize("asked", ["10-246-0-1", "10-244-0-256", "10-244-01-1", "10-244-0", "10-244-0-1-1"])
def test_names_by_rule_hold_for_no_other(asked: str) -> None:
    assert not re.match(rules("10.244.0.0/15")[0], f"{asked}.pod.x.test.")


def rules(network: str) -> list[str]:
    """The expressions for names and for pointers."""
    text = corefile({"names": ["x.test", network], "pods": network, "records": RECORDS})
    # CoreDNS and Python write named groups alike.
    found = re.findall(r'match "(.*)"', text)
    return [found[0], found[2]]


def test_names_by_rule_need_something_beside_them() -> None:
    with pytest.raises(rendering_corefile.CorefileError, match="need records or files"):
        corefile({"names": ["x.test"], "pods": "10.244.0.0/16"})


@pytest.mark.parametrize(
    ("text", "depth", "names"),
    [
        ("z.org:53 {\n  whoami\n  forward . 1.1.1.1 {\n    policy random\n  }\n}\n", 1, ["whoami", "forward"]),
        ("acl {\n  block\n}\n# cache\nlog", 0, ["acl", "log"]),
        ('template IN A {\n  answer "} x {"\n}\nerrors', 0, ["template", "errors"]),
        ("", 0, []),
    ],
)
def test_plugins_of_raw_parts_are_found(text: str, depth: int, names: list[str]) -> None:
    assert rendering_corefile.plugins_named(text, depth) == names


def test_keys_are_for_the_daemon_to_read_and_texts_need_no_restart() -> None:
    made = coredns_files(
        [{"names": ["x.test"], "records": RECORDS}], SETTINGS.__dict__, copies={"pki/etcd.key": "/nowhere/key"}
    )
    assert made["directories"] == [{"path": "/etc/coredns/pki", "group": "coredns", "mode": "0750"}]
    key = next(entry for entry in made["files"] if entry["path"] == "/etc/coredns/pki/etcd.key")
    assert key == {
        "path": "/etc/coredns/pki/etcd.key", "src": "/nowhere/key", "group": "coredns", "mode": "0640",
        "needs": "reload",
    }  # fmt: skip
    assert all(entry["needs"] == "reload" for entry in made["files"])


@pytest.mark.parametrize(("network", "number"), [("10.0.0.0/31", 2), ("10.0.0.0/30", 3), ("10.0.0.0/24", 0), ("x", 1)])
def test_a_network_without_room_for_an_address_is_refused(network: str, number: int) -> None:
    with pytest.raises(AnsibleFilterError):
        nth_address(network, number)


def test_the_second_address_of_a_network_is_known() -> None:
    assert nth_address("10.0.0.0/30", 2) == "10.0.0.2"
    assert nth_address("fd00::/120", 2) == "fd00::2"
