"""A machine that cannot start as a member leaves the cluster as it was."""

from __future__ import annotations

from testing import lab

PKI = "/etc/etcd/pki"
LISTEN = "import socket, time; s = socket.socket(); s.bind(('', 2380)); s.listen(); time.sleep(600)"


def test_a_newcomer_that_cannot_start_is_taken_out_again() -> None:
    members, newcomer = lab.names("etcd"), "worker-4.lab.example"
    # Somebody has the port: a fault that a run sees when the member is started, and not before.
    lab.inside(newcomer, f'systemd-run --quiet --unit=squatter python3 -c "{LISTEN}"')
    try:
        done = lab.run(
            lab.CHECKOUT / "molecule" / "etcd" / "side_effects" / "more_members.yml",
            "--limit", f"localhost,etcd,{newcomer},!worker-5.lab.example", "--extra-vars", "etcd_timeout=6",
        )  # fmt: skip
    finally:
        lab.inside(newcomer, "systemctl stop squatter")
    said = " ".join(done.stdout.split())
    assert done.returncode != 0
    assert "address already in use; stop the process that has the port, or choose another one" in said
    assert "It was taken out of the cluster again; the other members are as they were" in said
    found = lab.module(
        members[0], "etcd_info", endpoints=lab.etcd_endpoints(),
        ca_cert=f"{PKI}/ca.crt", client_cert=f"{PKI}/client.crt", client_key=f"{PKI}/client.key",
    )  # fmt: skip
    assert found["healthy"] and sorted(one["name"] for one in found["members"]) == sorted(members)
    assert lab.inside(newcomer, "systemctl is-active etcd || ls /var/lib/etcd").split() == ["inactive"]
