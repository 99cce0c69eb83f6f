"""Policies of Calico: what is wrong in them, and whom they would shut out."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends import (
    calico_policies,
    calico_selectors,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import Fault, Host, Inventory
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run.role_options import argument_spec

ADDRESSES = {"n1": "192.0.2.11", "n2": "192.0.2.12", "n3": "192.0.2.13"}
ENDPOINT = {
    "kind": "HostEndpoint",
    "metadata": {"name": "n1-eth0", "labels": {"role": "node"}},
    "spec": {"node": "n1", "interfaceName": "eth0"},
}
SSH = {"action": "Allow", "protocol": "TCP", "destination": {"ports": [2222]}}
DENY = {"action": "Deny"}


def policy(*ingress: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "kind": "GlobalNetworkPolicy",
        "metadata": {"name": spec.pop("name", "p")},
        "spec": {"selector": "role == 'node'", "order": 10, "types": ["Ingress"], "ingress": list(ingress), **spec},
    }


def inventory(*policies: Any, port: int = 22, etcd: tuple[str, ...] = (), **variables: Any) -> Inventory:
    told = {"calico_policies": list(policies), **variables}
    facts = {"interfaces": {"eth0": {"addresses": ["192.0.2.11/24"]}, "eth1": {"addresses": ["198.51.100.1/24"]}}}
    hosts = {
        name: Host(name, told, facts if name == "n1" else {}, address, port) for name, address in ADDRESSES.items()
    }
    return Inventory(
        hosts, {"nodes": list(ADDRESSES), "etcd": etcd}, {"calico": {}, "preflight": argument_spec("preflight")}
    )


def faults(*policies: Any, **options: Any) -> list[Fault]:
    given = inventory(*policies, **options)
    return [fault for check in calico_policies.CHECKS for fault in check(given)]


def told(*policies: Any, **options: Any) -> list[str]:
    return [str(fault) for fault in faults(*policies, **options)]


# --- selectors -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("", True),
        ("all()", True),
        ("role == 'web'", True),
        ('role!="web"', False),
        ("absent != 'x'", True),
        ("has(role)", True),
        ("!has(role)", False),
        ("role in {'db', 'web'}", True),
        ("role not in {'db', 'web'}", False),
        ("absent not in {'x'}", True),
        ("role contains 'e' && role starts with 'w' && role ends with 'b'", True),
        ("absent contains ''", False),
        ("role == 'db' || projectcalico.org/name == 'n' && !(has(absent))", True),
        ("(role == 'web' || has(role)) && has(absent)", False),
    ],
)
def test_a_selector_takes_what_calico_would_take(text: str, taken: bool) -> None:
    assert calico_selectors.parse(text)({"role": "web", "projectcalico.org/name": "n"}) is taken


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("role ==", "it ends too early"),
        ("role == web", "'web' has no quotes around it"),
        ("role = 'web'", "\"= 'web'\" is not understood"),
        ("some()", "some() is unknown; there are all(), global() and has()"),
        ("all() all()", "'all' is not expected"),
        ("role like 'x'", "'like' stands where == or != or in or not in or contains or starts with or ends with is"),
        ("&& all()", "'&&' is not the name of a label"),
    ],
)
def test_a_wrong_selector_is_told(text: str, words: str) -> None:
    with pytest.raises(calico_selectors.SelectorError) as caught:
        calico_selectors.parse(text)
    assert words in str(caught.value)


# --- how they are written --------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ("web", "calico_policies[0]: web: give kind, metadata and spec"),
        ({"kind": "IPPool", "metadata": {"name": "x"}, "spec": {}}, "calico_policies[0].kind: IPPool: one of Global"),
        (policy(SSH, ordr=1), "calico_policies[0].spec.ordr: 1: not a field; did you mean order?"),
        (
            policy({**SSH, "sorce": {}}),
            "calico_policies[0].spec.ingress[0].sorce: {}: not a field; did you mean source",
        ),
        (
            policy(SSH, {"action": "Allow", "source": {"net": ["192.0.2.0/24"]}}),
            "calico_policies[0].spec.ingress[1].source.net: ['192.0.2.0/24']: not a field; did you mean nets?",
        ),
        (policy(selector=None), "calico_policies[0].spec.selector: not set: say which endpoints it is for; all() is"),
        (policy(selector="role = 'x'"), "calico_policies[0].spec.selector: role = 'x': \"= 'x'\" is not understood"),
        (policy(order="10"), "calico_policies[0].spec.order: 10: give a number"),
        (policy(order=None), "calico_policies[0].spec.order: not set: without one it is asked last"),
        (policy(types=["ingress"]), "calico_policies[0].spec.types[0]: ingress: one of Ingress, Egress"),
        (policy(ingress=DENY), "calico_policies[0].spec.ingress: {'action': 'Deny'}: give a list"),
        (policy({}), "calico_policies[0].spec.ingress[0].action: not set: one of Allow, Deny, Log, Pass"),
        (policy({"action": "allow"}), "calico_policies[0].spec.ingress[0].action: allow: did you mean Allow?"),
        (policy({**DENY, "protocol": "tcp"}), "calico_policies[0].spec.ingress[0].protocol: tcp: one of TCP, UDP"),
        (
            policy({**DENY, "destination": {"ports": [80]}}),
            "calico_policies[0].spec.ingress[0].destination.ports: [80]: ports need the rule's protocol",
        ),
        (
            policy({**SSH, "destination": {"ports": ["90:80"]}}),
            "calico_policies[0].spec.ingress[0].destination.ports[0]: 90:80: give a port such as 80, or a range",
        ),
        (
            policy({**DENY, "source": {"nets": ["192.0.2.1/24"]}}),
            "calico_policies[0].spec.ingress[0].source.nets[0]: 192.0.2.1/24: not a network such as 192.0.2.0/24",
        ),
        (
            policy({**DENY, "source": {"nets": ["192.0.2.1"]}}),
            "calico_policies[0].spec.ingress[0].source.nets[0]: 192.0.2.1: not a network such as 192.0.2.0/24: its len",
        ),
        (
            {"kind": "HostEndpoint", "metadata": {"name": "x"}, "spec": {"interfaceName": "eth0"}},
            "calico_policies[0].spec.node: not set: give the name of the node",
        ),
        (
            {"kind": "HostEndpoint", "metadata": {"name": "x"}, "spec": {"node": "n9"}},
            "calico_policies[0].spec.interfaceName: not set: give an interface, '*' for all, or expectedIPs",
        ),
    ],
)
def test_a_fault_in_a_policy_is_told_with_its_place(wrong: Any, fault: str) -> None:
    found = told(wrong)
    assert len(found) == 1
    assert found[0].startswith(fault)


def test_a_policy_without_an_order_is_allowed_but_warned_of() -> None:
    (fault,) = faults(policy(order=None))
    assert fault.warning
    assert not faults(policy(order=0.5))


def test_sound_policies_of_every_kind_have_no_fault() -> None:
    assert (
        told(
            policy(SSH, {**DENY, "protocol": 6, "source": {"selector": "has(x)", "nets": ["2001:db8::/32"]}}),
            {**policy(DENY), "kind": "NetworkPolicy"},
            {"kind": "GlobalNetworkSet", "metadata": {"name": "s"}, "spec": {"nets": ["192.0.2.1/32"]}},
            {"kind": "NetworkSet", "metadata": {"name": "s"}, "spec": {"nets": []}},
            ENDPOINT,
        )
        == []
    )


def test_policies_are_not_looked_at_where_calico_is_not_the_network() -> None:
    given = inventory("web")
    elsewhere = Inventory(given.hosts, given.groups, {"flannel": {}})
    assert [fault for check in calico_policies.CHECKS for fault in check(elsewhere)] == []


# --- who would be shut out -------------------------------------------------------------


def test_a_host_endpoint_alone_cuts_nothing_while_all_ports_are_fail_safe() -> None:
    assert told(ENDPOINT, policy(DENY), etcd=("n1", "n2"), calico_encapsulation="none") == []


def test_a_host_endpoint_cuts_ansible_off_where_its_port_is_not_fail_safe() -> None:
    (fault,) = faults(ENDPOINT, port=2222)
    assert (fault.variable, fault.hosts) == ("calico_policies[0]", ("n1",))
    assert fault.remedy.startswith(
        "would cut Ansible's connection (tcp/2222): no policy certainly allows it, and the port is not fail-safe; "
    )
    assert "calico_policies_force: true" in fault.remedy


def test_the_rule_that_cuts_ansible_off_is_named() -> None:
    found = told(
        ENDPOINT,
        policy(SSH),
        policy(SSH, DENY, order=1, name="q", selector="all()"),
        policy(DENY, order=0, name="r"),
        port=2222,
    )
    assert len(found) == 1
    assert "calico_policies[3].spec.ingress[0] may deny it" in found[0]


@pytest.mark.parametrize(
    "options",
    [
        {"calico_policies_force": True},
        {"calico_failsafe_inbound": ["tcp:2222"]},
        {"calico_failsafe_inbound": ["tcp:0.0.0.0/0:2222", "tcp:2222"]},
    ],
)
def test_it_is_allowed_by_force_or_by_a_fail_safe_port(options: dict[str, Any]) -> None:
    assert told(ENDPOINT, policy(DENY), port=2222, **options) == []


@pytest.mark.parametrize(
    "ports", [[], ["udp:22"], ["tcp:192.0.2.0/24:22"]], ids=["none", "another protocol", "some addresses"]
)
def test_fail_safe_ports_without_ansibles_are_refused_beside_a_host_endpoint(ports: list[str]) -> None:
    assert len(told(ENDPOINT, calico_failsafe_inbound=ports)) == 1
    assert told(calico_failsafe_inbound=ports) == []


@pytest.mark.parametrize(
    "rules",
    [
        [SSH],
        [{"action": "Log"}, SSH],
        [{"action": "Allow"}],
        [{**DENY, "protocol": "UDP"}, {**DENY, "protocol": "TCP", "destination": {"ports": [22, "2223:9000"]}}, SSH],
        [{**DENY, "protocol": "TCP", "destination": {"notPorts": [2222]}}, SSH],
        [{**DENY, "icmp": {"type": 8}, "protocol": "ICMP"}, {**SSH, "protocol": "6"}],
    ],
)
def test_rules_that_certainly_allow_ansible_are_taken(rules: list[dict[str, Any]]) -> None:
    assert told(ENDPOINT, policy(*rules), port=2222) == []


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [{**SSH, "source": {"nets": ["10.0.0.0/8"]}}],
        [{**SSH, "source": {"selector": "has(admin)"}}],
        [{**SSH, "destination": {"ports": ["ssh"]}}],
        [{**DENY, "source": {"nets": ["10.0.0.0/8"]}}, SSH],
        [{**DENY, "source": {"selector": "has(bad)"}}, SSH],
        [{"action": "Pass"}],
    ],
)
def test_rules_that_may_keep_ansible_out_are_refused(rules: list[dict[str, Any]]) -> None:
    assert len(told(ENDPOINT, policy(*rules), port=2222)) == 1


@pytest.mark.parametrize("early", ["doNotTrack", "preDNAT"])
def test_a_rule_before_connection_tracking_or_dnat_that_denies_wins(early: str) -> None:
    untracked = policy({**DENY, "protocol": "TCP"}, name="q", order=99, applyOnForward=True, **{early: True})
    found = told(ENDPOINT, policy(SSH), untracked, port=2222)
    assert len(found) == 1
    assert "calico_policies[2].spec.ingress[0] may deny it" in found[0]


@pytest.mark.parametrize(
    "endpoint",
    [
        {"interfaceName": "eth1"},
        {"expectedIPs": ["198.51.100.1"]},
        {"interfaceName": "eth0", "node": "elsewhere"},
    ],
)
def test_an_endpoint_that_ansibles_connection_does_not_meet_cuts_nothing(endpoint: dict[str, Any]) -> None:
    spec = {"node": "n1", **endpoint}
    assert told({**ENDPOINT, "spec": spec}, port=2222) == []


@pytest.mark.parametrize("endpoint", [{"interfaceName": "eth0"}, {"expectedIPs": ["192.0.2.11"]}])
def test_an_endpoint_on_the_hosts_own_address_is_met(endpoint: dict[str, Any]) -> None:
    assert len(told({**ENDPOINT, "spec": {"node": "n1", **endpoint}}, port=2222)) == 1


def test_an_endpoint_of_all_interfaces_is_asked_on_loopback_too() -> None:
    everywhere = {**ENDPOINT, "spec": {"node": "n1", "interfaceName": "*"}}
    cut, back = faults(everywhere, policy(SSH), calico_health_port=9100)
    assert cut.remedy.startswith("would cut the host's own processes from each other, such as Felix' health (tcp/9100)")
    assert "name an interface instead of '*'" in cut.remedy
    assert "calico_failsafe_outbound" in back.remedy
    own = [{"action": "Allow", side: {"nets": ["127.0.0.0/8"]}} for side in ("source", "destination")]
    assert told(everywhere, policy(own[0], types=["Ingress", "Egress"], egress=own[1:])) == []


def test_etcd_stays_within_reach_of_the_nodes_and_of_its_members() -> None:
    options: dict[str, Any] = {"etcd": ("n1", "n2"), "calico_failsafe_inbound": ["tcp:22"]}
    assert [fault.remedy.split(": ")[0] for fault in faults(ENDPOINT, **options)] == [
        "would cut the nodes from etcd (tcp/2379)",
        "would cut etcd's members from each other (tcp/2380)",
    ]
    rule = {**SSH, "destination": {"ports": ["2379:2380"]}, "source": {"nets": ["192.0.2.0/24"]}}
    assert told(ENDPOINT, policy(rule), **options) == []
    narrow = {**rule, "source": {"nets": ["192.0.2.12/32"]}}
    assert len(told(ENDPOINT, policy(narrow), **options)) == 1


def test_etcd_stays_within_reach_of_a_node_that_may_not_send() -> None:
    options: dict[str, Any] = {"etcd": ("n2",), "calico_failsafe_outbound": ["udp:53"]}
    (fault,) = faults(ENDPOINT, **options)
    assert fault.remedy.startswith("would cut the node from etcd (tcp/2379): ")
    assert "calico_failsafe_outbound" in fault.remedy
    out = {"action": "Allow", "protocol": "TCP", "destination": {"ports": [2379], "nets": ["192.0.2.12/32"]}}
    assert told(ENDPOINT, policy(types=["Egress"], egress=[out]), **options) == []


@pytest.mark.parametrize(("mode", "count"), [("vxlan", 0), ("vxlan_cross_subnet", 0), ("none", 1), ("ipip", 1)])
def test_bgp_stays_where_the_nodes_speak_it(mode: str, count: int) -> None:
    found = told(ENDPOINT, calico_failsafe_inbound=["tcp:22"], calico_encapsulation=mode)
    assert len(found) == count
    assert all("would cut BGP between the nodes (tcp/179)" in one for one in found)


def test_a_fail_safe_port_that_felix_would_not_take_is_told() -> None:
    assert told(calico_failsafe_inbound=["22", "tcp:22"]) == [
        "calico_failsafe_inbound[0]: 22: give it like tcp:22 or tcp:192.0.2.0/24:22"
    ]
