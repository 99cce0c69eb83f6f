"""What a run of site.yml with Calico leaves behind, with VXLAN and a node in another subnet."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host

from testing import lab
from testing.runs import (  # pylint: disable=unused-import
    test_a_second_run_changes_nothing,  # noqa: F401
    test_a_second_run_of_site_needs_few_tasks,  # noqa: F401
    test_check_mode_announces_exactly_what_the_run_changes,  # noqa: F401
)

testinfra_hosts = lab.machines("nodes")
NEAR, FAR = lab.address("cp-1"), lab.variable("worker-4.lab.example", "far_node")


def test_every_pair_of_pods_is_whole_with_the_mtu_of_the_overlay() -> None:
    report = lab.connectivity()
    assert report["ok"] and report["backend"] == "calico"
    assert len({(pair["source"], pair["target"]) for pair in report["pairs"] if pair["protocol"] == "icmp"}) >= 12
    assert {pair["mtu"] for pair in report["pairs"] if pair["protocol"] == "mtu"} == {1450}


def test_felix_runs_unprivileged_and_sandboxed(host: Host) -> None:
    assert host.service("calico-felix").is_running
    assert host.service("calico-felix").is_enabled
    shown = host.check_output("systemctl show calico-felix").splitlines()
    properties = dict(line.split("=", 1) for line in shown)
    assert properties["User"] == "calico"
    assert properties["NoNewPrivileges"] == "yes"
    assert properties["ProtectSystem"] == "strict"
    assert properties["CapabilityBoundingSet"] == "cap_net_admin cap_net_raw"


def test_no_bird_runs_where_nothing_needs_it(host: Host) -> None:
    assert not host.service("calico-bird").is_running
    assert not host.file("/usr/sbin/bird").exists


def test_the_key_is_felix_own(host: Host) -> None:
    key = host.file("/etc/calico/pki/client.key")
    assert (key.mode, key.user) == (0o600, "calico")


def test_felix_complains_of_nothing_it_is_denied(host: Host) -> None:
    log = host.check_output("journalctl -u calico-felix --no-pager -o cat")
    assert "ermission denied" not in log and "not permitted" not in log


def test_the_conflist_is_json_and_the_only_network(host: Host) -> None:
    assert host.file("/etc/cni/net.d").listdir() == ["10-calico.conflist"]
    assert json.loads(host.file("/etc/cni/net.d/10-calico.conflist").content_string)["name"] == "calico"


@pytest.mark.parametrize(("node", "address"), [("cp-1", f"{NEAR}/24"), ("worker-4.lab.example", f"{FAR}/24")])
def test_a_node_has_the_address_that_was_selected(node: str, address: str) -> None:
    told = json.loads(lab.inside("cp-1", f"calicoctl get node {node} -o json"))
    assert told["spec"]["bgp"]["ipv4Address"] == address


def test_no_probe_pod_is_left_in_etcd() -> None:
    told = lab.inside("cp-1", "calicoctl get workloadendpoints --all-namespaces -o json")
    assert json.loads(told)["items"] == []


def test_bad_settings_are_refused_before_anything_changes() -> None:
    done = lab.playbook("site", "-e", "calico_encapsulation=ipip", "-e", "calico_vxlan_vni=0", "--tags", "preflight")
    assert done.returncode != 0
    assert "calico_encapsulation: ipip: the kernel has no IPIP" in done.stdout + done.stderr
    assert "calico_vxlan_vni: 0: a VNI is a number" in done.stdout + done.stderr
