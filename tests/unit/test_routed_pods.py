"""Which way leads to which node's pods, and what of it a machine puts back at boot."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._backends import (
    contract,
    host_routes,
    static_network,
    vxlan_mesh,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._backends.static_network import Node
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan.changes import Change
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan.validation import Faults
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing import masquerade
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing.routes import Hop, Route
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.entries import Fdb
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.link import Link
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.spec import Wanted, parse
from ansible_collections.binary_cluster.networking.plugins.modules.vxlan import OPTIONS

A = Node("a", "192.0.2.11", "10.244.0.0/24")
B = Node("b", "192.0.2.12", "10.244.1.0/24")
FAR = Node("far", "198.51.100.13", "10.244.200.0/24")
NETWORK = ipaddress.IPv4Network("192.0.2.0/24")


def ways(tunnel: bool, direct: bool, gateway: str = "") -> tuple[list[str], list[tuple[str, str]]]:
    near = contract.in_network(NETWORK)
    backend: contract.HostBackend = host_routes.HostRoutes({"gateway": gateway}, near)
    if tunnel:
        backend = vxlan_mesh.VxlanMesh({"direct_routing": direct}, near)
    tunnelled, routed = static_network.by_path(backend, A, [A, B, FAR], NETWORK)
    return [node.name for node in tunnelled], [(node.name, hop) for node, hop in routed]


def test_all_others_are_reached_through_the_tunnel() -> None:
    assert ways(tunnel=True, direct=False) == (["b", "far"], [])


def test_with_direct_routing_only_those_of_other_subnets_are() -> None:
    assert ways(tunnel=True, direct=True) == (["far"], [("b", "192.0.2.12")])


def test_without_a_tunnel_others_are_routed_to_plainly_and_those_of_other_subnets_through_the_gateway() -> None:
    assert ways(tunnel=False, direct=False, gateway="192.0.2.1") == ([], [("b", "192.0.2.12"), ("far", "192.0.2.1")])


def test_without_a_tunnel_and_a_gateway_other_subnets_are_refused() -> None:
    with pytest.raises(static_network.NetworkError, match=r"^far \(198.51.100.13\) is outside of 192.0.2.0/24"):
        ways(tunnel=False, direct=False)


def test_the_mac_of_a_vtep_follows_from_its_pod_cidr_and_is_no_ones_else() -> None:
    assert A.mac == "02:bc:0a:f4:00:00"
    assert FAR.mac == "02:bc:0a:f4:c8:00"


def test_nodes_stand_in_the_order_of_their_pod_cidrs() -> None:
    entries = [
        {"name": node.name, "address": node.address, "pod_cidr": node.pod_cidr, "pod_cidr_v6": ""}
        for node in (FAR, B, A)
    ]
    assert static_network.nodes(entries) == [A, B, FAR]


def test_the_underlay_is_the_interface_with_the_address() -> None:
    links = [
        {"ifname": "lo", "mtu": 65536, "addr_info": [{"local": "127.0.0.1", "prefixlen": 8}]},
        {"ifname": "eth0", "mtu": 1500, "addr_info": [{"local": "192.0.2.11", "prefixlen": 24}]},
    ]
    assert static_network.underlay(links, "192.0.2.11") == static_network.Underlay("eth0", NETWORK, 1500)
    with pytest.raises(static_network.NetworkError, match=r"^192.0.2.99 is on none"):
        static_network.underlay(links, "192.0.2.99")


def test_a_record_tells_the_next_run_what_the_node_has_and_knows() -> None:
    assert json.loads(static_network.record(A, [A, B])) == {
        "node": "a",
        "pod_cidrs": {"a": "10.244.0.0/24", "b": "10.244.1.0/24"},
    }


def test_the_script_masquerades_first_gives_each_program_its_lines_in_order_and_fails_where_one_does() -> None:
    route = Route(4, "10.244.1.0/24", (Hop("10.244.1.0", "vxlan-mesh", onlink=True),), "145")
    changes = [
        Change(None, Fdb("vxlan-mesh", B.mac, B.address), ""),
        Change(None, route, ""),
        Change(None, masquerade.masquerade("vxlan_mesh", ["10.244.0.0/16"], []), ""),
    ]
    stand_ins = (
        'ip() { echo "ip $*"; cat; false; }; bridge() { echo "bridge $*"; cat; }; nft() { echo "nft $*"; cat; }\n'
    )
    script = stand_ins + static_network.script("vxlan_mesh", changes) + "echo not reached\n"
    done = subprocess.run(["sh", "-e"], input=script, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    told = [line for line in done.stdout.splitlines() if not line.startswith(("\t", "}"))]
    assert told == [
        "nft --file -",
        "table inet vxlan_mesh",
        "delete table inet vxlan_mesh",
        "table inet vxlan_mesh {",
        "bridge -force -batch -",
        "fdb replace 02:bc:0a:f4:01:00 dev vxlan-mesh dst 192.0.2.12 self permanent",
        "ip -force -batch -",
        "route replace 10.244.1.0/24 via 10.244.1.0 dev vxlan-mesh onlink protocol 145",
    ]


@pytest.mark.parametrize("there", [False, True])
def test_the_script_makes_the_device_only_where_it_is_not_there_and_sets_it_up_in_any_case(there: bool) -> None:
    link = Link("vxlan-mesh", 1, 4789)
    stand_ins = f"""ip() {{ case $1 in link) {str(there).lower()};; *) cat;; esac; }}\n"""
    script = stand_ins + static_network.script("vxlan_mesh", [Change(None, link, "")])
    done = subprocess.run(["sh", "-e"], input=script, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "link set dev vxlan-mesh up"
    assert done.stdout.startswith("link add vxlan-mesh ") is not there


def test_units_follow_a_start_a_restart_and_a_reload_of_nftables_and_changes_of_the_hosts_network() -> None:
    units = static_network.units("mesh", "/etc/binary_cluster/mesh/restore")
    assert set(units) == {"mesh.service", "mesh-restore.service", "mesh-restore.path"}
    kept, again, watch = units["mesh.service"], units["mesh-restore.service"], units["mesh-restore.path"]
    assert "PartOf=nftables.service\nReloadPropagatedFrom=nftables.service\n" in kept
    assert "ExecReload=/bin/sh -e /etc/binary_cluster/mesh/restore\n" in kept
    # What stays active is not started again.
    assert "RemainAfterExit=yes" in kept and "RemainAfterExit" not in again
    assert "ExecStart=/bin/sh -e /etc/binary_cluster/mesh/restore\n" in again
    assert again.endswith("[Install]\nWantedBy=nftables.service\n")
    assert "PathChanged=/run/systemd/netif/state\nPathChanged=/run/NetworkManager/devices\n" in watch
    assert not any("{" in text for text in units.values())


# --- IPv6 ------------------------------------------------------------------------------

A6, B6, FAR6 = (replace(node, pod_cidr_v6=f"fd00:0:0:{number}::/64") for number, node in enumerate((A, B, FAR)))


def device(own: Node, tunnelled: list[Node], near: list[Node]) -> tuple[Wanted, Faults]:
    """The device of a node, and what is wrong with the nodes."""
    faults = Faults()
    return vxlan_mesh.device(own, tunnelled, near, {"vni": 1, "port": 4789}, 1450, faults), faults


def unplaced(wanted: Wanted) -> dict[str, Any]:
    """A device without the options that ask for its parts."""
    held = {name: value for name, value in vars(wanted).items() if name != "where"}
    return {
        name: [item for item, _where in value] if isinstance(value, list) else value for name, value in held.items()
    }


def told(
    own: Node, tunnelled: list[Node], near: list[Node]
) -> tuple[list[str], dict[str, tuple[list[str], list[str]]]]:
    """Addresses of the VTEP; of each peer what is led through the tunnel, by the underlay's address."""
    made, faults = device(own, tunnelled, near)
    assert not faults.found
    peers: dict[str, tuple[list[str], list[str]]] = {}
    for entry, _where in made.fdb or ():
        overlay = [item.address for item, _place in made.neighbours or () if item.mac == entry.mac]
        subnets = [item.destination for item, _place in made.routes or () if item.hops[0].gateway in overlay]
        peers[entry.destination] = (overlay, subnets)
    return [item.address.partition("/")[0] for item, _where in made.addresses or ()], peers


