"""Resources of Calico: reading a list, and the changes from what is there to what is wanted."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._calico import (
    calicoctl,
    resources as calico_resources,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._calico.resources import Change, Key, Resource
from hypothesis import given, strategies as some

SELECTED = {"selector": "role == 'b'"}
ALLOW = {"action": "Allow"}


def item(kind: str, name: str, spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name, **metadata}, "spec": spec or {}}


def planned(wanted: list[dict[str, Any]], *found: dict[str, Any], **purge: Any) -> list[Change]:
    resources, places, faults = calico_resources.read(wanted)
    assert faults == []
    there = {resource.key: resource for resource in map(calico_resources.stored, found)}
    return calico_resources.plan(resources, places, there, **purge)


def told(wanted: list[dict[str, Any]], *found: dict[str, Any], **purge: Any) -> list[str]:
    return [str(change) for change in planned(wanted, *found, **purge)]


def only(wanted: dict[str, Any], found: dict[str, Any]) -> Change:
    (change,) = planned([wanted], found)
    return change


# --- reading ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        (item("IPPol", "x"), "resources[0].kind: IPPol: did you mean IPPool?"),
        ({**item("Node", "x"), "kind": None}, "resources[0].kind: not set: one of IPPool, "),
        ({**item("Node", "x"), "apiVersion": "v1"}, "resources[0].apiVersion: v1: only projectcalico.org/v3 is known"),
        ({**item("Node", "x"), "sepc": 1}, "resources[0].sepc: 1: not a field; did you mean spec?"),
        ({"kind": "Node", "spec": {}}, "resources[0].metadata.name: not set: every resource has a name"),
        (item("Node", "x", lables={}), "resources[0].metadata.lables: {}: not a field; did you mean labels?"),
        (item("Node", "x", namespace="y"), "resources[0].metadata.namespace: y: a Node is in no namespace"),
        (item("Node", "x", labels=["a"]), "resources[0].metadata.labels: ['a']: give names with their values"),
        (
            {"kind": "HostEndpoint", "metadata": {"name": "x"}},
            "resources[0].spec: not set: give the fields of the HostEndpoint",
        ),
    ],
)
def test_a_fault_of_a_resource_is_told_with_its_place(wrong: dict[str, Any], fault: str) -> None:
    _found, _places, faults = calico_resources.read([wrong])
    assert len(faults) == 1
    assert str(faults[0]).startswith(fault)


def test_two_resources_of_one_name_are_refused_but_not_in_two_namespaces() -> None:
    policies = [item("NetworkPolicy", "x"), item("NetworkPolicy", "x", namespace="default")]
    assert [str(fault) for fault in calico_resources.read(policies)[2]] == [
        "resources[1]: NetworkPolicy default/x: the same as resources[0]"
    ]
    policies[1]["metadata"]["namespace"] = "other"
    assert calico_resources.read(policies)[2] == []


def test_a_resource_that_is_to_be_absent_needs_no_spec() -> None:
    named = [{"kind": "HostEndpoint", "metadata": {"name": "x"}}]
    assert calico_resources.read(named, partial=True)[2] == []


# --- planning --------------------------------------------------------------------------


def test_what_is_missing_is_made_with_policies_before_host_endpoints() -> None:
    kinds = ["HostEndpoint", "NetworkPolicy", "GlobalNetworkPolicy", "Profile", "Node", "IPPool"]
    assert told([item(kind, "x", {"a": 1}) for kind in kinds]) == [
        "create IPPool x",
        "create Node x",
        "create Profile x",
        "create GlobalNetworkPolicy x",
        "create NetworkPolicy default/x",
        "create HostEndpoint x",
    ]


@pytest.mark.parametrize(
    ("kind", "wanted", "found"),
    [
        ("FelixConfiguration", {"routeRefreshInterval": "90s"}, {"routeRefreshInterval": "1m30s"}),
        ("FelixConfiguration", {"healthPort": "9099"}, {"healthPort": 9099, "floatingIPs": "Disabled"}),
        ("Node", {"bgp": {"asNumber": "1.10"}}, {"bgp": {"asNumber": 65546, "ipv4Address": "192.0.2.1/24"}}),
        ("Node", {"bgp": {"ipv6Address": "2001:DB8:0::1/64"}}, {"bgp": {"ipv6Address": "2001:db8::1/64"}}),
        ("IPPool", {"natOutgoing": False, "allowedUses": []}, {"cidr": "10.0.0.0/8"}),
        ("HostEndpoint", {"expectedIPs": [], "node": "a"}, {"node": "a"}),
        ("BGPPeer", {"keepOriginalNextHop": False, "asNumber": 1}, {"asNumber": 1}),
        ("GlobalNetworkPolicy", SELECTED, {**SELECTED, "types": ["Ingress"]}),
        ("NetworkPolicy", {"egress": [ALLOW]}, {"egress": [ALLOW], "types": ["Egress"]}),
        (
            "NetworkPolicy",
            {"ingress": [{**ALLOW, "protocol": "6", "destination": {"ports": ["80", "81:81", "82:90"]}}]},
            {
                "ingress": [{**ALLOW, "protocol": 6, "source": {}, "destination": {"ports": [80, 81, "82:90"]}}],
                "types": ["Ingress"],
            },
        ),
        ("Profile", {"labelsToApply": {"x": ""}}, {"labelsToApply": {"x": ""}, "egress": [ALLOW]}),
    ],
)
def test_what_calico_writes_in_another_way_is_no_difference(
    kind: str, wanted: dict[str, Any], found: dict[str, Any]
) -> None:
    assert told([item(kind, "x", wanted)], item(kind, "x", found)) == []


@pytest.mark.parametrize(
    ("kind", "wanted", "found"),
    [
        ("BGPConfiguration", {"nodeToNodeMeshEnabled": False}, {}),
        ("FelixConfiguration", {"failsafeInboundHostPorts": []}, {}),
        ("Node", {"bgp": {"ipv4Address": "192.0.2.2/24"}}, {"bgp": {"ipv4Address": "192.0.2.1/24"}}),
        ("Profile", {"labelsToApply": {"x": ""}}, {}),
        ("GlobalNetworkPolicy", {**SELECTED, "order": 0}, {**SELECTED, "types": ["Ingress"]}),
        ("GlobalNetworkPolicy", {**SELECTED, "egress": [ALLOW]}, {**SELECTED, "types": ["Ingress"]}),
    ],
)
def test_what_is_not_the_same_to_calico_is_changed(kind: str, wanted: dict[str, Any], found: dict[str, Any]) -> None:
    assert told([item(kind, "x", wanted)], item(kind, "x", found)) != []


def test_of_a_node_only_the_named_fields_are_patched() -> None:
    found = item("Node", "n", {"bgp": {"ipv4Address": "192.0.2.1/24"}, "ipv4VXLANTunnelAddr": "10.244.1.0"})
    change = only(item("Node", "n", {"bgp": {"ipv4Address": "192.0.2.9/24"}}, labels={"rack": "a"}), found)
    assert change.verb == "patch"
    assert change.patch() == {"metadata": {"labels": {"rack": "a"}}, "spec": {"bgp": {"ipv4Address": "192.0.2.9/24"}}}
    assert change.after and change.after.spec["ipv4VXLANTunnelAddr"] == "10.244.1.0"
    assert change.undone().patch() == {
        "metadata": {"labels": None},
        "spec": {"bgp": {"ipv4Address": "192.0.2.1/24"}},
    }


def test_a_field_that_is_null_is_removed() -> None:
    change = only(item("IPPool", "p", {"nodeSelector": None}), item("IPPool", "p", {"nodeSelector": "all()", "a": 1}))
    assert change.patch() == {"spec": {"nodeSelector": None}}


def test_of_a_policy_everything_that_is_not_named_goes() -> None:
    found = item(
        "GlobalNetworkPolicy",
        "g",
        {**SELECTED, "order": 5, "egress": [ALLOW], "types": ["Egress"]},
        labels={"old": "1"},
        annotations={"note": "kept"},
    )
    change = only(item("GlobalNetworkPolicy", "g", SELECTED), found)
    assert change.verb == "replace"
    assert change.after == Resource(
        Key("GlobalNetworkPolicy", "g"), {**SELECTED, "types": ["Ingress"]}, {}, {"note": "kept"}
    )


def test_resources_that_bear_the_label_and_are_not_wanted_go_after_the_others_are_made() -> None:
    label = {"owner": "a"}
    found = [
        item("GlobalNetworkPolicy", "old", SELECTED, labels={"owner": "a", "x": "y"}),
        item("HostEndpoint", "old", {"node": "n"}, labels=label),
        item("GlobalNetworkPolicy", "foreign", SELECTED, labels={"owner": "b"}),
        item("GlobalNetworkPolicy", "bare", SELECTED),
        item("GlobalNetworkSet", "other-kind", {}, labels=label),
    ]
    changes = planned(
        [item("GlobalNetworkPolicy", "new", SELECTED)],
        *found,
        purge_label=label,
        purge_kinds=["GlobalNetworkPolicy", "HostEndpoint"],
    )
    assert [str(change) for change in changes] == [
        "create GlobalNetworkPolicy new",
        "delete HostEndpoint old",
        "delete GlobalNetworkPolicy old",
    ]
    assert changes[0].after and changes[0].after.labels == label


def test_absent_removes_what_is_there_the_dependent_first() -> None:
    named = [item("IPPool", "p"), item("HostEndpoint", "h"), item("Node", "gone")]
    _resources, places, _faults = calico_resources.read(named, partial=True)
    found = {one.key: one for one in map(calico_resources.stored, named[:2])}
    changes = calico_resources.plan_absent(places, found)
    assert [str(change) for change in changes] == ["delete HostEndpoint h", "delete IPPool p"]


VALUES = some.recursive(
    some.sampled_from([None, True, False, "", 0, 7, "7", "7:7", "7:9", "90s", "all()", "192.0.2.1/24"]),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
SPECS = some.dictionaries(some.sampled_from(["a", "b", "types", "ingress", "labelsToApply"]), VALUES, max_size=4)


@given(some.sampled_from(calico_resources.KINDS), SPECS, SPECS)
def test_once_carried_out_nothing_is_left_to_do(kind: str, wanted: dict[str, Any], found: dict[str, Any]) -> None:
    before, asked = item(kind, "x", found), item(kind, "x", wanted)
    frozen = copy.deepcopy(asked)
    for change in planned([asked], before):
        assert change.after
        assert told([asked], change.after.document()) == []
    assert asked == frozen


# --- what calicoctl says ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "place"),
    [
        (
            "field in document is not recognized or is in the wrong location: prots",
            "resources[4].spec.ingress[0].prots",
        ),
        ("cannot parse string 'x' into field GlobalNetworkPolicySpec.order of type float64", "resources[4].spec.order"),
        ("field in document is not recognized or is in the wrong location: elsewhere", "resources[4]"),
        ("something else", "resources[4]"),
    ],
)
def test_the_field_that_calicoctl_refuses_is_placed(said: str, place: str) -> None:
    resource = Resource(Key("GlobalNetworkPolicy", "g"), {"order": "x", "ingress": [{"prots": 1}]})
    assert calicoctl.field_place(f"error parsing document: {said}", resource, "resources[4]") == place
