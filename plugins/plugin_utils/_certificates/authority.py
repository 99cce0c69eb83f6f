# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""An authority and the certificates it issues, as files on the controller.

Keys are ECDSA on P-256. A certificate is kept until its subject, names, usages, authority or
remaining lifetime ask for another one; then it gets a new key too.

Each file is written completely or not at all, a key before its certificate: a pair that does not belong
together, or of which a part is missing, counts as none. Directories are 0700 and keys 0600 whatever the umask is.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError as error:  # ansible-core depends on it, so this is a broken installation
    MISSING: ImportError | None = error
else:
    MISSING = None

USAGES = ("server", "client")
# Clocks of a cluster differ a little: a new certificate is valid at once everywhere.
BACKDATED = datetime.timedelta(hours=1)


class CertificateError(Exception):
    """A certificate cannot be made or used; the message says which and why."""


@dataclass(frozen=True)
class Request:
    """A certificate that is wanted: for whom, with which names and usages."""

    host: str
    name: str
    common_name: str
    organization: str = ""
    names: tuple[str, ...] = ()
    usages: tuple[str, ...] = ("client",)

    @property
    def path(self) -> str:
        """Path of the certificate below the authority's directory, without its suffix."""
        return f"{self.host}/{self.name}"


class Authority:
    """A certificate authority in a directory of the controller."""

    def __init__(
        self, directory: str, renew_before: int, now: datetime.datetime | None = None, passphrase: str = ""
    ) -> None:
        if MISSING:
            raise CertificateError(f"the controller's Python has no cryptography: {MISSING}")
        self.directory = Path(directory).expanduser()
        self.now = now or datetime.datetime.now(datetime.timezone.utc)
        self.renew_before = datetime.timedelta(days=renew_before)
        self.passphrase = passphrase.encode()
        self.certificate: x509.Certificate | None = None
        path = self.directory / "ca.crt"
        if path.exists():
            try:
                self.certificate = x509.load_pem_x509_certificate(path.read_bytes())
            except ValueError as error:
                raise CertificateError(f"{path}: not a certificate ({error}); restore it from a backup") from None
            left = self.certificate.not_valid_after_utc - self.now
            if left < self.renew_before:
                raise CertificateError(
                    f"{path}: the authority ends in {left.days} days. Every certificate must be replaced with it: "
                    "move the directory away while the cluster is down, and run again with "
                    "certificates_new_authority: true."
                )

    def ensure(self, common_name: str, days: int) -> bool:
        """Make the authority where there is none; return whether it was made."""
        if self.certificate is not None:
            return False
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = (
            self._builder(subject, subject, key, days)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
        )
        self.certificate = builder.sign(key, hashes.SHA256())
        make_private(self.directory)
        _write(self.directory / "ca", _pem(key, self.certificate, self.passphrase))
        return True

    def unprotected(self) -> bool:
        """Whether there is a passphrase, and the authority's key is not encrypted. Raises CertificateError.

        An encrypted key is opened: a wrong passphrase is better found now than at the next renewal.
        """
        path = self.directory / "ca.key"
        if not self.passphrase or self.certificate is None or not path.exists():
            return False
        if not _is_encrypted(path.read_bytes()):
            return True
        self._signer()
        return False

    def encrypt(self) -> None:
        """Encrypt the authority's key with the passphrase."""
        write_file(self.directory / "ca.key", _private(self._signer(), self.passphrase), 0o600)

    def open_to_others(self) -> Iterator[tuple[Path, int, int]]:
        """Directories and keys that others than their owner may use, each with its mode and the one it should have.

        The directory above is looked at where it holds authorities and nothing else.
        """
        above = self.directory.parent
        try:
            private = all((one / "ca.crt").is_file() for one in above.iterdir())
        except OSError:
            private = False
        wanted = [(above, 0o700)] if private else []
        if self.directory.is_dir():
            wanted += [(self.directory, 0o700)]
            wanted += [(one, 0o700) for one in sorted(self.directory.iterdir()) if one.is_dir()]
            wanted += [(one, 0o600) for one in sorted([*self.directory.glob("*.key"), *self.directory.glob("*/*.key")])]
        for path, mode in wanted:
            status = path.stat()
            # Whoever shares the directory can change what is theirs only.
            if status.st_mode & 0o077 and os.geteuid() in (0, status.st_uid):
                yield path, stat.S_IMODE(status.st_mode), mode

    def reason(self, request: Request) -> str:
        """Why a certificate must be made; empty where the one there is still right."""
        path = self.directory / f"{request.path}.crt"
        if not path.exists() or not path.with_suffix(".key").exists():
            return "there is none"
        try:
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            key = serialization.load_pem_private_key(path.with_suffix(".key").read_bytes(), None)
        except (ValueError, TypeError):
            return "it is damaged"
        if key.public_key() != certificate.public_key():
            return "its key belongs to another"
        if self.certificate is None or not _signed_by(certificate, self.certificate):
            return "another authority signed it"
        if certificate.not_valid_after_utc - self.now < self.renew_before:
            left = (certificate.not_valid_after_utc - self.now).days
            return f"it ends in {left} days"
        if certificate.subject != _subject(request):
            return "its subject differs"
        extensions = certificate.extensions
        names = _extension(extensions, x509.SubjectAlternativeName)
        if set(names or ()) != set(_general_names(request)):
            return "its names differ"
        usages = _extension(extensions, x509.ExtendedKeyUsage)
        if set(usages or ()) != set(_usages(request)):
            return "its usages differ"
        return ""

    def issue(self, request: Request, days: int) -> None:
        """Make a key and a certificate."""
        path = self.directory / request.path
        made = self._sign(request, days)
        make_private(path.parent)
        _write(path, _pem(*made))

    def issue_ephemeral(self, request: Request) -> tuple[bytes, bytes]:
        """The key and the certificate that there are, or else new ones, which are good for a day and kept nowhere."""
        path = self.directory / f"{request.path}.crt"
        if not self.reason(request):
            return path.with_suffix(".key").read_bytes(), path.read_bytes()
        return _pem(*self._sign(request, 1))

    def _sign(self, request: Request, days: int) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        signer = self._signer()
        if self.certificate is None:
            raise CertificateError(f"{self.directory}: no authority")
        key = ec.generate_private_key(ec.SECP256R1())
        left = (self.certificate.not_valid_after_utc - self.now).days
        builder = (
            self._builder(_subject(request), self.certificate.subject, key, min(days, left))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(_usages(request)), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        )
        names = _general_names(request)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return key, builder.sign(signer, hashes.SHA256())

    def _signer(self) -> ec.EllipticCurvePrivateKey:
        """The key of the authority. Raises CertificateError where it cannot be used."""
        path = self.directory / "ca.key"
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise CertificateError(
                f"{path}: not there, and a certificate must be made; restore it from a backup, or run from the "
                "controller that has it"
            ) from None
        encrypted = _is_encrypted(data)
        if encrypted and not self.passphrase:
            raise CertificateError(f"{path}: encrypted; set certificates_passphrase to its passphrase")
        try:
            signer = serialization.load_pem_private_key(data, self.passphrase if encrypted else None)
        except ValueError as error:
            why = "certificates_passphrase does not open it" if encrypted else f"not a key ({error})"
            raise CertificateError(f"{path}: {why}") from None
        if not isinstance(signer, ec.EllipticCurvePrivateKey):
            raise CertificateError(f"{path}: not a key on an elliptic curve")
        if self.certificate is not None and signer.public_key() != self.certificate.public_key():
            raise CertificateError(f"{path}: not the key of ca.crt beside it; restore both from the same backup")
        return signer

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - BACKDATED)
            .not_valid_after(self.now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )


