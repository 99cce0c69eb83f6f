# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""An authority and the certificates it issues, as files on the controller.

Keys are ECDSA on P-256. A certificate is kept until its subject, names, usages, authority or
remaining lifetime ask for another one; then it gets a new key too.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
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

    def __init__(self, directory: str, renew_before: int, now: datetime.datetime | None = None) -> None:
        if MISSING:
            raise CertificateError(f"the controller's Python has no cryptography: {MISSING}")
        self.directory = Path(directory).expanduser()
        self.now = now or datetime.datetime.now(datetime.timezone.utc)
        self.renew_before = datetime.timedelta(days=renew_before)
        self.certificate: x509.Certificate | None = None
        path = self.directory / "ca.crt"
        if path.exists():
            self.certificate = x509.load_pem_x509_certificate(path.read_bytes())
            left = self.certificate.not_valid_after_utc - self.now
            if left < self.renew_before:
                raise CertificateError(
                    f"{path}: the authority ends in {left.days} days. Every certificate must be replaced "
                    "with it: put a new authority beside it, or remove the directory while the cluster is "
                    "down and run again."
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
        self.directory.mkdir(parents=True, mode=0o700, exist_ok=True)
        _write(self.directory / "ca", key, self.certificate)
        return True

    def reason(self, request: Request) -> str:
        """Why a certificate must be made; empty where the one there is still right."""
        path = self.directory / f"{request.path}.crt"
        if not path.exists() or not path.with_suffix(".key").exists():
            return "there is none"
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
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
        path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        _write(path, *made)

    def lend(self, request: Request) -> tuple[bytes, bytes]:
        """The key and the certificate that there are, or else new ones, which are good for a day and kept nowhere."""
        path = self.directory / f"{request.path}.crt"
        if not self.reason(request):
            return path.with_suffix(".key").read_bytes(), path.read_bytes()
        return _pem(*self._sign(request, 1))

    def _sign(self, request: Request, days: int) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        signer = serialization.load_pem_private_key((self.directory / "ca.key").read_bytes(), None)
        if self.certificate is None or not isinstance(signer, ec.EllipticCurvePrivateKey):
            raise CertificateError(f"{self.directory}: not an authority with a key on an elliptic curve")
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


def _pem(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> tuple[bytes, bytes]:
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private, certificate.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    """Write a key, then its certificate: one without the other counts as none."""
    private, public = _pem(key, certificate)
    for suffix, data, mode in ((".key", private, 0o600), (".crt", public, 0o644)):
        partial = path.with_name(f"{path.name}{suffix}.new")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        partial.replace(path.with_name(f"{path.name}{suffix}"))
