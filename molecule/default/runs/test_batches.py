"""Daemons that run are restarted a batch at a time, and a batch that does not come up is the last one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testing import lab

DROP_IN = "/run/systemd/system/flanneld.service.d"
TAGS = ("--tags", "flannel_configure,flannel_service")
NODES = lab.names("nodes")


def started() -> dict[str, str]:
    """When flanneld was last started, by host: changed also where it did not come up."""
    return {
        host: lab.inside(host, "systemctl show flanneld --property=ExecMainStartTimestampMonotonic") for host in NODES
    }


@pytest.fixture
def flanneld_is_broken() -> Iterator[None]:
    """Each flanneld runs, and none would come up again."""
    for host in NODES:
        broken = r"[Service]\nExecStart=\nExecStart=/bin/false\n"
        lab.inside(host, f"mkdir -p {DROP_IN}; printf '{broken}' >{DROP_IN}/broken.conf; systemctl daemon-reload")
    yield
    for host in NODES:
        lab.inside(host, f"rm -r {DROP_IN}; systemctl daemon-reload")
    done = lab.playbook("site", *TAGS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("flanneld_is_broken")
def test_where_one_batch_does_not_come_up_the_others_are_not_touched() -> None:
    before = started()
    done = lab.playbook("site", *TAGS, "--extra-vars", "flannel_health_port=8473 flannel_timeout=4")
    assert done.returncode != 0
    after = started()
    assert sum(before[host] != after[host] for host in NODES) == 1, done.stdout
