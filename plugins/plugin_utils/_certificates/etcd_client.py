# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""The files on the controller with which roles are clients of an etcd that somebody else runs."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._certificates.authority import (
    MISSING,
    CertificateError,
)

if not MISSING:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.x509.oid import NameOID

VARIABLE = "cluster_etcd_client_files"
NAMES = ("ca", "certificate", "key")


def common_name(path: str) -> str:
    """Common name of a certificate, which is the name of etcd's user. Raises CertificateError, OSError."""
    return next((str(one.value) for one in _certificate(path).subject.get_attributes_for_oid(NameOID.COMMON_NAME)), "")


def faults(given: Any) -> Iterator[tuple[str, str, str]]:
    """What is wrong with the variable: place, value and remedy each. What is in a file is never shown."""
    if not isinstance(given, Mapping):
        yield VARIABLE, str(given), "set ca, certificate and key to the paths of files on the controller"
        return
    for name in sorted(set(map(str, given)) - set(NAMES)):
        yield f"{VARIABLE}.{name}", "not known", f"known are {', '.join(NAMES)}"
    wrong = [(f"{VARIABLE}.{name}", *told) for name in NAMES if (told := _fault(name, given.get(name)))]
    yield from wrong
    if not wrong and _key(given["key"]) != _certificate(given["certificate"]).public_key():
        remedy = f"it is not the key of {given['certificate']}; set both to files that belong together"
        yield f"{VARIABLE}.key", str(given["key"]), remedy


def _fault(name: str, path: Any) -> tuple[str, str] | None:
    """Value and remedy where one of the files cannot be used."""
    if not path:
        return "not set", "set it to the path of a file on the controller"
    try:
        if name == "key":
            _key(path)
        else:
            _in_time(path)
    except OSError as error:
        return str(path), f"it cannot be read on the controller: {error.strerror}"
    except CertificateError as error:
        return str(path), str(error)
    return None


def _certificate(path: Any) -> x509.Certificate:
    """The first certificate of a file in PEM. Raises CertificateError, OSError."""
    try:
        return x509.load_pem_x509_certificate(Path(str(path)).expanduser().read_bytes())
    except ValueError:
        raise CertificateError("it is not a certificate in PEM") from None


def _in_time(path: Any) -> None:
    """Raises CertificateError where a certificate has ended."""
    end = _certificate(path).not_valid_after_utc
    if end < datetime.datetime.now(datetime.timezone.utc):
        raise CertificateError(f"it ended on {end:%Y-%m-%d}; replace it")


def _key(path: Any) -> Any:
    """Public half of a key in PEM without a passphrase. Raises CertificateError, OSError."""
    try:
        return serialization.load_pem_private_key(Path(str(path)).expanduser().read_bytes(), None).public_key()
    except TypeError:
        raise CertificateError("it is encrypted; hosts need a key without a passphrase") from None
    except ValueError:
        raise CertificateError("it is not a key in PEM") from None
