"""After a switch to flannel and back."""

from __future__ import annotations

import ipaddress

from testinfra.host import Host

from testing import lab

testinfra_hosts = lab.machines("nodes")


def test_every_pair_is_whole_again() -> None:
    assert lab.runs("to_flannel.yml") and lab.runs("back.yml")
    report = lab.connectivity()
    assert report["ok"] and report["backend"] == "calico"


def test_pods_have_addresses_of_the_pool_of_their_node() -> None:
    pods = {node["name"]: ipaddress.ip_address(node["pod_ip"]) for node in lab.connectivity()["nodes"]}
    far = {name for name, pod in pods.items() if pod in ipaddress.ip_network("10.244.128.0/17")}
    assert far == {"worker-4.lab.example"} and len(pods) == 4
    blocks = lab.inside("cp-1", "calicoctl ipam show --show-blocks")
    assert {line.split("/")[1].split()[0] for line in blocks.splitlines() if "| Block" in line} == {"26", "27"}


def test_nothing_of_flannel_and_nothing_of_bgp_is_left(host: Host) -> None:
    seen = host.check_output(
        "ip -details link show; ip route show table all; nft list ruleset; systemctl list-unit-files --no-legend; "
        "find /etc/cni /etc/flannel /run/flannel /var/lib/binary_cluster /usr/local/bin /opt 2>/dev/null || true"
    )
    assert "flannel" not in seen
    assert "bird" not in seen
