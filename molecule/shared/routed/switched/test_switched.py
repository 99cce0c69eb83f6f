"""After a switch to another network backend: the new one is whole, and nothing of the others is left."""

from __future__ import annotations

from functools import lru_cache

import pytest
from testinfra.host import Host

from testing import lab

testinfra_hosts = ["ansible://nodes"]

# What tells that a backend was here, in what `traces` asks for.
TRACES = {
    "flannel": ("flannel",),
    "vxlan_mesh": ("vxlan_mesh", "vxlan-mesh", "proto 145"),
    "host_routes": ("host_routes", "proto 146"),
}


def backend() -> str:
    """The backend there was a switch to."""
    return str(lab.connectivity()["backend"])


@lru_cache
def traces(host: Host) -> str:
    """Where a backend shows: links, routes, firewall, units, files, attachments, binaries, processes."""
    return host.check_output(
        "ip -details link show; ip route show table all; ip neighbour show nud permanent; nft list ruleset; "
        "iptables-save; systemctl list-unit-files --no-legend; systemctl list-units --all --no-legend --plain; "
        "find /etc/cni /etc/binary_cluster /etc/flannel /etc/systemd /run/flannel /run/cni /var/lib/cni "
        "/var/lib/binary_cluster /usr/local/bin /opt 2>/dev/null || true; getent passwd"
    )


def test_the_newest_run_is_the_switch_and_every_pair_is_whole() -> None:
    assert lab.connectivity()["ok"]
    assert lab.runs(f"to_{backend()}.yml")


@pytest.mark.parametrize("name", TRACES)
def test_exactly_one_backend_shows(host: Host, name: str) -> None:
    seen = traces(host)
    found = [trace for trace in TRACES[name] if trace in seen]
    assert bool(found) is (name == backend()), found


def test_the_conflist_is_the_only_network(host: Host) -> None:
    assert host.file("/etc/cni/net.d").listdir() == [f"10-{backend()}.conflist"]


def test_a_pod_that_was_attached_before_is_in_the_new_network(host: Host) -> None:
    kept = host.file("/var/lib/cni/results").listdir()
    assert [name.partition("-")[0] for name in kept] == [backend()]
    (node,) = [one for one in lab.connectivity()["nodes"] if one["name"] == host.backend.get_hostname()]
    prefix = node["pod_cidr"].rpartition(".")[0]
    assert f"inet {prefix}." in host.check_output("ip netns exec demo ip address show dev eth0")
