"""Members keep their data: where it is, and behind a link to another disk."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testing import lab

CONVERGE = lab.CHECKOUT / "molecule" / "etcd" / "converge.yml"
STARTED = "systemctl show etcd --property=ExecMainStartTimestampMonotonic"
LEFT = "find / -xdev -path '*/.ansible/tmp/*' -name 'ansible-tmp-*'"


@pytest.fixture
def moved() -> Iterator[str]:
    """A member whose data is on another disk, with a link in its place."""
    member = lab.names("etcd")[1]
    lab.inside(
        member,
        "systemctl stop etcd && mv /var/lib/etcd /srv/disk && ln -s /srv/disk /var/lib/etcd && systemctl start etcd",
    )
    yield member
    lab.inside(member, "systemctl stop etcd && rm /var/lib/etcd && mv /srv/disk /var/lib/etcd && systemctl start etcd")


def test_no_member_begins_without_its_data_in_another_directory() -> None:
    members = lab.names("etcd")
    before = {member: lab.inside(member, STARTED) for member in members}
    done = lab.run(CONVERGE, "--extra-vars", "etcd_data_directory=/srv/etcd")
    said = " ".join(done.stdout.split())
    assert done.returncode != 0, said
    assert "/srv/etcd: the data is in /var/lib/etcd, and there is none in the new place; nothing was changed" in said
    assert "changed=0" in said
    for member in members:
        assert (
            lab.inside(member, "ls -d /var/lib/etcd/member /srv/etcd 2>/dev/null || true") == "/var/lib/etcd/member\n"
        )
        assert lab.inside(member, STARTED) == before[member]


def test_a_link_to_another_disk_is_kept_and_no_file_of_ansible_is_left(moved: str) -> None:
    # Without pipelining, as users have it, and with a file to send, for which the module runs twice.
    lab.inside(moved, "rm $(readlink -f /usr/local/bin/etcdutl)")
    done = lab.run(CONVERGE, environment={"ANSIBLE_PIPELINING": "false"})
    assert done.returncode == 0, done.stdout
    assert (
        lab.inside(moved, "readlink /var/lib/etcd; ls /srv/disk; etcdutl version >/dev/null") == "/srv/disk\nmember\n"
    )
    for member in lab.names("etcd"):
        assert lab.inside(member, LEFT) == "", "a directory of Ansible's is left"
