"""A run that would restart members while one of them is sick touches none of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testing import lab


@pytest.fixture
def sick() -> Iterator[str]:
    """A member that is down."""
    member = lab.names("etcd")[2]
    lab.shell(member, "systemctl stop etcd")
    yield member
    lab.shell(member, "systemctl start etcd")


def started(member: str) -> str:
    """When a member's process was started."""
    return lab.shell(member, "systemctl show etcd --property=ExecMainStartTimestampMonotonic")


def test_nobody_is_restarted_while_a_member_cannot_come_back(sick: str) -> None:
    # The run starts a member that is merely stopped. One that cannot start is sick.
    lab.shell(sick, "mv /etc/etcd/pki/ca.crt /etc/etcd/pki/ca.crt.away")
    lab.shell(sick, "mv /var/lib/etcd/member /var/lib/etcd/member.away")
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
    finally:
        lab.shell(sick, "mv /etc/etcd/pki/ca.crt.away /etc/etcd/pki/ca.crt")
        lab.shell(sick, "mv /var/lib/etcd/member.away /var/lib/etcd/member")
