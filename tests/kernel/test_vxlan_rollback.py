"""What the kernel refuses half-way is undone, and told in its own words."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import PYTHON, Host
from ansible_collections.binary_cluster.networking.tests.kernel.vxlan_cases import (
    configuration,
    member,
    mesh,
    peer,
    settles,
    vtep_mac,
)

Hosts = Callable[[int], list[Host]]
UNDONE = "What was begun is undone."


@contextlib.contextmanager
def occupied(host: Host, port: int) -> Iterator[None]:
    """Another program holds a UDP port of the host."""
    hold = f"import socket,time; s=socket.socket(2,2); s.bind(('',{port})); print('held',flush=True); time.sleep(60)"
    holder = host.background(PYTHON, "-c", hold)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
    finally:
        holder.kill()
        holder.wait()


@pytest.fixture
def busy(host: Host) -> Host:
    """A host with a device that holds entries of ours and of others."""
    host.ip("link add br0 type bridge")
    peers = [peer(102, "192.0.2.102"), peer(103, "192.0.2.103")]
    device = {"name": "vx0", "vni": 7, "local": host.address, "mac": vtep_mac(1), "peers": peers, "bridge": "br0"}
    more = {"flood": ["192.0.2.102"], "addresses": ["10.244.1.0", "fd00:1::1/64"], "remote": "192.0.2.105"}
    host.run_module("vxlan", {"devices": [{**device, **more, "learning": False, "ttl": "9", "df": "set"}]})
    for line in (
        "bridge fdb add 02:00:00:00:99:01 dev vx0 dst 192.0.2.99 self static",
        "bridge fdb add 02:00:00:00:99:02 dev vx0 dst 192.0.2.99 self permanent port 9999 via eth0",
        "bridge fdb append 00:00:00:00:00:00 dev vx0 dst 192.0.2.99 self permanent port 9999",
        "ip neighbour add 10.99.0.1 lladdr 02:00:00:00:99:01 dev vx0 nud permanent",
        "ip neighbour add 10.244.104.0 lladdr 02:00:00:00:99:04 dev vx0 nud permanent",
        "ip route add 10.99.1.0/24 via 10.99.0.1 dev vx0 onlink protocol 80 mtu 1300 src 10.244.1.0",
        "ip route add 10.99.2.0/24 protocol 80 metric 5 nexthop via 10.99.0.1 dev vx0 onlink weight 2 "
        "nexthop via 192.0.2.1 dev eth0 onlink",
        "ip route add 10.244.104.0/24 via 192.0.2.104 dev eth0 protocol 80",
        "ip -6 route add fd00:99::/64 via fd00:99::1 dev vx0 onlink table 99",
    ):
        host.exec(*line.split())
    return host


def trouble(host: Host, **options: Any) -> dict[str, Any]:
    """Arguments whose last route the kernel refuses: its gateway is an address of this host."""
    host.ip("address replace 10.88.0.1/32 dev lo")
    bad = {"underlay": "192.0.2.88", "mac": vtep_mac(88), "overlay": ["10.88.0.1"], "subnets": ["10.88.0.0/24"]}
    peers = [peer(104, "192.0.2.104"), bad]
    return {"devices": [{"name": "vx0", "vni": 7, "local": host.address, "peers": peers, **options}]}


def test_the_third_of_five_operations_is_refused_and_two_are_undone(host: Host) -> None:
    host.run_module("vxlan", {"devices": [{"name": "vx0", "vni": 7, "local": host.address}]})
    host.ip("address add 10.88.0.1/32 dev lo")
    before = configuration(host)
    bad = {"underlay": "192.0.2.88", "mac": vtep_mac(88), "overlay": ["10.88.0.1"]}
    peers = [{**bad, "subnets": ["10.88.0.0/24", "10.88.1.0/24", "10.88.2.0/24"]}]
    params = {"devices": [{"name": "vx0", "vni": 7, "local": host.address, "peers": peers}]}
    assert len(host.run_module("vxlan", params, check=True)["actions"]) == 5
    result = host.run_module("vxlan", params, failing=True)
    assert result["msg"] == (
        "devices[0].peers[0].subnets[0]: add route 10.88.0.0/24 via 10.88.0.1 dev vx0 onlink protocol 140: "
        "Error: Nexthop has invalid gateway. (at: route append 10.88.0.0/24 via 10.88.0.1 dev vx0 onlink protocol 140)"
        f". {UNDONE}"
    )
    assert result["left"] == []
    assert configuration(host) == before


def test_a_device_that_cannot_come_up_is_not_left_behind(host: Host) -> None:
    host.ip("link add br0 address 02:00:00:00:00:aa type bridge")
    before = host.ip("link show")
    with occupied(host, 4789):
        params = {"devices": [{"name": "vx0", "vni": 7, "local": host.address, "bridge": "br0"}]}
        result = host.run_module("vxlan", params, failing=True)
    assert "Address already in use" in result["msg"]
    assert result["msg"].startswith("devices[0]: add vxlan device vx0: ")
    assert result["left"] == []
    assert host.ip("link show") == before


def test_of_several_devices_none_is_made_when_the_last_fails(host: Host) -> None:
    with occupied(host, 4790):
        devices = [{"name": f"vx{n}", "vni": n, "local": host.address} for n in range(1, 5)]
        result = host.run_module("vxlan", {"devices": [*devices[:3], {**devices[3], "port": 4790}]}, failing=True)
    assert result["msg"].startswith("devices[3]: ")
    assert host.json("ip link show type vxlan") == []


def test_changes_in_place_are_undone_with_what_the_kernel_dropped_along(busy: Host) -> None:
    before = configuration(busy)
    options = {"mac": vtep_mac(55), "ttl": "64", "bridge": "", "mtu": 1280, "flood": [], "addresses": ["10.244.9.0"]}
    result = busy.run_module("vxlan", trouble(busy, **options), failing=True)
    assert "Nexthop has invalid gateway" in result["msg"]
    assert result["left"] == []
    assert configuration(busy) == before


def test_a_change_of_the_underlay_is_undone_with_the_mtu(busy: Host) -> None:
    busy.ip("link add eth1 type veth peer name far1")
    busy.ip("link set eth1 up mtu 1400")
    before = configuration(busy)
    options = {"device": "eth1", "remote": "192.0.2.102", "mac": vtep_mac(1), "bridge": "br0"}
    result = busy.run_module("vxlan", trouble(busy, **options), failing=True)
    # Nothing takes the underlay interface away again from a device that is there.
    assert result["left"] == []
    assert configuration(busy) == before


def test_a_device_that_cannot_be_made_anew_comes_back_with_all_it_held(busy: Host) -> None:
    before = configuration(busy)
    peers = [peer(102, "192.0.2.102"), peer(103, "192.0.2.103")]
    params = {"devices": [{"name": "vx0", "vni": 7, "local": busy.address, "port": 4790, "peers": peers}]}
    with occupied(busy, 4790):
        result = busy.run_module("vxlan", {**params, "recreate": "allowed"}, failing=True)
    assert "Address already in use" in result["msg"]
    assert result["left"] == []
    assert configuration(busy) == before


def test_a_mesh_carries_traffic_again_after_a_failed_recreation(hosts: Hosts) -> None:
    first, second = hosts(2)
    mesh([first, second])
    with occupied(first, 4790):
        first.run_module("vxlan", {**member(first, [first, second], port=4790), "recreate": "allowed"}, failing=True)
    assert first.pings("10.244.2.0")
    settles(first, {**member(first, [first, second], port=4790), "recreate": "allowed"})


def test_removed_devices_come_back_when_a_later_removal_fails(busy: Host) -> None:
    peers = [peer(102, "192.0.2.102")]
    busy.run_module("vxlan", {"devices": [{"name": "vx1", "vni": 8, "local": busy.address, "peers": peers}]})
    stand_in = busy.scratch / "ip"
    # A stand-in that refuses to delete vx1, as nothing on a real kernel makes a deletion fail.
    stand_in.write_text(
        "#!/bin/sh\n"
        'case "$*" in *batch*) sed "s/^link delete dev vx1$/link delete dev gone/" | /sbin/ip "$@"; exit $?;; esac\n'
        'exec /sbin/ip "$@"\n'
    )
    stand_in.chmod(0o755)
    before = configuration(busy) + configuration(busy, "vx1")
    params = {"state": "absent", "devices": [{"name": "vx0"}, {"name": "vx1"}]}
    result = busy.run_module("vxlan", params, failing=True, path=str(busy.scratch))
    assert 'Cannot find device "gone"' in result["msg"]
    assert result["left"] == []
    assert configuration(busy) + configuration(busy, "vx1") == before
