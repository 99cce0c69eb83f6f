"""Hosts that were changed by hand: what drift says of them, and that site mends just that."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any

import pytest

from testing import lab

REPORT = lab.REPORTS / "drift"


@dataclass(frozen=True)
class Change:
    """Something done by hand on a host, and the difference that is expected to be told: host, role, what."""

    on: str
    make: str
    told: tuple[str, str, str]
    # What has to be done because of it, on the same host.
    follows: tuple[str, ...] = ()


# Three nodes: what is changed on one must not hide what is changed on another.
CHANGES = (
    Change("cp-1", "sysctl -qw net.ipv4.conf.all.rp_filter=1", ("cp-1", "node", "net.ipv4.conf.all.rp_filter")),
    Change(
        "worker-2.lab.example",
        "echo 'net.ipv4.ip_forward = 0' > /etc/sysctl.d/90-binary-cluster-node.conf",
        ("worker-2.lab.example", "node", "/etc/sysctl.d/90-binary-cluster-node.conf"),
    ),
    Change("cp-1", "echo '# by hand' >> /etc/etcd/etcdctl.env", ("cp-1", "etcd", "/etc/etcd/etcdctl.env")),
    Change(
        "worker-2.lab.example",
        "chmod 0644 /etc/etcd/pki/server.key",
        ("worker-2.lab.example", "etcd", "/etc/etcd/pki/server.key"),
    ),
    Change(
        "worker-3.lab.example",
        "rm /etc/etcd/pki/client.crt",
        ("worker-3.lab.example", "etcd", "/etc/etcd/pki/client.crt"),
    ),
    Change("worker-3.lab.example", "systemctl stop etcd", ("worker-3.lab.example", "etcd", "start")),
    Change(
        "worker-2.lab.example", "systemctl disable -q flanneld", ("worker-2.lab.example", "flannel", "enable flanneld")
    ),
    Change("cp-1", "systemctl stop flanneld", ("cp-1", "flannel", "start flanneld")),
    Change(
        "worker-3.lab.example",
        "echo '# by hand' >> /etc/systemd/system/flanneld.service",
        ("worker-3.lab.example", "flannel", "/etc/systemd/system/flanneld.service"),
        follows=("restart flanneld",),
    ),
    Change(
        "worker-2.lab.example",
        "rm /etc/cni/net.d/10-flannel.conflist",
        ("worker-2.lab.example", "flannel", "/etc/cni/net.d/10-flannel.conflist"),
    ),
    Change(
        "cp-1",
        "printf x >> $(readlink -f /opt/cni/bin/portmap)",
        ("cp-1", "binaries", "/opt/cni-plugins/1.9.1/portmap"),
    ),
    Change(
        "worker-2.lab.example",
        "ip route del $(ip -4 route show dev flannel.1 | head -n 1 | cut -d' ' -f1)",
        ("worker-2.lab.example", "flannel", "restart flanneld: route of "),
    ),
    Change(
        "cp-1",
        "set -a; . /etc/etcd/etcdctl.env; etcdctl put /coreos.com/network/config '{}'",
        ("cluster", "flannel", "/coreos.com/network/config"),
    ),
)
NUMBER = sum(1 + len(change.follows) for change in CHANGES)


def drift() -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    done = lab.playbook("drift", "--extra-vars", f"drift_report_directory={REPORT}")
    return done, dict(json.loads((REPORT / "drift.json").read_text()))


def test_a_healthy_cluster_has_none() -> None:
    done, report = drift()
    assert report["differences"] == []
    assert done.returncode == 0, done.stdout
    assert "3 hosts, no difference" in done.stdout


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """The report of a cluster with all changes."""
    for change in CHANGES:
        lab.shell(change.on, change.make)
    done, report = drift()
    assert done.returncode != 0
    assert f"{NUMBER} differences" in done.stdout
    return report


@pytest.mark.parametrize("change", CHANGES, ids=[change.make for change in CHANGES])
def test_what_was_changed_is_found(change: Change, found: dict[str, Any]) -> None:
    host, role, what = change.told
    told = [one["what"] for one in found["differences"] if (one["host"], one["role"]) == (host, role)]
    assert any(one.startswith(what) for one in told), told
    assert set(change.follows) <= set(told)


def test_nothing_else_is_found(found: dict[str, Any]) -> None:
    assert len(found["differences"]) == NUMBER, found["differences"]


def test_drift_changes_nothing(found: dict[str, Any]) -> None:
    assert drift()[1]["differences"] == found["differences"]


def test_site_mends_just_that(found: dict[str, Any]) -> None:
    # What is done once for the cluster is done on its first host.
    wanted = {(one["host"].replace("cluster", "cp-1"), one["role"]) for one in found["differences"]}
    report = lab.reported(lab.CHECKOUT / "playbooks" / "site.yml", REPORT)
    assert {(host, role) for host, role, _task in lab.changes(report)} == wanted
    assert drift()[1]["differences"] == []


def test_a_certificate_that_is_due_is_found_with_all_that_it_changes() -> None:
    node = lab.names("nodes")[-1]
    (lab.directory() / "pki" / "etcd" / node / "flannel.crt").unlink()
    found = {(one["host"], one["role"], one["what"]) for one in drift()[1]["differences"]}
    assert found >= {
        ("cluster", "certificates", f"{node}/flannel"),
        (node, "flannel", "/etc/flannel/pki/client.crt"),
        (node, "flannel", "/etc/flannel/pki/client.key"),
        (node, "flannel", "restart flanneld"),
    }
    site = lab.CHECKOUT / "playbooks" / "site.yml"
    announced = lab.changes(lab.reported(site, REPORT, "--check"))
    assert announced == lab.changes(lab.reported(site, REPORT))
    assert drift()[1]["differences"] == []
