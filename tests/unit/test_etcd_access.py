"""What is told of an etcd before the first change; molecule/calico asks real ones."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.plugins.action.etcd_access import issue_ephemeral
from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd.client import EtcdError, Refused
from ansible_collections.binary_cluster.networking.plugins.modules.etcd_access import REMEDIES, faults
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._certificates.authority import (
    Authority,
    Request,
)
from cryptography import x509

ONE, TWO = "https://192.0.2.1:2379", "https://192.0.2.2:2379"
SILENT = EtcdError(f"{ONE}: [Errno 111] Connection refused")
STRANGE = EtcdError(f"{ONE}: [SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca")
STRANGE.__cause__ = ssl.SSLError("unknown ca")


def unverified(code: int) -> EtcdError:
    """An endpoint whose certificate OpenSSL does not take, for the reason with this number."""
    error = EtcdError(f"{ONE}: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    error.__cause__ = ssl.SSLCertVerificationError("certificate verify failed")
    error.__cause__.verify_code = code
    return error


UNSIGNED, ENDED = unverified(20), unverified(10)
DENIED = Refused(f"{ONE}: KV/Txn: etcdserver: permission denied")


def told(
    one: bool | EtcdError,
    two: bool | EtcdError = SILENT,
    members: tuple[str, ...] = (),
    new_authority: bool = False,
) -> list[str]:
    return list(faults({ONE: one, TWO: two}, "calico", "/calico/", "/srv/pki/etcd", members, new_authority))


def test_one_endpoint_that_takes_it_is_enough() -> None:
    assert told(True) == [] and told(True, STRANGE) == []


def test_a_refusal_counts_wherever_it_comes_from() -> None:
    (said,) = told(DENIED, True)
    assert said == (
        "https://192.0.2.1:2379: KV/Txn: etcdserver: permission denied: it takes no change of /calico/; let this "
        "client use it: etcdctl user add calico --no-password; etcdctl role add calico; etcdctl role grant-permission "
        "--prefix=true calico readwrite /calico/; etcdctl user grant-role calico calico"
    )


def test_members_that_the_run_gives_users_may_refuse_those_but_nothing_else() -> None:
    assert told(DENIED, True, members=("192.0.2.1",)) == []
    assert told(Refused(f"{ONE}: KV/Txn: etcdserver: mvcc: database space exceeded"), members=("192.0.2.1",))


def test_no_remedy_opens_an_etcd_that_others_may_use() -> None:
    assert not [remedy for remedy in REMEDIES.values() if "auth disable" in remedy]


@pytest.mark.parametrize(
    ("says", "remedy"),
    [
        ("etcdserver: user name is empty", "--client-cert-auth and TLS"),
        ("etcdserver: mvcc: database space exceeded", "etcdctl alarm disarm"),
        ("etcdserver: corrupt cluster", "see to that there"),
    ],
)
def test_a_refusal_has_a_remedy(says: str, remedy: str) -> None:
    (said,) = told(Refused(f"{ONE}/v3/kv/txn: {says}"), True)
    assert says in said and said.endswith(remedy)


@pytest.mark.parametrize("mended", [SILENT, ENDED])
def test_members_that_the_run_brings_up_may_be_silent_and_have_certificates_that_ended(mended: EtcdError) -> None:
    assert told(SILENT, mended, members=("192.0.2.1", "192.0.2.2")) == []


@pytest.mark.parametrize("other", [STRANGE, UNSIGNED])
def test_members_that_the_run_brings_up_get_another_authority_only_where_that_is_wanted(other: EtcdError) -> None:
    members = ("192.0.2.1", "192.0.2.2")
    (said,) = told(SILENT, other, members=members)
    assert "it and the authority in /srv/pki/etcd do not know each other; put its ca.crt and ca.key" in said
    assert told(SILENT, other, members, new_authority=True) == []


def test_what_nobody_brings_up_must_answer() -> None:
    assert told(SILENT, SILENT, members=("192.0.2.1",)) == [f"{SILENT}: start it, or name one that answers"]


def test_the_other_authority_is_told() -> None:
    said = told(STRANGE, STRANGE)
    assert len(said) == 2
    assert all(
        "it and the authority in /srv/pki/etcd do not know each other; put its ca.crt and ca.key" in s for s in said
    )


def test_a_client_without_a_certificate_is_lent_one_that_is_kept_nowhere(tmp_path: Path) -> None:
    authority = Authority(str(tmp_path), 0)
    authority.ensure("etcd", 3650)
    issued = issue_ephemeral(authority, Request("node1", "calico", "calico"))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["ca.crt", "ca.key"]
    ca, client = (x509.load_pem_x509_certificate(issued[name].encode()) for name in ("ca.crt", "client.crt"))
    client.verify_directly_issued_by(ca)
    assert client.subject.rfc4514_string() == "CN=calico"
    assert client.not_valid_after_utc <= authority.now + datetime.timedelta(days=1)
    assert "PRIVATE KEY" in issued["client.key"]


def test_a_client_asks_with_the_certificate_it_has(tmp_path: Path) -> None:
    authority = Authority(str(tmp_path), 0)
    authority.ensure("etcd", 3650)
    request = Request("node1", "calico", "calico")
    authority.issue(request, 365)
    assert issue_ephemeral(authority, request)["client.crt"] == (tmp_path / "node1" / "calico.crt").read_text()
