"""What a host's resolver is told, and that others' settings stay."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._dns import resolver
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import files, install_record
from ansible_collections.binary_cluster.networking.plugins.modules import coredns_node
from ansible_collections.binary_cluster.networking.plugins.modules.host_facts import nameservers

DOMAINS = ["cluster.local", "0.0.10.in-addr.arpa"]


def test_the_server_comes_before_those_that_were_there() -> None:
    original = "# by hand\ndomain corp.example\nnameserver 192.0.2.53\nnameserver 192.0.2.54\noptions ndots:2 rotate\n"
    assert resolver.resolv_conf(original, "10.0.0.2", "cluster.local") == (
        "# Ansible managed\nnameserver 10.0.0.2\nnameserver 192.0.2.53\nnameserver 192.0.2.54\n"
        "search cluster.local corp.example\noptions ndots:2 rotate\n"
    )


def test_no_more_servers_are_listed_than_are_looked_at() -> None:
    original = "".join(f"nameserver 192.0.2.{number}\n" for number in range(1, 5))
    told = resolver.resolv_conf(original, "10.0.0.2", "cluster.local")
    assert [line for line in told.splitlines() if line.startswith("nameserver")] == [
        "nameserver 10.0.0.2", "nameserver 192.0.2.1", "nameserver 192.0.2.2",
    ]  # fmt: skip


def test_what_is_there_already_is_not_listed_twice() -> None:
    told = resolver.resolv_conf("nameserver 10.0.0.2\nsearch cluster.local x.test\n", "10.0.0.2", "cluster.local")
    assert told == "# Ansible managed\nnameserver 10.0.0.2\nsearch cluster.local x.test\n"


def test_systemd_resolved_asks_for_these_domains_alone() -> None:
    assert resolver.link_settings("coredns0", "10.0.0.2", 53, DOMAINS) == [
        ["dns", "coredns0", "10.0.0.2"],
        ["domain", "coredns0", "cluster.local", "~0.0.10.in-addr.arpa"],
        ["default-route", "coredns0", "no"],
    ]
    assert resolver.link_settings("coredns0", "10.0.0.2", 5353, DOMAINS)[0][2] == "10.0.0.2:5353"


def test_only_settings_that_differ_are_made() -> None:
    held = {"dns": "10.0.0.2", "domain": "cluster.local", "default-route": "no"}
    differing = resolver.differing(
        resolver.link_settings("coredns0", "10.0.0.2", 53, DOMAINS),
        lambda words: (0, f"Link 4 (coredns0): {held[words[1]]}\n", ""),
    )
    assert differing == [["domain", "coredns0", "cluster.local", "~0.0.10.in-addr.arpa"]]


def test_a_refusal_of_systemd_resolved_is_told_in_its_words() -> None:
    with pytest.raises(resolver.ResolverError, match=r"resolvectl dns coredns0 10.0.0.2: Unit not found"):
        resolver.set_link([["dns", "coredns0", "10.0.0.2"]], lambda _words: (1, "", "Unit not found\n"))


def test_the_servers_of_a_resolv_conf_are_known(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    assert nameservers(str(path)) == []
    path.write_text("# nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver\nsearch x.test\nnameserver 2001:db8::1\n")
    assert nameservers(str(path)) == ["192.0.2.2", "2001:db8::1"]


def test_what_a_link_led_to_is_read_from_where_the_link_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "resolv.conf").write_text("nameserver 192.0.2.53\n")
    (tmp_path / "etc").mkdir()
    path = tmp_path / "etc" / "resolv.conf"
    path.symlink_to("../run/resolv.conf")
    monkeypatch.setattr(resolver, "RESOLV_CONF", str(path))
    ledger = install_record.Ledger("coredns", str(tmp_path / "records"))
    for _run in range(2):
        (entry,) = resolver.wanted("resolv_conf", [], "10.0.0.2", "cluster.local", ledger)
        assert b"nameserver 10.0.0.2\nnameserver 192.0.2.53\n" in entry.data
        files.reach([entry], ledger, lambda *_words, **_options: (0, "", ""), check_mode=False)


# --- the link --------------------------------------------------------------------------


def link(*addresses: str, kind: str = "bridge", up: bool = True) -> dict[str, object]:
    told = [address.split("/") for address in addresses]
    return {
        "ifname": "coredns0",
        "flags": ["BROADCAST", *(["UP"] if up else [])],
        "linkinfo": {"info_kind": kind},
        "addr_info": [{"local": local, "prefixlen": int(length), "scope": "global"} for local, length in told]
        + [{"local": "fe80::1", "prefixlen": 64, "scope": "link"}],
    }


@pytest.mark.parametrize(
    ("links", "missing", "superfluous"),
    [
        (
            [],
            [
                "link add name coredns0 type bridge",
                "address add 10.0.0.2/32 dev coredns0",
                "link set dev coredns0 up",
            ],
            [],
        ),
        ([link("10.0.0.2/32")], [], []),
        ([link("10.0.0.2/32", up=False)], ["link set dev coredns0 up"], []),
        # The former address goes last: until CoreDNS has moved it is asked there.
        ([link("10.0.0.9/32")], ["address add 10.0.0.2/32 dev coredns0"], ["address delete 10.0.0.9/32 dev coredns0"]),
    ],
)
def test_the_link_gets_what_it_lacks(
    links: list[dict[str, object]], missing: list[str], superfluous: list[str]
) -> None:
    assert coredns_node.plan(links, "coredns0", "10.0.0.2") == (missing, superfluous)


def test_a_link_of_somebody_else_is_not_taken() -> None:
    with pytest.raises(coredns_node.NodeError, match="somebody else's"):
        coredns_node.plan([link(kind="vxlan")], "coredns0", "10.0.0.2")
