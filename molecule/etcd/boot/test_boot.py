"""A machine whose etcd waits for its peers boots all the same, and etcd serves once they are back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testing import boot, lab

# In place of the unit's five minutes: with those, multi-user.target was reached after 5 min 0.4 s.
PATIENCE = 3
DROP_IN = "/etc/systemd/system/etcd.service.d"


@pytest.fixture
def lonely() -> Iterator[str]:
    """A member whose peers are down."""
    member, *peers = lab.names("etcd")[:3]
    lab.inside(member, f"mkdir {DROP_IN} && printf '[Unit]\nJobRunningTimeoutSec={PATIENCE}\n' >{DROP_IN}/test.conf")
    for peer in peers:
        lab.inside(peer, "systemctl stop etcd")
    yield member
    for peer in peers:
        lab.inside(peer, "systemctl start --no-block etcd")
    lab.inside(member, f"rm -r {DROP_IN} && systemctl daemon-reload")


def test_the_boot_goes_on_without_the_peers_and_etcd_serves_once_they_are_back(lonely: str) -> None:
    boot.boot(lonely, "multi-user.target")
    # The unit's job has ended, and its process has not.
    assert "No jobs running" in lab.inside(lonely, "systemctl list-jobs")
    assert lab.inside(lonely, "systemctl is-active etcd || true").strip() == "activating"
    for peer in lab.names("etcd")[1:3]:
        lab.inside(peer, "systemctl start --no-block etcd")
    lab.inside(lonely, "for try in $(seq 200); do systemctl is-active --quiet etcd && exit 0; sleep 0.1; done; exit 1")
