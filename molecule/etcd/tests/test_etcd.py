"""Three members, founded by one run."""

from __future__ import annotations

from testing import lab
from testing.runs import test_check_mode_announces_exactly_what_the_run_changes  # pylint: disable=unused-import  # noqa: F401


def info() -> dict[str, object]:
    """The cluster as an operator sees it."""
    members = lab.names("etcd")
    return lab.module(
        members[0],
        "etcd_info",
        endpoints=lab.etcd_endpoints(),
        ca_cert="/etc/etcd/pki/ca.crt",
        client_cert="/etc/etcd/pki/client.crt",
        client_key="/etc/etcd/pki/client.key",
    )


def test_all_members_are_healthy_and_follow_one_leader() -> None:
    found = info()
    assert found["healthy"]
    assert found["leader"] in lab.names("etcd")


def test_a_key_is_put_once_and_removed_once() -> None:
    member = lab.names("etcd")[0]
    connection = {
        "ca_cert": "/etc/etcd/pki/ca.crt",
        "client_cert": "/etc/etcd/pki/client.crt",
        "client_key": "/etc/etcd/pki/client.key",
    }
    wanted = [{"key": "/test/key", "value": "one"}]
    changed = [
        lab.module(member, "etcd_key", keys=wanted, **connection)["changed"],
        lab.module(member, "etcd_key", keys=wanted, **connection)["changed"],
        lab.module(member, "etcd_key", keys=[{"key": "/test/key", "value": "two"}], **connection)["changed"],
        lab.module(member, "etcd_key", keys=[{"key": "/test/key"}], state="absent", **connection)["changed"],
        lab.module(member, "etcd_key", keys=[{"key": "/test/key"}], state="absent", **connection)["changed"],
    ]
    assert changed == [True, False, True, True, False]


def answer_of_peer_port(certificate: str) -> str:
    """What the first member's peer port answers to a client with a certificate in /etc/etcd/pki."""
    member = lab.names("etcd")[0]
    ask = (
        "import ssl, urllib.request as r; c = ssl.create_default_context(cafile='ca.crt'); "
        f"c.load_cert_chain('{certificate}.crt', '{certificate}.key'); "
        f"print(r.urlopen('https://{lab.address(member)}:2380/members', timeout=5, context=c).read())"
    )
    return lab.inside(member, f'cd /etc/etcd/pki && python3 -c "{ask}" 2>&1 || true')


def test_the_peer_port_is_closed_to_clients_of_the_same_authority() -> None:
    assert "peerURLs" in answer_of_peer_port("peer")
    refused = answer_of_peer_port("client")
    assert "peerURLs" not in refused and "Error" in refused
