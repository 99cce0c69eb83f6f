"""An inventory with faults is refused before the first host changes, with all its faults at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testing import lab


def test_all_faults_are_told_at_once_and_nothing_changes() -> None:
    bad = {
        "cluster_service_cidr": "10.244.0.0/24",
        "cluster_dns_domain": "-cluster.local",
        "flannel_backend": "vxln",
        "flannel_vxlan_vni": 99999999,
        "flannel_interface": "bond.*",
        "flannel_mtu": 9000,
        "flanel_backend": "vxlan",
        "flannel_vxlan_prt": 4789,
        "etcd_election_timeout": 200,
        "etcd_client_port": 22,
        "certificates_renew_before": 400,
        "cluster_certificates_directory": "/nonexistent/pki",
    }
    node = lab.names("nodes")[-1]
    lab.inside(node, "ip address add 10.244.0.1/24 dev cni0")  # flanneld gives this subnet to nobody
    try:
        done = lab.playbook("site", "--extra-vars", json.dumps(bad))
    finally:
        lab.inside(node, "ip address delete 10.244.0.1/24 dev cni0")
    assert done.returncode != 0
    told = done.stdout + done.stderr
    for line in (
        "cluster_service_cidr: 10.244.0.0/24: overlaps the pods' network 10.244.0.0/16",
        "cluster_dns_domain: -cluster.local: label '-cluster' is not legal",
        "flannel_backend: vxln: value of flannel_backend must be one of: vxlan, host-gw, ipip, udp",
        "flannel_vxlan_vni: 99999999: a VNI is a number from 1 to 16777215",
        "flannel_bridge: cni0: it has the address 10.244.0.1/24 besides ",
        "flannel_interface: bond.*: matches none of eth0, foreign0",
        "flannel_vxlan_prt: 4789: role flannel has no such variable; did you mean flannel_vxlan_port?",
        "etcd_election_timeout: 200: must be at least five times etcd_heartbeat_interval, so 500 or more",
        "etcd_client_port: tcp/22: taken by sshd; stop that, or choose another port",
        # Another controller would make an authority of its own, which no host trusts.
        "cluster_certificates_directory: /nonexistent/pki: there is no authority in /nonexistent/pki/etcd, and these",
        "certificates_renew_before: 400: must be less than certificates_days (365)",
    ):
        assert line in told, f"not told: {line}\n{told}"
    assert "changed=0" in told
    assert "changed=1" not in told


def test_a_vxlan_mtu_that_the_underlay_cannot_carry_is_refused() -> None:
    done = lab.playbook("site", "--extra-vars", '{"flannel_mtu": 1451}')
    assert done.returncode != 0
    assert (
        "flannel_mtu: 1451: with 50 bytes of vxlan header it exceeds the 1500 of eth0; take 1450 or less" in done.stdout
    )


@pytest.mark.skipif(Path("/sys/module/ipip").exists(), reason="this kernel has IPIP; unit tests judge one without")
def test_ipip_is_refused_on_a_kernel_without_it() -> None:
    done = lab.playbook("site", "--extra-vars", '{"flannel_backend": "ipip"}', "--tags", "preflight")
    assert done.returncode != 0
    assert "flannel_backend: ipip: this kernel has no IPIP: no tunl0, and no module ipip" in done.stdout
