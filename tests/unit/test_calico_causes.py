"""Causes told where Calico is the pod network, and what they are told from. The lab (molecule/calico/causes) breaks
what it can; here are the rules' order, and what a lab cannot break."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._backends import calico_evidence
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis import pods as diagnosis_pods
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.cause import Cause, End
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.explanation import diagnose
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.path import Path
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run.absence import Absence

POD = {"mtu": 1450, "up": True, "carrier": True, "peer": "veth0", "addresses": [], "default_route": True}
NO_ROUTE = {"dst": "default", "gateway": "192.0.2.254", "dev": "eth0"}
UP = {"state": "Established", "error": ""}


def calico(number: int, **more: Any) -> dict[str, Any]:
    """What Calico says of itself on a node of two that speak BGP, in good health."""
    return {
        "health": "",
        "sessions": [{"name": f"to_{3 - number}", "peer": f"192.0.2.{3 - number}", **UP}],
        "heard": [f"10.244.{3 - number}.0/26"],
        "encapsulation": [],
        "ways": [f"10.244.{number}.2"],
        "policies": {"cali-pi-default.web": "GlobalNetworkPolicy web", "cali-pi-_hash": "NetworkPolicy shop/db"},
        "asked": {"cali-tw-calia": ["NetworkPolicy shop/db", "GlobalNetworkPolicy web"]},
        **more,
    }


def end(number: int, route: dict[str, Any] | None = None, **told: Any) -> End:
    evidence = {
        "pod": POD,
        "links": {"eth0": {"kind": "", "mtu": 1500, "up": True, "addresses": [f"192.0.2.{number}/24"]}},
        "route_to": {f"10.244.{3 - number}.2": route or {"dst": f"10.244.{3 - number}.2", "gateway": "192.0.2.9"}},
        "ip_forward": "1",
        "underlay": {},
        "calico": calico(number, **told),
    }
    return End(
        f"node{number}", f"192.0.2.{number}", f"probe-node{number}", f"10.244.{number}.2", "10.244.0.0/16", evidence
    )


def cause(here: End, there: End) -> Cause:
    found = diagnose(Path(here, there, ("icmp", "tcp"), (), ends=(here, there)))
    assert found
    return found


def unrouted(**told: Any) -> End:
    return end(1, NO_ROUTE, **told)


# --- a missing route -------------------------------------------------------------------


def test_a_missing_route_is_told_as_such_where_calico_has_nothing_to_say() -> None:
    assert cause(unrouted(), end(2)).code == "route-missing"


@pytest.mark.parametrize(("here", "there", "node"), [("cold", "", "node1"), ("", "cold", "node2")])
def test_felix_that_is_not_ready_explains_it_with_its_own_words(here: str, there: str, node: str) -> None:
    found = cause(unrouted(health=here, sessions=[]), end(2, health=there))
    assert (found.code, found.node) == ("felix-not-ready", node)
    assert found.text == f"Felix of {node} is not ready: cold"


def test_ipip_without_its_device_explains_it() -> None:
    found = cause(unrouted(encapsulation=["ipip"]), end(2))
    assert (found.code, found.node) == ("tunnel-missing", "node1")


@pytest.mark.parametrize(
    ("here", "there", "node", "why"),
    [
        ({"state": "Active", "error": "Socket: Connection refused"}, UP, "node1", "Active, Socket: Connection refused"),
        (UP, {"state": "Idle", "error": "BGP Error: Bad peer AS"}, "node2", "Idle, BGP Error: Bad peer AS"),
        (
            {"state": "Active", "error": "Socket: Connection closed"},
            {"state": "Down", "error": ""},
            "node2",
            "it is dis",
        ),
        ({"state": "Connect", "error": ""}, {"state": "Active", "error": "Received: Bad AS"}, "node2", "Active, Rec"),
    ],
)
def test_a_session_that_is_down_explains_it_with_birds_reason(
    here: dict[str, str], there: dict[str, str], node: str, why: str
) -> None:
    one, two = ({"name": "x", "peer": f"192.0.2.{number}"} for number in (2, 1))
    found = cause(unrouted(sessions=[{**one, **here}]), end(2, sessions=[{**two, **there}]))
    assert (found.code, found.node) == ("bgp-session-down", node)
    assert f"is down: {why}" in found.text


def test_a_session_with_another_node_explains_nothing_beside_a_direct_one() -> None:
    sessions = [
        {"name": "a", "peer": "192.0.2.2", **UP},
        {"name": "b", "peer": "192.0.2.3", "state": "Active", "error": ""},
    ]
    assert cause(unrouted(sessions=sessions), end(2)).code == "route-missing"


def test_a_session_with_a_route_reflector_explains_it() -> None:
    reflector = {"name": "r", "peer": "192.0.2.100"}
    down = {**reflector, "state": "Active", "error": "Socket: No route to host"}
    found = cause(unrouted(sessions=[{**reflector, **UP}]), end(2, sessions=[down]))
    assert (found.code, found.node) == ("bgp-session-down", "node2")
    assert "with 192.0.2.100 is down" in found.text


def test_a_pod_that_no_peer_tells_of_explains_it() -> None:
    found = cause(unrouted(heard=["10.244.7.0/26"]), end(2))
    assert (found.code, found.node) == ("block-unadvertised", "node2")


def test_a_dead_daemon_explains_more_than_calico_does() -> None:
    here = unrouted(health="no answer on port 9099: Connection refused")
    dead = {**here.evidence, "units": [{"name": "calico-felix", "active": False, "last": ""}]}
    assert cause(End(here.node, here.address, here.pod, here.pod_address, here.subnet, dead), end(2)).code == (
        "daemon-down"
    )


# --- a drop ----------------------------------------------------------------------------


def drop(chain: str, source: int, target: int) -> dict[str, Any]:
    addresses = {"source": f"10.244.{source}.2", "target": f"10.244.{target}.2"}
    return {**addresses, "family": "ip", "table": "filter", "chain": chain, "handle": 7, "rule": "drop"}


def dropping(number: int, *drops: dict[str, Any], **told: Any) -> End:
    other = 3 - number
    made = end(number, {"dst": f"10.244.{other}.0/24", "gateway": f"192.0.2.{other}", "dev": "eth0"}, **told)
    evidence = {**made.evidence, "dropped": drops}
    return End(made.node, made.address, made.pod, made.pod_address, made.subnet, evidence)


@pytest.mark.parametrize(
    ("chain", "code", "words"),
    [
        ("cali-pi-default.web", "policy-denies", "GlobalNetworkPolicy web denies it at node2"),
        ("cali-pi-_hash", "policy-denies", "NetworkPolicy shop/db denies it at node2"),
        ("cali-tw-calia", "policy-denies", "no rule of NetworkPolicy shop/db and GlobalNetworkPolicy web allows it"),
        ("cali-tw-calib", "policy-denies", "no policy is about probe-node2 at node2"),
        ("cali-to-wl-dispatch", "endpoint-unknown", "does not know the interface of probe-node2"),
        ("mine", "firewall", "the rule 'drop' in chain mine of table ip filter drops pods' packets"),
    ],
)
def test_what_drops_is_named_as_its_owner_calls_it(chain: str, code: str, words: str) -> None:
    found = cause(dropping(1), dropping(2, drop(chain, 1, 2)))
    assert (found.code, found.node) == (code, "node2")
    assert words in found.text


def test_the_way_to_see_a_policy_is_told() -> None:
    found = cause(dropping(1), dropping(2, drop("cali-pi-_hash", 1, 2)))
    assert found.fix == "calicoctl get networkpolicy db -n shop -o yaml"


def test_felix_that_is_not_ready_explains_why_its_chains_drop() -> None:
    found = cause(dropping(1), dropping(2, drop("cali-to-wl-dispatch", 1, 2), health="no answer"))
    assert found.code == "felix-not-ready"


def test_a_drop_on_the_way_there_is_told_before_one_on_the_way_back() -> None:
    one, two = (dropping(number, drop("cali-pi-default.web", 3 - number, number)) for number in (1, 2))
    assert cause(one, two).node == "node2"
    assert cause(two, one).node == "node1"


def test_a_pod_that_its_own_node_has_no_way_to_is_an_endpoint_that_felix_does_not_know() -> None:
    found = cause(end(1), end(2, ways=["10.244.2.9"]))
    assert (found.code, found.node) == ("endpoint-unknown", "node2")
    assert cause(end(1), end(2, ways=[], health="cold")).code == "felix-not-ready"


# --- a missing pod ---------------------------------------------------------------------


def test_pools_without_an_address_left_explain_a_missing_pod() -> None:
    why = (
        "probe-node1: ADD calico: code 999: failed to request IPv4 addresses: Assigned 0 out of 1 requested IPv4 "
        "addresses; No IPs available in pools: [10.250.0.0/31]"
    )
    ((found, nodes),) = diagnosis_pods.of_pods({}, {"node1": Absence(why)})
    assert (found.code, nodes) == ("ipam-exhausted", frozenset(["node1"]))
    assert found.text == "Calico has no address left for node1: No IPs available in pools: [10.250.0.0/31]"


def test_a_node_that_the_datastore_does_not_know_explains_a_missing_pod() -> None:
    why = "probe-node1: ADD calico: code 999: resource does not exist: Node(node1) with error: <nil>"
    ((found, nodes),) = diagnosis_pods.of_pods({}, {"node1": Absence(why)})
    assert (found.code, nodes) == ("node-missing", frozenset(["node1"]))


# --- what it is told from --------------------------------------------------------------


def test_sessions_are_read_from_what_bird_shows() -> None:
    shown = """BIRD 2.0.12 ready.
