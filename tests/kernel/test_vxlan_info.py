"""What vxlan_info tells of devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import Host
from ansible_collections.binary_cluster.networking.tests.kernel.vxlan_cases import mesh, vtep_mac

Hosts = Callable[[int], list[Host]]


def info(host: Host, **params: Any) -> list[dict[str, Any]]:
    """The devices; the module never changes anything."""
    result = host.run_module("vxlan_info", params)
    assert result["changed"] is False
    return list(result["devices"])


def test_a_host_without_devices_has_an_empty_list(host: Host) -> None:
    assert info(host) == []
    assert info(host, name="vx0") == []
    assert info(host, name="eth0") == []


def test_a_device_is_told_with_all_it_holds(hosts: Hosts) -> None:
    first, second = hosts(2)
    mesh([first, second], ttl="64", port_range=[20000, 30000], flood=["192.0.2.99"])
    first.ip("route add 10.9.0.0/24 via 10.244.2.0 dev vx0 onlink protocol static table 99 metric 5 mtu 1300")
    first.bridge("fdb add 02:00:00:00:99:01 dev vx0 dst 192.0.2.99 self static port 99 via eth0")
    assert first.pings("10.244.2.0")
    (device,) = info(first, name="vx0")
    assert {
        key: device[key] for key in ("name", "vni", "local", "ttl", "mtu", "learning", "port_range", "running")
    } == {
        "name": "vx0",
        "vni": 7,
        "local": first.address,
        "ttl": "64",
        "mtu": 1450,
        "learning": False,
        "port_range": [20000, 30000],
        "running": True,
    }
    assert "10.244.1.0/32" in device["addresses"]
    assert sorted(device["fdb"], key=str) == [
        {"mac": "00:00:00:00:00:00", "destination": "192.0.2.99", "state": "permanent"},
        {"mac": vtep_mac(2), "destination": second.address, "state": "permanent"},
        {"mac": "02:00:00:00:99:01", "destination": "192.0.2.99", "state": "static", "port": 99, "interface": "eth0"},
    ]
    assert {"address": "10.244.2.0", "mac": vtep_mac(2), "state": "permanent", "protocol": 140} in device["neighbours"]
    plain = {"gateway": "10.244.2.0", "onlink": True}
    assert sorted(device["routes"], key=str) == [
        {**plain, "destination": "10.244.2.0/24", "metric": 0, "mtu": 0, "table": 254, "protocol": 140},
        {**plain, "destination": "10.9.0.0/24", "metric": 5, "mtu": 1300, "table": 99, "protocol": 4},
    ]
    assert device["statistics"]["sent"]["packets"] >= 1
    assert device["statistics"]["received"]["bytes"] >= 84


def test_what_was_learned_is_told_as_such(hosts: Hosts) -> None:
    first, second = hosts(2)
    for host, other in ((first, second), (second, first)):
        device = {"name": "vx0", "vni": 8, "local": host.address, "flood": [other.address], "addresses": []}
        host.run_module("vxlan", {"devices": [{**device, "addresses": [f"10.5.0.{host.number}/24"]}]})
    assert first.pings("10.5.0.2")
    learned = [entry for entry in info(first)[0]["fdb"] if entry["state"] == "learned"]
    assert [entry["destination"] for entry in learned] == [second.address]
    assert "reachable" in [entry["state"] for entry in info(first)[0]["neighbours"]]


def test_all_devices_are_told_by_name(host: Host) -> None:
    devices = [{"name": name, "vni": vni, "local": host.address} for vni, name in ((2, "vx2"), (1, "vx1"))]
    devices[0]["flood"] = ["192.0.2.99"]
    host.run_module("vxlan", {"devices": devices})
    told = info(host)
    assert [device["name"] for device in told] == ["vx1", "vx2"]
    assert [len(device["fdb"]) for device in told] == [0, 1]
