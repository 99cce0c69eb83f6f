"""Networks that filter ICMP between nodes: what fails for that, and what does not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._probe.underlay import ECHO
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis import explanation
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.cause import End
from ansible_collections.binary_cluster.networking.tests.unit.test_diagnosis import end, path, sighting

TCP_22, MAC = "answers at tcp/22", "has the MAC 52:54:00:00:00:02"
EVERY = ("icmp", "tcp", "udp", "http", "bulk", "mtu", "node", "host")
BARE = dict.fromkeys(("icmp", "mtu", "node", "host"), "icmp-filtered")


def seen_by(number: int, other: int, how: str, **evidence: Any) -> End:
    """A node that another one answers in some way; pods are joined by VXLAN."""
    return end(number, underlay={f"node{other}": how}, **evidence)


def routed(number: int, other: int, how: str, **evidence: Any) -> End:
    """The same, where pods' packets go without a tunnel."""
    route = {f"10.244.{other}.2": {"dst": f"10.244.{other}.0/24", "gateway": f"192.0.2.{other}", "dev": "eth0"}}
    return seen_by(number, other, how, route_to=route, **evidence)


def lost_echo(how: str, *arrived: dict[str, Any]) -> tuple[End, End]:
    """Two nodes without a tunnel between which echo requests of pods get lost."""
    first, second = routed(1, 2, how), routed(2, 1, how)
    left = sighting(first, second, "out", wrapping="")
    return routed(1, 2, how, sightings=[left]), routed(2, 1, how, sightings=list(arrived))


def codes(source: End, target: End, *failed: str, **more: Any) -> dict[str, str]:
    """Code of the cause of each failed probe."""
    passed = tuple(protocol for protocol in EVERY if protocol not in failed)
    causes = explanation.of_probes(path(source, target, failed, **{"passed": passed, **more}), failed)
    return {protocol: cause.code for protocol, cause in causes.items()}


@pytest.mark.parametrize("how", [TCP_22, MAC, ""])
def test_a_node_that_only_icmp_does_not_reach_is_not_taken_for_unreachable(how: str) -> None:
    first, second = seen_by(1, 2, how), seen_by(2, 1, how, ip_forward="0")
    failed = EVERY if how else ("icmp", "mtu", "host", "node", "http")
    assert set(codes(first, second, *failed).values()) - {"icmp-filtered"} == {"forwarding-off"}


def test_a_node_that_answers_in_no_way_is_unreachable() -> None:
    assert set(codes(seen_by(1, 2, ""), seen_by(2, 1, MAC), *EVERY).values()) == {"underlay-unreachable"}


def test_beside_a_tunnel_the_probe_of_the_node_alone_fails_for_filtered_icmp() -> None:
    first, second = seen_by(1, 2, TCP_22), seen_by(2, 1, TCP_22)
    assert codes(first, second, "node") == {"node": "icmp-filtered"}
    told = explanation.of_probes(path(first, second, ("node",), passed=("icmp",)), ())["node"]
    assert told.text.startswith(
        "node2 (192.0.2.2) answers no ICMP echo request from node1, and node2 answers at tcp/22"
    )
    assert told == explanation.of_probes(path(second, first, ("node",), passed=("icmp",)), ())["node"]
    # The tunnel's packets are not ICMP.
    broken = end(2, ip_forward="0", underlay={"node1": TCP_22})
    everything = codes(first, broken, *EVERY)
    assert everything.pop("node") == "icmp-filtered" and set(everything.values()) == {"forwarding-off"}


def test_without_a_tunnel_what_is_icmp_fails_for_it_and_nothing_else() -> None:
    first, second = lost_echo(TCP_22)
    assert codes(first, second, *BARE) == BARE
    route = {"10.244.1.2": {"error": "Network is unreachable"}}
    broken = dataclasses.replace(second, evidence={**second.evidence, "route_to": route})
    assert codes(first, broken, *EVERY) == {**dict.fromkeys(EVERY, "route-missing"), **BARE}


def test_icmp_that_arrives_is_not_filtered() -> None:
    first, second = lost_echo(TCP_22)
    first, second = lost_echo(TCP_22, sighting(first, second, "in", wrapping=""))
    assert codes(first, second, *BARE) == {"node": "icmp-filtered"}


def test_what_is_lost_between_nodes_that_answer_icmp_is_unexplained() -> None:
    assert set(codes(*lost_echo(ECHO), *BARE).values()) == {"unexplained"}


def test_a_mac_alone_does_not_prove_that_only_icmp_is_filtered() -> None:
    assert set(codes(*lost_echo(MAC), *EVERY).values()) == {"underlay-unreachable"}
    assert codes(*lost_echo(MAC), *BARE) == BARE


def test_a_tunnel_that_gets_lost_where_nothing_else_arrives_is_a_cut_underlay() -> None:
    first, second = seen_by(1, 2, MAC), seen_by(2, 1, MAC)
    first = seen_by(1, 2, MAC, sightings=[sighting(first, second, "out")])
    assert set(codes(first, second, *EVERY).values()) == {"underlay-unreachable"}


def test_a_rule_of_a_node_that_drops_icmp_is_named() -> None:
    first, second = lost_echo(TCP_22)
    drop = {
        "source": first.pod_address, "target": second.address, "family": "ip", "table": "filter", "chain": "FORWARD",
        "handle": 7, "rule": "ip protocol icmp drop", "hook": "forward",
    }  # fmt: skip
    here = dataclasses.replace(first, evidence={**first.evidence, "dropped": [drop]})
    assert codes(here, second, "node") == {"node": "firewall"}


def test_a_tunnel_that_gets_lost_is_told_with_what_proves_the_node() -> None:
    first, second = seen_by(1, 2, TCP_22), seen_by(2, 1, TCP_22)
    first = seen_by(1, 2, TCP_22, sightings=[sighting(first, second, "out")])
    told = explanation.of_probes(path(first, second, EVERY), EVERY)
    assert (told["icmp"].code, told["node"].code) == ("tunnel-lost", "icmp-filtered")
    assert "though node2 answers at tcp/22 (and answers no ICMP echo request)" in told["icmp"].text


def test_a_link_that_is_too_small_is_named_where_filtered_icmp_leaves_only_large_answers_to_see() -> None:
    first, second = lost_echo(TCP_22)
    second.evidence["links"]["eth0"]["mtu"] = 1400
    assert codes(first, second, *BARE, "bulk") == {**BARE, "bulk": "mtu"}


def test_large_icmp_that_is_filtered_is_no_mtu_that_is_too_large() -> None:
    first, second = (seen_by(n, 3 - n, ECHO, tcp_packets={f"10.244.{3 - n}.2": 1450}) for n in (1, 2))
    assert codes(first, second, "mtu", mtu=1000) == {"mtu": "icmp-filtered"}
    assert codes(first, second, "mtu", mtu=1450) == {"mtu": "mtu"}
    one_way = seen_by(2, 1, ECHO)
    assert codes(first, one_way, "mtu", mtu=1000) == {"mtu": "mtu"}
