"""What a run of site.yml leaves behind, seen from the hosts and from the reports of the runs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from testinfra.host import Host

from testing import lab

testinfra_hosts = ["ansible://nodes"]


def test_every_pair_is_whole_with_the_mtu_of_the_underlay() -> None:
    report = lab.connectivity()
    assert report["ok"]
    assert report["backend"] == "host_routes"
    assert {pair["mtu"] for pair in report["pairs"] if pair["protocol"] == "mtu"} == {1500}


def test_check_mode_announced_exactly_what_the_first_run_changed() -> None:
    announced = lab.changes(lab.runs(check_mode=True)[0])
    assert announced == lab.changes(lab.runs()[0])
    assert announced


def test_the_second_run_changed_nothing() -> None:
    assert lab.changes(lab.runs()[1]) == set()


def test_every_other_node_is_a_route_and_nothing_else(host: Host) -> None:
    numbers = {"cp-1": 0, "worker-2.lab.example": 1, "worker-3.lab.example": 2}
    wanted = {
        f"10.244.{number}.0/24 via {lab.address(name)} dev eth0 proto 146"
        for name, number in numbers.items()
        if name != host.backend.get_hostname()
    }
    routes = {line.strip() for line in host.run("ip route show").stdout.splitlines()}
    assert {line for line in routes if "proto 146" in line} == wanted
    assert "vxlan" not in host.run("ip -details link show").stdout


def test_the_conflist_is_json_and_the_only_network(host: Host) -> None:
    assert host.file("/etc/cni/net.d").listdir() == ["10-host_routes.conflist"]
    conflist = json.loads(host.file("/etc/cni/net.d/10-host_routes.conflist").content_string)
    assert conflist["plugins"][0]["mtu"] == 1500


def test_a_pod_leaves_the_cluster_with_the_nodes_address() -> None:
    """Node4 is no node yet: it is told by whom it was asked."""
    listen = (
        "import socket as s; l = s.socket(s.AF_INET, s.SOCK_DGRAM); l.bind((str(), 18098)); "
        "open('/run/asked-by', 'w').write(l.recvfrom(9)[1][0])"
    )
    lab.inside("worker-4.lab.example", f'systemd-run --quiet --unit=asked python3 -c "{listen}" && sleep 1')
    lab.module("cp-1", "cni_attachment", netns="demo")
    lab.inside("cp-1", f"ip netns exec demo bash -c 'echo > /dev/udp/{lab.address('worker-4.lab.example')}/18098'")
    lab.module("cp-1", "cni_attachment", netns="demo", state="absent")
    assert lab.inside("worker-4.lab.example", "sleep 1; cat /run/asked-by").strip() == lab.address("cp-1")


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"host_routes_gateway": "203.0.113.1"}, "host_routes_gateway: 203.0.113.1: not an address in 192.168."),
        ({"host_routes_mtu": 1501}, "host_routes_mtu: 1501: it exceeds the 1500 of eth0; take 1500 or less, or 0"),
        ({"host_routes_subnet_length": 31}, "host_routes_subnet_length: 31: must be from 16 to 30 in 10.244.0.0/16"),
    ],
)
def test_bad_input_is_refused_and_nothing_changes(variables: dict[str, object], told: str) -> None:
    done = lab.playbook("site", "--extra-vars", json.dumps(variables))
    assert done.returncode != 0
    assert told in done.stdout + done.stderr
    assert "changed=1" not in done.stdout


def test_a_run_of_the_network_alone_is_refused_while_it_needs_an_etcd_that_is_not_there() -> None:
    """The whole run would bring etcd up; a part of it must not take the old network away before it fails."""
    variables = {"cluster_network": "flannel", "cluster_network_switch": True}
    done = lab.playbook("site", "--tags", "network", "--extra-vars", json.dumps(variables))
    assert done.returncode != 0
    assert "flannel_etcd_endpoints: https://" in done.stdout + done.stderr
    assert "start it, or name one that answers" in done.stdout + done.stderr
    assert "changed=1" not in done.stdout


def test_drift_compares_the_others_where_a_machine_is_down(tmp_path: Path) -> None:
    lab.inside("cp-1", "sysctl -qw net.ipv4.conf.all.rp_filter=1")
    down = lab.container("worker-3.lab.example")
    subprocess.run(["docker", "pause", down], check=True, stdout=subprocess.DEVNULL)
    try:
        done = lab.run(
            lab.CHECKOUT / "playbooks" / "drift.yml",
            "--timeout=2",
            f"--extra-vars=drift_report_directory={tmp_path}",
            # A connection that is open already would wait for the machine for minutes.
            environment={"ANSIBLE_SSH_ARGS": "-o ControlMaster=no"},
        )
    finally:
        subprocess.run(["docker", "unpause", down], check=True, stdout=subprocess.DEVNULL)
        lab.inside("cp-1", "sysctl -qw net.ipv4.conf.all.rp_filter=2")
    assert done.returncode != 0
    report = json.loads((tmp_path / "drift.json").read_text())
    assert report["hosts"] == ["cp-1", "worker-2.lab.example"], done.stdout
    assert [(one["host"], one["what"]) for one in report["differences"]] == [("cp-1", "net.ipv4.conf.all.rp_filter")], (
        report
    )
    assert [one["host"] for one in report["unreachable"]] == ["worker-3.lab.example"]
