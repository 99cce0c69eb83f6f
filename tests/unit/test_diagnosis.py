"""Causes told from evidence. The lab (molecule/verify) makes each fault; here is what it cannot make, and the
rules' order."""

from __future__ import annotations

import dataclasses
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._probe.underlay import ECHO
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis import (
    path as diagnosis_path,
    pods as diagnosis_pods,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.cause import End
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.explanation import diagnose
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.path import Path

POD = {"mtu": 1450, "up": True, "carrier": True, "peer": "veth0", "addresses": [], "default_route": True}


def end(number: int, **evidence: Any) -> End:
    """A node of a healthy cluster of three, whose pods are joined by VXLAN."""
    others = [other for other in (1, 2, 3) if other != number]
    healthy: dict[str, Any] = {
        "pod": POD,
        "links": {
            "eth0": {"kind": "", "mtu": 1500, "up": True, "mac": "", "addresses": [f"192.0.2.{number}/24"]},
            "flannel.1": {
                "kind": "vxlan",
                "mtu": 1450,
                "up": True,
                "mac": f"02:00:00:00:00:0{number}",
                "vni": 1,
                "port": 8472,
                "addresses": [f"10.244.{number}.0/32"],
            },
        },
        "route_to": {
            f"10.244.{other}.2": {
                "dst": f"10.244.{other}.0/24",
                "gateway": f"10.244.{other}.0",
                "dev": "flannel.1",
            }
            for other in others
        },
        "neighbours": {"flannel.1": {f"10.244.{other}.0": f"02:00:00:00:00:0{other}" for other in others}},
        "fdb": {"flannel.1": {f"02:00:00:00:00:0{other}": f"192.0.2.{other}" for other in others}},
        "ip_forward": "1",
        "underlay": {f"node{other}": ECHO for other in others},
    }
    return End(
        f"node{number}",
        f"192.0.2.{number}",
        f"probe-node{number}",
        f"10.244.{number}.2",
        f"10.244.{number}.0/24",
        {**healthy, **evidence},
    )


def path(source: End, target: End, failed: tuple[str, ...] = ("icmp", "tcp"), **more: Any) -> Path:
    return Path(source, target, failed, **{"passed": (), "ends": (source, target, end(3)), **more})


def sighting(source: End, target: End, way: str, **more: Any) -> dict[str, Any]:
    one = {"source": source.pod_address, "target": target.pod_address, "way": way, "protocol": diagnosis_path.ICMP}
    return {**one, "interface": "eth0", "wrapping": "vxlan", "vni": 1, "port": 8472, **more}


def code(path: Path) -> tuple[str, str]:
    cause = diagnose(path)
    assert cause and cause.fix
    return cause.code, cause.node


def test_wrong_checksums_of_the_tunnel_are_told_from_the_kernels_counter() -> None:
    first, second = end(1), end(2)
    first = end(1, sightings=[sighting(first, second, "out")])
    second = end(2, sightings=[sighting(first, second, "in")], checksum_errors={"host": 3, "pod": 0})
    assert code(path(first, second)) == ("checksum", "node2")


def test_wrong_checksums_of_pods_are_told_from_the_pods_counter() -> None:
    second = end(2, checksum_errors={"host": 0, "pod": 2})
    assert code(path(end(1), second, ("tcp",), passed=("icmp",))) == ("checksum", "node2")


def test_the_odd_one_of_three_vnis_is_blamed_from_either_side() -> None:
    odd = end(2)
    odd.evidence["links"]["flannel.1"]["vni"] = 7
    assert code(path(end(1), odd)) == ("vni-mismatch", "node2")
    assert code(path(odd, end(1))) == ("vni-mismatch", "node2")


def test_a_dead_daemon_explains_a_missing_route() -> None:
    dead = {"name": "flanneld", "active": False, "last": "killed"}
    assert code(path(end(1, route_to={}, units=[dead]), end(2))) == ("daemon-down", "node1")


def test_a_pod_that_vanished_since_it_was_probed_is_told_before_all_else() -> None:
    assert code(path(end(1), end(2, pod=None, ip_forward="0"))) == ("pod-gone", "node2")


def test_a_pod_that_was_taken_out_of_its_bridge_is_put_back_there() -> None:
    taken = end(2)
    taken.evidence["links"]["veth0"] = {"kind": "veth", "master": ""}
    taken.evidence["route_to"]["10.244.2.2"] = {"dst": "10.244.2.0/24", "dev": "cni0"}
    cause = diagnose(path(end(1), taken))
    assert cause and (cause.code, cause.fix) == ("pod-detached", "ip link set veth0 master cni0")


def test_a_route_through_a_router_that_is_meant_to_lead_there_hides_no_other_cause() -> None:
    route = {"dst": "10.244.2.0/24", "gateway": "192.0.2.254", "dev": "eth0"}
    routed = {"route_to": {"10.244.2.2": route}}
    assert code(path(end(1, **routed), end(2, ip_forward="0"))) == ("route-wrong", "node1")
    meant = end(1, **routed, routers=["192.0.2.254"])
    far = dataclasses.replace(end(2, ip_forward="0"), address="198.51.100.2")
    assert code(path(meant, far)) == ("forwarding-off", "node2")
    # A node of the same network needs no router.
    assert code(path(meant, end(2, ip_forward="0"))) == ("route-wrong", "node1")


def test_a_missing_tunnel_explains_the_missing_routes_through_it() -> None:
    gone = end(2, links={}, route_to={})
    assert code(path(end(1), gone)) == code(path(gone, end(1))) == ("tunnel-missing", "node2")


def ipip(number: int, up: bool = True, underlay: int = 1500) -> End:
    """A node whose pods are joined by IPIP."""
    other = 3 - number
    addresses = [f"192.0.2.{number}/24"]
    links = {
        "eth0": {"kind": "", "mtu": underlay, "up": True, "mac": "", "addresses": addresses},
        "flannel.ipip": {"kind": "ipip", "mtu": 1480, "up": up, "mac": "", "addresses": [f"10.244.{number}.0/32"]},
    }
    lost = {"error": "Network is unreachable"}
    route = {"dst": f"10.244.{other}.0/24", "gateway": f"192.0.2.{other}", "dev": "flannel.ipip"}
    return end(number, links=links, pod={**POD, "mtu": 1480}, route_to={f"10.244.{other}.2": route if up else lost})


def test_an_ipip_tunnel_that_is_down_explains_the_missing_route() -> None:
    cause = diagnose(path(ipip(1, up=False), ipip(2), ends=()))
    assert cause and (cause.code, cause.node) == ("tunnel-down", "node1")
    assert "ip link set flannel.ipip up" in cause.fix


def test_an_underlay_that_has_no_room_for_the_header_of_ipip_is_named() -> None:
    cause = diagnose(path(ipip(1), ipip(2, underlay=1490), failed=("mtu",), passed=("icmp",), ends=()))
    assert cause and (cause.code, cause.node) == ("mtu", "node2")
    assert "1490 bytes, and flannel.ipip needs 1500" in cause.text


def test_a_cut_underlay_explains_everything_else() -> None:
    assert code(path(end(1, underlay={"node2": ""}, ip_forward="0"), end(2))) == ("underlay-unreachable", "node1")


def test_a_way_back_that_is_broken_is_blamed_on_the_node_of_the_answer() -> None:
    back = end(2, route_to={"10.244.1.2": {"error": "Network is unreachable"}})
    assert code(path(end(1), back)) == ("route-missing", "node2")


def test_the_size_that_passes_is_named_once_for_both_directions() -> None:
    first, second = end(1), end(2)
    there = diagnose(path(first, second, ("mtu",), passed=("icmp",), mtu=1400))
    back = diagnose(path(second, first, ("mtu",), passed=("icmp",), mtu=1400))
    assert there == back and there and "1400" in there.text


def test_where_nothing_explains_it_the_last_sighting_is_told() -> None:
    first, second = end(1), end(2)
    first = end(1, sightings=[sighting(first, second, "in", wrapping="")])
    assert code(path(first, second)) == ("unexplained", "node2")


def pod(number: int, **more: Any) -> dict[str, Any]:
    one = {"address": f"10.244.{number}.2", "subnet": f"10.244.{number}.0/24"}
    return {"ips": [{**one, **more}], "network": "cbr0", "configuration": "/etc/cni/net.d/10-flannel.conflist"}


def both(number: int, subnet: int = 0) -> dict[str, Any]:
    """A pod with addresses of both IP versions."""
    six = {"address": f"fd00:10:244:{subnet or number}::{number}", "subnet": f"fd00:10:244:{subnet or number}::/64"}
    return {**pod(number), "ips": [*pod(number)["ips"], six]}


def test_two_pods_with_one_address_are_told() -> None:
    pods = {"node1": pod(1), "node2": pod(2, address="10.244.1.2")}
    ((cause, nodes),) = diagnosis_pods.of_pods(pods, {})
    assert cause.code == "duplicate-address" and nodes == {"node1", "node2"}


def test_one_network_on_two_nodes_is_told_and_not_also_the_addresses_that_follow() -> None:
    ((cause, _nodes),) = diagnosis_pods.of_pods({"node1": pod(1), "node2": pod(1), "node3": pod(3)}, {})
    assert cause.code == "duplicate-subnet" and "node1 and node2" in cause.text


def test_an_entry_may_lead_to_any_address_of_the_other_node() -> None:
    first, second = end(1), end(2)
    first.evidence["fdb"]["flannel.1"]["02:00:00:00:00:02"] = "198.51.100.2"
    assert code(path(first, second)) == ("fdb-wrong", "node1")
    second.evidence["links"]["eth1"] = {**second.evidence["links"]["eth0"], "addresses": ["198.51.100.2/24"]}
    assert code(path(first, second))[0] != "fdb-wrong"


def test_a_pod_without_an_address_that_the_others_have_is_told_for_that_ip_version_alone() -> None:
    pods = {"node1": both(1), "node2": pod(2), "node3": both(3)}
    assert diagnosis_pods.of_pods(pods, {}) == []
    ((cause, nodes),) = diagnosis_pods.of_pods(pods, {}, 6)
    assert cause.code == "pod-address-missing" and nodes == {"node2"}
    assert "pods of node2 get no IPv6 address" in cause.text


def test_a_network_on_two_nodes_is_told_of_its_own_ip_version_alone() -> None:
    pods = {"node1": both(1), "node2": both(2, subnet=1)}
    assert diagnosis_pods.of_pods(pods, {}) == []
    ((cause, _nodes),) = diagnosis_pods.of_pods(pods, {}, 6)
    assert cause.code == "duplicate-subnet" and "fd00:10:244:1::/64" in cause.text


# --- IPv6 ------------------------------------------------------------------------------


def six(number: int, **evidence: Any) -> End:
    """A node of a healthy cluster of three with IPv6, whose pods are joined by VXLAN over IPv4."""
    others = [other for other in (1, 2, 3) if other != number]
    here = end(number).evidence
    device = {**here["links"]["flannel.1"], "addresses": [f"fd00:{number}::/128"]}
    told: dict[str, Any] = {
        **here,
        "pod": {**POD, "default_route_v6": True},
        "links": {**here["links"], "flannel.1": device},
        "route_to": {
            f"fd00:{other}::2": {"dst": f"fd00:{other}::/64", "gateway": f"fd00:{other}::", "dev": "flannel.1"}
            for other in others
        },
        "neighbours": {"flannel.1": {f"fd00:{other}::": f"02:00:00:00:00:0{other}" for other in others}},
        "ipv6_forward": "1",
    }
    address = f"192.0.2.{number}"
    return End(
        f"node{number}", address, f"probe-node{number}", f"fd00:{number}::2", f"fd00:{number}::/64", told | evidence
    )


def test_forwarding_of_one_ip_version_is_not_blamed_for_the_other() -> None:
    assert code(path(six(1), six(2, ipv6_forward="0"))) == ("forwarding-off", "node2")
    assert code(path(six(1), six(2, ip_forward="0", forwarding={"flannel.1": "0"})))[0] == "unexplained"
    cause = diagnose(path(six(1), six(2, ipv6_forward="0", ipv6_forwarding_files=["/etc/sysctl.d/99-hard.conf"])))
    assert cause and cause.code == "forwarding-reset" and cause.fix.endswith("net.ipv6.conf.all.forwarding=1")


def test_what_the_tunnel_lacks_for_ipv6_is_told_as_for_ipv4() -> None:
    lost = six(1, route_to={"fd00:2::2": {"error": "Network is unreachable"}})
    assert code(path(lost, six(2))) == ("route-missing", "node1")
    assert code(path(six(1, neighbours={"flannel.1": {}}), six(2))) == ("neighbour-missing", "node1")
    bare = six(2, pod={**POD, "default_route_v6": False})
    assert code(path(six(1), bare)) == ("pod-route-missing", "node2")


def test_icmpv6_seen_between_pods_counts_as_icmp() -> None:
    first, second = six(1), six(2)
    first = six(1, sightings=[sighting(first, second, "out", protocol=diagnosis_path.ICMPV6)])
    assert code(path(first, second, ("icmp",))) == ("tunnel-lost", "node1")


def test_a_strict_path_filter_is_not_blamed_for_ipv6_which_has_none() -> None:
    first, second = six(1), six(2)
    came = [sighting(first, second, "in", wrapping="", interface="eth1")]
    assert code(path(first, six(2, sightings=came, rp_filter={"eth1": 1})))[0] != "rp-filter"


def dropped(chain: str, source: str, target: str) -> dict[str, Any]:
    """What the trace tells of a drop by the cluster's own firewall."""
    return {
        "source": source, "target": target, "family": "inet", "table": "binary_cluster", "chain": chain, "handle": 9,
        "rule": "counter drop", "hook": "",
    }  # fmt: skip


def test_the_clusters_own_firewall_is_brought_up_to_date_and_not_opened() -> None:
    first = end(1)
    second = end(2, dropped=[dropped("closed", first.address, "192.0.2.2")])
    cause = diagnose(path(first, second))
    assert cause and (cause.code, cause.node) == ("not-a-member", "node2")
    assert "does not know node1 (192.0.2.1) as a member" in cause.text
    assert cause.fix == "ansible-playbook binary_cluster.networking.site --limit node2"


def test_pods_whose_address_is_routed_elsewhere_are_told_from_the_firewalls_drop() -> None:
    second = end(2)
    drop = dropped("sources", "10.244.1.2", second.pod_address)
    routes = {**end(1).evidence["route_to"], "10.244.1.2": {"dst": "10.244.1.0/25", "dev": "eth0"}}
    cause = diagnose(path(end(1, dropped=[drop], route_to=routes), second))
    assert cause and (cause.code, cause.node) == ("source-not-own", "node1")
    assert "leads through eth0" in cause.text
