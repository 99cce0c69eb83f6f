"""What a run of site.yml leaves behind, seen from the hosts and from the reports of the runs."""

from __future__ import annotations

import itertools
import json

import pytest
from testinfra.host import Host

from testing import lab
from testing.closed import (  # pylint: disable=unused-import
    pods,  # noqa: F401
    test_a_pod_reaches_no_member_of_etcd,  # noqa: F401
    test_a_pod_sends_under_no_other_address,  # noqa: F401
    test_nothing_comes_out_of_a_tunnel_that_a_pod_sent,  # noqa: F401
    test_nothing_comes_out_of_a_tunnel_that_a_stranger_sent,  # noqa: F401
    test_only_members_are_in_the_table,  # noqa: F401
)
from testing.runs import (  # pylint: disable=unused-import
    test_a_second_run_changes_nothing,  # noqa: F401
    test_a_second_run_of_site_needs_few_tasks,  # noqa: F401
    test_check_mode_announces_exactly_what_the_run_changes,  # noqa: F401
)

testinfra_hosts = ["ansible://nodes"]


def test_every_pair_of_pods_is_whole_with_the_mtu_of_the_overlay() -> None:
    report = lab.connectivity()
    assert report["ok"] and report["backend"] == "flannel"
    nodes = lab.names("nodes")
    # A node and itself are a pair too: its pod reaches the node, and itself.
    assert {(pair["source"], pair["target"]) for pair in report["pairs"]} == set(itertools.product(nodes, nodes))
    assert {pair["mtu"] for pair in report["pairs"] if pair["protocol"] == "mtu"} == {1450}


@pytest.mark.parametrize("unit", ["etcd", "flanneld"])
def test_daemons_run_unprivileged_and_sandboxed(host: Host, unit: str) -> None:
    assert host.service(unit).is_running
    assert host.service(unit).is_enabled
    shown = host.run(f"systemctl show {unit}").stdout.splitlines()
    properties = dict(line.split("=", 1) for line in shown)
    assert properties["User"] not in ("", "root")
    assert properties["NoNewPrivileges"] == "yes"
    assert properties["ProtectSystem"] == "strict"
    allowed = {"etcd": "", "flanneld": "cap_net_admin cap_net_raw"}[unit]
    assert properties.get("CapabilityBoundingSet", "") == allowed


@pytest.mark.parametrize(
    "path",
    ["/etc/etcd/pki/server.key", "/etc/etcd/pki/peer.key", "/etc/etcd/pki/client.key", "/etc/flannel/pki/client.key"],
)
def test_private_keys_are_private(host: Host, path: str) -> None:
    assert host.file(path).mode == 0o600


def test_no_key_appears_in_a_report_of_a_run() -> None:
    for path in lab.REPORTS.glob("run-*.json"):
        assert "PRIVATE KEY" not in path.read_text()


def test_etcd_refuses_clients_without_a_certificate(host: Host) -> None:
    endpoint = lab.etcd_endpoints()[0]
    program = (
        "import ssl, urllib.request as r; c = ssl.create_default_context(cafile='/etc/etcd/pki/ca.crt'); "
        f"r.urlopen('{endpoint}/health', context=c, timeout=5)"
    )
    done = host.run(f'python3 -c "{program}"')
    assert done.rc != 0
    assert "CERTIFICATE_REQUIRED" in done.stderr.upper().replace(" ", "_")


def test_a_nodes_certificate_opens_its_own_keys_and_no_others() -> None:
    node = next(member for member in lab.names("etcd") if member in lab.names("nodes"))
    pki = "/etc/flannel/pki"
    etcdctl = (
        f"etcdctl --endpoints {lab.etcd_endpoints()[0]} --cacert {pki}/ca.crt --cert {pki}/client.crt"
        f" --key {pki}/client.key"
    )
    assert "Network" in lab.inside(node, f"{etcdctl} get /coreos.com/network/config")
    refused = (
        "get /registry/secrets", "get --prefix /", "put /registry/secrets x", "del /registry/secrets",
        "snapshot save /run/stolen", "user list", "role grant-permission flannel readwrite /registry/secrets",
        "member add stranger --peer-urls https://192.0.2.1:2380", "auth disable",
    )  # fmt: skip
    asked = "; ".join(f"{etcdctl} {one} 2>&1 | tail --lines 1" for one in refused)
    answers = lab.inside(node, f"{asked}; rm -f /run/stolen*").splitlines()
    assert len(answers) == len(refused)
    assert all("permission denied" in answer for answer in answers), answers
    program = (
        f"import ssl, urllib.request as r; c = ssl.create_default_context(cafile='{pki}/ca.crt'); "
        f"c.load_cert_chain('{pki}/client.crt', '{pki}/client.key'); "
        f"r.urlopen('https://{lab.address(node)}:2380/members', context=c, timeout=5)"
    )
    assert "Error" in lab.inside(node, f'python3 -c "{program}" 2>&1 || true')


def test_the_kernel_follows_the_leases(host: Host) -> None:
    name = host.backend.get_hostname()
    info = lab.module(
        name,
        "flannel_info",
        endpoints=lab.etcd_endpoints(),
        ca_cert="/etc/flannel/pki/ca.crt",
        client_cert="/etc/flannel/pki/client.crt",
        client_key="/etc/flannel/pki/client.key",
    )
    assert info["disagreements"] == []
    assert {lease["address"] for lease in info["leases"]} == {lab.address(node) for node in lab.names("nodes")}
    assert all(0 < lease["expires_in"] <= 86400 for lease in info["leases"])


def test_etcd_is_healthy_as_an_operator_asks_it() -> None:
    members = lab.names("etcd")
    info = lab.module(
        members[0],
        "etcd_info",
        endpoints=lab.etcd_endpoints(),
        ca_cert="/etc/etcd/pki/ca.crt",
        client_cert="/etc/etcd/pki/client.crt",
        client_key="/etc/etcd/pki/client.key",
    )
    assert info["healthy"] and info["leader"] in members
    assert {member["name"] for member in info["members"]} == set(members)
    assert info["alarms"] == []


def test_the_conflist_is_json_and_the_only_network(host: Host) -> None:
    listed = host.file("/etc/cni/net.d").listdir()
    assert listed == ["10-flannel.conflist"]
    assert json.loads(host.file("/etc/cni/net.d/10-flannel.conflist").content_string)["name"] == "flannel"


def test_no_probe_pod_is_left(host: Host) -> None:
    assert "probe-" not in host.run("ip netns list").stdout
    assert "binary-cluster-probe" not in host.run("systemctl list-units --all --plain").stdout
    assert not host.file("/run/binary_cluster").exists


def test_what_belongs_to_others_is_untouched(host: Host) -> None:
    assert host.interface("foreign0").exists
    assert "-A INPUT -s 203.0.113.9/32 -j DROP" in host.run("iptables-save").stdout
    assert "table inet foreign" in host.run("nft list tables").stdout
