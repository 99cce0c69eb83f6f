"""The authority on the controller: what it makes, keeps, and makes anew."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._certificates import (
    Authority,
    CertificateError,
    Request,
)
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

NOW = datetime.datetime(2026, 3, 1, tzinfo=datetime.timezone.utc)
SERVER = Request("node1", "server", "node1", names=("node1", "192.0.2.21"), usages=("server", "client"))


def authority(directory: Path, days_later: int = 0, renew_before: int = 30) -> Authority:
    made = Authority(str(directory), renew_before, NOW + datetime.timedelta(days=days_later))
    made.ensure("etcd", 3650)
    return made


def issued(directory: Path, request: Request = SERVER) -> x509.Certificate:
    authority(directory).issue(request, 365)
    return x509.load_pem_x509_certificate((directory / f"{request.path}.crt").read_bytes())


def test_a_certificate_is_what_was_asked_for(tmp_path: Path) -> None:
    certificate = issued(tmp_path)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["node1"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.21"]
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert certificate.not_valid_after_utc == NOW + datetime.timedelta(days=365)


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    issued(tmp_path)
    assert [oct(path.stat().st_mode & 0o777) for path in sorted(tmp_path.rglob("*.key"))] == ["0o600", "0o600"]


def test_what_is_right_is_kept(tmp_path: Path) -> None:
    issued(tmp_path)
    again = authority(tmp_path)
    assert again.ensure("etcd", 3650) is False
    assert again.reason(SERVER) == ""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"names": ("node1", "192.0.2.22")}, "its names differ"),
        ({"usages": ("server",)}, "its usages differ"),
        ({"common_name": "other"}, "its subject differs"),
        ({"name": "peer"}, "there is none"),
    ],
)
def test_another_wish_asks_for_a_new_one(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    issued(tmp_path)
    assert authority(tmp_path).reason(dataclasses.replace(SERVER, **change)) == reason  # type: ignore[arg-type]


def test_one_that_ends_soon_is_made_anew_and_not_before(tmp_path: Path) -> None:
    issued(tmp_path)
    assert authority(tmp_path, days_later=334).reason(SERVER) == ""
    assert authority(tmp_path, days_later=340).reason(SERVER) == "it ends in 25 days"
    assert authority(tmp_path, days_later=340, renew_before=10).reason(SERVER) == ""


def test_one_whose_key_is_gone_is_made_anew(tmp_path: Path) -> None:
    issued(tmp_path)
    (tmp_path / "node1" / "server.key").unlink()
    assert authority(tmp_path).reason(SERVER) == "there is none"


def test_one_of_another_authority_is_made_anew(tmp_path: Path) -> None:
    issued(tmp_path)
    for suffix in ("crt", "key"):
        (tmp_path / f"ca.{suffix}").unlink()
    assert authority(tmp_path).reason(SERVER) == "another authority signed it"


def test_an_authority_that_ends_soon_is_told_and_not_replaced_unasked(tmp_path: Path) -> None:
    issued(tmp_path)
    with pytest.raises(CertificateError, match="the authority ends in 20 days"):
        authority(tmp_path, days_later=3630)


def test_no_certificate_outlives_its_authority(tmp_path: Path) -> None:
    late = authority(tmp_path, days_later=0)
    late = Authority(str(tmp_path), 30, NOW + datetime.timedelta(days=3500))
    late.issue(SERVER, 365)
    certificate = x509.load_pem_x509_certificate((tmp_path / "node1" / "server.crt").read_bytes())
    assert late.certificate and certificate.not_valid_after_utc <= late.certificate.not_valid_after_utc
