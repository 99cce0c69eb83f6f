"""Hosts that were changed by hand: what drift says of them, and that site announces and mends just that."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any

import pytest

from testing import lab

REPORT = lab.REPORTS / "drift"
SITE = lab.CHECKOUT / "playbooks" / "site.yml"
HOST_STATE = lab.CHECKOUT / "molecule" / "shared" / "host_state.py"
CONTROLLER = "controller"


@dataclass(frozen=True)
class Change:
    """Something done by hand on a host, and the difference that is expected to be told: host, role, what.

    On the controller it is done in the lab's directory.
    """

    on: str
    make: str
    told: tuple[str, str, str]
    # What has to be done because of it: host, role, what.
    follows: tuple[tuple[str, str, str], ...] = ()


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
    # Each node's flanneld is started or restarted for a reason of its own: a restart that is due anyway hides others.
    Change(
        "worker-2.lab.example", "systemctl disable -q flanneld", ("worker-2.lab.example", "flannel", "enable flanneld")
    ),
    Change("cp-1", "systemctl stop flanneld", ("cp-1", "flannel", "start flanneld")),
    Change(
        "cp-1",
        "echo '# by hand' >> /etc/systemd/system/flanneld.service",
        ("cp-1", "flannel", "/etc/systemd/system/flanneld.service"),
    ),
    Change(
        CONTROLLER,
        "rm pki/etcd/worker-3.lab.example/flannel.crt",
        ("cluster", "certificates", "worker-3.lab.example/flannel"),
        follows=(
            ("worker-3.lab.example", "flannel", "/etc/flannel/pki/client.crt"),
            ("worker-3.lab.example", "flannel", "/etc/flannel/pki/client.key"),
            ("worker-3.lab.example", "flannel", "/etc/systemd/system/flanneld.service"),
            ("worker-3.lab.example", "flannel", "restart flanneld"),
        ),
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


def states() -> dict[str, Any]:
    """What each host is like, without what etcd writes as time goes by."""
    program = HOST_STATE.read_text()
    taken = {host: json.loads(lab.inside(host, "python3 -", program)) for host in lab.names()}
    for state in taken.values():
        state["files"] = {path: told for path, told in state["files"].items() if not path.startswith("/var/lib/etcd/")}
    return taken


@dataclass(frozen=True)
class Found:
    """The report of a cluster with all changes, and what the hosts were like before and after it."""

    report: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]


@pytest.fixture(scope="module")
def found() -> Found:
    for change in CHANGES:
        if change.on == CONTROLLER:
            subprocess.run(["sh", "-c", change.make], cwd=lab.directory(), check=True)
        else:
            lab.inside(change.on, change.make)
    before = states()
    done, report = drift()
    assert done.returncode != 0
    assert f"{NUMBER} differences" in done.stdout
    return Found(report, before, states())


@pytest.fixture(scope="module")
def announced(found: Found) -> set[tuple[str, str, str]]:
    """What site would change then, by its own check mode: host, role and task."""
    return lab.changes(lab.reported(SITE, REPORT, "--check"))


@pytest.mark.parametrize("change", CHANGES, ids=[change.make for change in CHANGES])
def test_what_was_changed_is_found(change: Change, found: Found) -> None:
    host, role, what = change.told
    told = [(one["host"], one["role"], one["what"]) for one in found.report["differences"]]
    assert any(one[:2] == (host, role) and one[2].startswith(what) for one in told), told
    assert set(change.follows) <= set(told)


def test_nothing_else_is_found(found: Found) -> None:
    assert len(found.report["differences"]) == NUMBER, found.report["differences"]


def test_drift_changes_nothing(found: Found) -> None:
    for host, state in found.before.items():
        for part, told in state.items():
            assert found.after[host][part] == told, f"{part} of {host}"


def test_check_mode_of_site_announces_just_that(found: Found, announced: set[tuple[str, str, str]]) -> None:
    # What is done once for the cluster is done on its first host.
    wanted = {(one["host"].replace("cluster", "cp-1"), one["role"]) for one in found.report["differences"]}
    assert {(host, role) for host, role, _task in announced} == wanted


def test_site_mends_just_that(announced: set[tuple[str, str, str]]) -> None:
    assert lab.changes(lab.reported(SITE, REPORT)) == announced
    done, report = drift()
    assert report["differences"] == []
    assert done.returncode == 0, done.stdout
