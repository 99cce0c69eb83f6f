"""A run that would restart members while one of them is sick touches none of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testing import lab

LOCK = "/run/binary-cluster-etcd.lock"


@pytest.fixture
def sick() -> Iterator[str]:
    """A member that is down."""
    member = lab.names("etcd")[2]
    lab.inside(member, "systemctl stop etcd")
    yield member
    lab.inside(member, "systemctl start etcd")


def started(member: str) -> str:
    """When a member's process was started."""
    return lab.inside(member, "systemctl show etcd --property=ExecMainStartTimestampMonotonic")


def test_nobody_is_restarted_while_a_member_cannot_come_back(sick: str) -> None:
    # The run starts a member that is merely stopped. One that cannot start is sick.
    lab.inside(sick, "mv /etc/etcd/pki/ca.crt /etc/etcd/pki/ca.crt.away")
    lab.inside(sick, "mv /var/lib/etcd/member /var/lib/etcd/member.away")
    others = [member for member in lab.names("etcd") if member != sick]
    before = {member: started(member) for member in others}
    try:
        done = lab.run(
            lab.CHECKOUT / "molecule" / "etcd" / "converge.yml",
            "--limit", ",".join(others), "--extra-vars", "etcd_heartbeat_interval=150",
        )  # fmt: skip
        assert done.returncode != 0
        assert f"{sick} is not healthy" in done.stdout + done.stderr
        assert {member: started(member) for member in others} == before
        assert lab.inside(lab.names("etcd")[0], f"ls {LOCK} 2>/dev/null || true") == "", "its lock is left"
    finally:
        lab.inside(sick, "mv /etc/etcd/pki/ca.crt.away /etc/etcd/pki/ca.crt")
        lab.inside(sick, "mv /var/lib/etcd/member.away /var/lib/etcd/member")


def test_a_second_run_fails_early_and_says_who_changes_the_members() -> None:
    first = lab.names("etcd")[0]
    held = '{"holder": "ops@controller, process 4711", "since": 1795800000, "until": 4102444800}'
    lab.inside(first, f"echo '{held}' >{LOCK}")
    try:
        converge = lab.CHECKOUT / "molecule" / "etcd" / "converge.yml"
        done = lab.run(converge, "--extra-vars", "etcd_heartbeat_interval=150")
        said = " ".join(done.stdout.split())
        assert done.returncode != 0 and "changed=0" in said
        assert "another run is changing the members of etcd: ops@controller, process 4711, since 2026-11-27" in said
        assert f"to go on before, remove {LOCK} on this host" in said
    finally:
        lab.inside(first, f"rm {LOCK}")
