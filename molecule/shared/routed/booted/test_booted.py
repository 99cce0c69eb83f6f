"""After a boot without Ansible: the machine has what was last applied, exactly."""

from __future__ import annotations

from typing import Any

from testinfra.host import Host

from testing import lab

testinfra_hosts = ["ansible://worker-2.lab.example"]


def routed(state: dict[str, Any]) -> dict[str, Any]:
    """What a state has of the pod network. The bridge of the pods comes with the first pod."""
    # Which comes first may be another after a boot.
    tables = [table.strip() for table in state["nftables"].split("\ntable ")]
    return {
        "links": [link for link in state["links"] if link["ifname"] == "vxlan-mesh"],
        "fdb": [line for line in state["fdb"] if "dev vxlan-mesh" in line],
        "neighbours": [line for line in state["neighbours"] if "dev vxlan-mesh" in line],
        "routes": [line for line in state["routes"]["-4 main"].splitlines() if "proto 14" in line],
        "routes of IPv6": [line for line in state["routes"]["-6 main"].splitlines() if "proto 14" in line],
        "masquerading": [table for table in tables if "masquerade fully-random" in table],
        "firewall": [table for table in tables if "set members4" in table],
    }


def test_the_pod_network_is_exactly_what_it_was() -> None:
    before, after = routed(lab.kept("boot-before")), routed(lab.kept("boot-after"))
    assert len(before["routes"]) == 2
    assert len(before["masquerading"]) == len(before["firewall"]) == 1
    assert after == before


def test_the_run_after_the_boot_changes_nothing() -> None:
    assert {change for change in lab.changes(lab.runs("boot.yml")[-1]) if change[1]} == set()


def test_the_unit_did_it_with_one_capability(host: Host) -> None:
    (conflist,) = host.file("/etc/cni/net.d").listdir()
    name = conflist.removeprefix("10-").removesuffix(".conflist")
    shown = dict(line.split("=", 1) for line in host.run(f"systemctl show {name}").stdout.splitlines() if "=" in line)
    assert shown["Result"] == "success"
    assert shown["UnitFileState"] == "enabled"
    assert shown["CapabilityBoundingSet"] == "cap_net_admin"
    assert shown["ProtectSystem"] == "strict"
