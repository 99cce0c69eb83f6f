"""A cluster that is founded after a first run was stopped half-way, on a disk of its own."""

from __future__ import annotations

from testing import lab

CONVERGE = lab.CHECKOUT / "molecule" / "etcd" / "converge.yml"


def test_a_cluster_is_founded_after_a_run_that_only_configured_it() -> None:
    member = lab.names("etcd")[0]
    alone = ("--limit", member, "--extra-vars", f"{{etcd_members: {{{member}: {lab.address(member)}}}}}")
    done = lab.run(CONVERGE, *alone, "--tags", "etcd_install,etcd_configure")
    assert done.returncode == 0, done.stdout
    # What a file system of its own has.
    lab.inside(member, "mkdir /var/lib/etcd/lost+found")
    try:
        done = lab.run(CONVERGE, *alone)
        assert done.returncode == 0, done.stdout
        assert lab.inside(member, "systemctl is-active etcd").strip() == "active"
    finally:
        done = lab.run(
            lab.CHECKOUT / "molecule" / "etcd" / "side_effects" / "remove.yml", "--limit", f"localhost,{member}"
        )
    assert done.returncode == 0, done.stdout
