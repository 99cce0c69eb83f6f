"""The authority on the controller: what it makes, keeps, and makes anew."""

from __future__ import annotations

import dataclasses
import datetime
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._certificates import (
    authority as certificates_authority,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._certificates.authority import (
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


def modes(directory: Path) -> dict[str, str]:
    """Modes of a directory's keys and directories, by path in it."""
    found = {path for path in directory.rglob("*") if path.is_dir() or path.suffix == ".key"}
    return {str(path.relative_to(directory)): f"{path.stat().st_mode & 0o777:04o}" for path in found}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_directories_and_keys_are_private_whatever_the_umask_is(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        authority(tmp_path / "a" / "pki" / "etcd").issue(SERVER, 365)
    finally:
        os.umask(before)
    assert modes(tmp_path) == {
        "a": "0700",
        "a/pki": "0700",
        "a/pki/etcd": "0700",
        "a/pki/etcd/node1": "0700",
        "a/pki/etcd/ca.key": "0600",
        "a/pki/etcd/node1/server.key": "0600",
    }
    assert (tmp_path / "a/pki/etcd/ca.crt").stat().st_mode & 0o777 == 0o644


def test_what_others_may_use_is_found(tmp_path: Path) -> None:
    """As releases made it that took the umask's word for the directory above."""
    issued(tmp_path / "pki" / "etcd")
    opened = {"pki": 0o755, "pki/etcd": 0o750, "pki/etcd/node1": 0o755, "pki/etcd/node1/server.key": 0o640}
    for path, mode in opened.items():
        (tmp_path / path).chmod(mode)
    found = {
        str(path.relative_to(tmp_path)): (mode, to)
        for path, mode, to in authority(tmp_path / "pki/etcd").open_to_others()
    }
    assert found == {path: (mode, 0o600 if path.endswith(".key") else 0o700) for path, mode in opened.items()}


def test_a_directory_above_that_holds_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    issued(tmp_path / "etc" / "etcd")
    (tmp_path / "etc" / "hosts").write_text("")
    (tmp_path / "etc").chmod(0o755)
    assert list(authority(tmp_path / "etc/etcd").open_to_others()) == []


def stopped(writes: int) -> Callable[[Path, bytes, int], None]:
    """A crash after so many files: a stand-in for the process being killed."""
    left = [writes]
    write = certificates_authority.write_file

    def stop(path: Path, data: bytes, mode: int) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        write(path, data, mode)

    return stop


@pytest.mark.parametrize("writes", [0, 1])
def test_a_crash_while_an_authority_is_made_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(certificates_authority, "write_file", stopped(writes))
        authority(tmp_path)
    issued(tmp_path)
    assert authority(tmp_path).reason(SERVER) == ""


@pytest.mark.parametrize("writes", [0, 1])
def test_a_crash_while_a_certificate_is_replaced_leaves_the_old_pair_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    before = issued(tmp_path)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(certificates_authority, "write_file", stopped(writes))
        authority(tmp_path).issue(SERVER, 365)
    if writes:
        assert authority(tmp_path).reason(SERVER) == "its key belongs to another"
    else:
        assert authority(tmp_path).reason(SERVER) == ""
        assert x509.load_pem_x509_certificate((tmp_path / "node1/server.crt").read_bytes()) == before


def test_a_file_is_replaced_completely_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ca.key"
    path.write_text("old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space left"):
        patched.setattr(os, "fsync", full)
        certificates_authority.write_file(path, b"new", 0o600)
    assert path.read_text() == "old"
    certificates_authority.write_file(path, b"new", 0o600)
    assert path.read_text() == "new" and [one.name for one in tmp_path.iterdir()] == ["ca.key"]


@pytest.mark.parametrize("suffix", ["crt", "key"])
def test_a_damaged_certificate_is_made_anew(tmp_path: Path, suffix: str) -> None:
    issued(tmp_path)
    (tmp_path / "node1" / f"server.{suffix}").write_text("")
    assert authority(tmp_path).reason(SERVER) == "it is damaged"


def test_a_damaged_authority_is_told_and_kept(tmp_path: Path) -> None:
    issued(tmp_path)
    (tmp_path / "ca.crt").write_text("")
    with pytest.raises(CertificateError, match=r"not a certificate .*; restore it from a backup"):
        authority(tmp_path)
    assert (tmp_path / "ca.crt").read_text() == ""


def test_an_authority_without_its_key_serves_until_a_certificate_is_due(tmp_path: Path) -> None:
    issued(tmp_path)
    (tmp_path / "ca.key").unlink()
    assert authority(tmp_path).reason(SERVER) == ""
    with pytest.raises(CertificateError, match="not there, and a certificate must be made; restore it"):
        authority(tmp_path).issue(SERVER, 365)


def test_the_key_of_another_authority_signs_nothing(tmp_path: Path) -> None:
    issued(tmp_path / "one")
    issued(tmp_path / "two")
    (tmp_path / "one/ca.key").write_bytes((tmp_path / "two/ca.key").read_bytes())
    with pytest.raises(CertificateError, match=r"not the key of ca\.crt beside it"):
        authority(tmp_path / "one").issue(SERVER, 365)


def locked(directory: Path, passphrase: str) -> Authority:
    return Authority(str(directory), 30, NOW, passphrase)


def test_a_passphrase_encrypts_the_key_of_the_authority(tmp_path: Path) -> None:
    made = locked(tmp_path, "correct horse")
    made.ensure("etcd", 3650)
    assert b"ENCRYPTED" in (tmp_path / "ca.key").read_bytes() and not made.unprotected()
    locked(tmp_path, "correct horse").issue(SERVER, 365)
    assert authority(tmp_path).reason(SERVER) == ""


def test_a_key_that_is_there_is_encrypted_once_there_is_a_passphrase(tmp_path: Path) -> None:
    issued(tmp_path)
    made = locked(tmp_path, "correct horse")
    assert made.unprotected()
    made.encrypt()
    assert not locked(tmp_path, "correct horse").unprotected()
    assert locked(tmp_path, "correct horse").reason(SERVER) == ""
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("passphrase", "why"), [("", "set certificates_passphrase"), ("wrong", "certificates_passphrase does not open it")]
)
def test_a_key_that_cannot_be_opened_is_told(tmp_path: Path, passphrase: str, why: str) -> None:
    locked(tmp_path, "correct horse").ensure("etcd", 3650)
    with pytest.raises(CertificateError, match=why):
        locked(tmp_path, passphrase).issue(SERVER, 365)
    if passphrase:
        with pytest.raises(CertificateError, match=why):
            locked(tmp_path, passphrase).unprotected()