def _subject(request: Request) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, request.common_name)]
    if request.organization:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, request.organization))
    return x509.Name(parts)


def _general_names(request: Request) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in request.names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _usages(request: Request) -> list[x509.ObjectIdentifier]:
    known = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}
    return [known[usage] for usage in request.usages]


def _key_usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _extension(
    extensions: x509.Extensions, kind: type[x509.SubjectAlternativeName | x509.ExtendedKeyUsage]
) -> Sequence[object] | None:
    try:
        return list(extensions.get_extension_for_class(kind).value)
    except x509.ExtensionNotFound:
        return None


def _signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True


def make_private(directory: Path) -> None:
    """Make a directory and those above it, for their owner alone, whatever the umask is."""
    missing = [one for one in (directory, *directory.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700)
        one.chmod(0o700)


def write_file(path: Path, data: bytes, mode: int) -> None:
    """Put a file in its place completely, or not at all, even where the power fails."""
    partial = path.with_name(f"{path.name}.new")
    # One that an interrupted run left may be open to others.
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        os.fchmod(descriptor, mode)
        stream.write(data)
        stream.flush()
        os.fsync(descriptor)
    partial.replace(path)
    above = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(above)
    finally:
        os.close(above)


def _is_encrypted(key: bytes) -> bool:
    """Whether a key in PEM is encrypted, as PKCS #8 (RFC 7468) or in the older way of OpenSSL (RFC 1421)."""
    return b"ENCRYPTED" in key


def _private(key: ec.EllipticCurvePrivateKey, passphrase: bytes = b"") -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption(),
    )


def _pem(
    key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate, passphrase: bytes = b""
) -> tuple[bytes, bytes]:
    return _private(key, passphrase), certificate.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, pair: tuple[bytes, bytes]) -> None:
    """Write a key, then its certificate: one without the other counts as none."""
    for suffix, data, mode in zip((".key", ".crt"), pair, (0o600, 0o644)):
        write_file(path.with_name(f"{path.name}{suffix}"), data, mode)