def test_both_ip_versions_go_through_one_tunnel_over_ipv4() -> None:
    addresses, peers = told(A6, [B6, FAR6], [])
    assert addresses == ["10.244.0.0", "fd00::"]
    assert peers["192.0.2.12"] == (["10.244.1.0", "fd00:0:0:1::"], ["10.244.1.0/24", "fd00:0:0:1::/64"])


def test_ipv6_goes_through_the_tunnel_also_to_nodes_that_are_routed_to_plainly() -> None:
    _addresses, peers = told(A6, [FAR6], [B6])
    assert peers["192.0.2.12"] == (["fd00:0:0:1::"], ["fd00:0:0:1::/64"])
    assert len(peers["198.51.100.13"][1]) == 2


def test_without_ipv6_nothing_of_it_is_there() -> None:
    addresses, peers = told(A, [FAR], [B])
    assert addresses == ["10.244.0.0"]
    assert peers == {"198.51.100.13": (["10.244.200.0"], ["10.244.200.0/24"])}


def test_the_device_is_as_the_module_vxlan_would_make_it() -> None:
    """Of the options that a static network does not set, each is as it is by default."""
    peer = {"underlay": B.address, "mac": B.mac, "overlay": ["10.244.1.0"], "subnets": [B.pod_cidr]}
    given = {"name": "vxlan-mesh", "vni": 1, "local": A.address, "mac": A.mac, "mtu": 1450, "learning": False}
    given.update(flood=[], addresses=["10.244.0.0"], peers=[peer])
    filled = {name: given.get(name, option.get("default")) for name, option in OPTIONS["devices"]["options"].items()}
    (wanted,) = parse([filled], static_network.TUNNELLED, Faults())
    made, _faults = device(A, [B], [])
    assert unplaced(made) == unplaced(wanted)


def test_two_nodes_with_one_pod_cidr_are_refused() -> None:
    _made, faults = device(A, [B, replace(FAR, pod_cidr=B.pod_cidr)], [])
    assert faults.found[0].startswith(
        f"vxlan.peers[1].mac: {B.mac} leads to another underlay address in vxlan.peers[0]"
    )


def test_pods_get_an_address_of_each_network() -> None:
    plugin = static_network.conflist("vxlan_mesh", "cni0", A6.cidrs(), 1450)["plugins"][0]
    assert plugin["ipam"]["ranges"] == [[{"subnet": "10.244.0.0/24"}], [{"subnet": "fd00:0:0:0::/64"}]]
    assert static_network.gateway_of(B6.pod_cidr_v6) == "fd00:0:0:1::1/64"