Name       Proto      Table      State  Since         Info
kernel1    Kernel     master4    up     17:42:39.811

Node_192_0_2_2 BGP        ---        up     17:42:40.275  Established
  BGP state:          Established
    Neighbor address: 192.0.2.2
    Hold timer:       221.038/240
  Channel ipv4
    State:          UP

Node_192_0_2_3 BGP        ---        start  17:43:05.590  Active        Socket: Connection refused
  BGP state:          Active
    Neighbor address: 192.0.2.3
    Last error:       Socket: Connection refused
  Channel ipv4
    State:          DOWN

Node_192_0_2_4 BGP        ---        down   2026-11-21 17:43:05
  BGP state:          Down
    Neighbor address: 192.0.2.4
"""
    assert calico_evidence.sessions(shown) == [
        {"name": "Node_192_0_2_2", "peer": "192.0.2.2", **UP},
        {"name": "Node_192_0_2_3", "peer": "192.0.2.3", "state": "Active", "error": "Socket: Connection refused"},
        {"name": "Node_192_0_2_4", "peer": "192.0.2.4", "state": "Down", "error": ""},
    ]


def test_what_peers_tell_is_read_from_birds_routes() -> None:
    shown = "BIRD 2.0.12 ready.\nTable master4:\n10.244.2.2/32        unicast [n 17:42] * (100) [i]\n\tvia 192.0.2.2\n"
    assert calico_evidence.heard(shown) == ["10.244.2.2/32"]


def test_policies_are_read_from_felix_chains() -> None:
    saved = """*filter
:cali-pi-_hash - [0:0]
-A cali-pi-_hash -p udp -m comment --comment "cali:a" -m comment --comment "Policy shop/default.db ingress" -j DROP
-A cali-pi-_hash -m comment --comment "cali:b" -j MARK --set-xmark 0x10000/0x10000
-A cali-po-default.web -m comment --comment "cali:c" -m comment --comment "Policy default.web egress" -j DROP
-A cali-tw-calia -m comment --comment "cali:d" -m mark --mark 0x0/0x20000 -j cali-pi-_hash
-A cali-tw-calia -m comment --comment "cali:e" -m comment --comment "Drop if no policies passed packet" -j DROP
"""
    assert calico_evidence.policies(saved) == {
        "policies": {"cali-pi-_hash": "NetworkPolicy shop/db", "cali-po-default.web": "GlobalNetworkPolicy web"},
        "asked": {"cali-tw-calia": ["NetworkPolicy shop/db"]},
    }
