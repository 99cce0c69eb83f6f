# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Certificate authorities that this collection put on a host, by their fingerprints.

A fingerprint is the SHA-256 of a certificate as DER, in the form that ``openssl x509 -fingerprint -sha256`` shows.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence

from ansible_collections.binary_cluster.networking.plugins.module_utils._host import install_record

BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
# Files on hosts that hold an authority of the controller, with the name it has there.
NAMES = {"ca.crt": "etcd", "etcd-ca.crt": "etcd"}


def fingerprints(text: str) -> list[str]:
    """Fingerprints of the certificates in a PEM file; what is none is left out."""
    found = []
    for part in text.split(BEGIN)[1:]:
        try:
            der = base64.b64decode("".join(part.partition(END)[0].split()), validate=True)
        except ValueError:
            continue
        found.append(":".join(f"{byte:02X}" for byte in hashlib.sha256(der).digest()))
    return found


def read(path: str) -> list[str]:
    """Fingerprints of the certificates in a file; none where it cannot be read."""
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return fingerprints(stream.read())
    except OSError:
        return []


def installed(directory: str = install_record.STATE_DIRECTORY) -> dict[str, list[str]]:
    """Fingerprints by path, of the files that the install records of this host name."""
    found = {}
    for _owner, ledger in install_record.all_of(directory):
        # Of one that is damaged host_facts tells by itself.
        paths = [] if isinstance(ledger, install_record.LedgerError) else ledger.names("paths")
        found.update({path: read(path) for path in paths if os.path.basename(path) in NAMES})
    return {path: prints for path, prints in found.items() if prints}


def others(authority: str, known: Sequence[str], facts: Mapping[str, Sequence[str]]) -> list[str]:
    """Fingerprints among the facts of a host that an authority of the controller does not have.

    ``authority`` is its name, ``known`` are the fingerprints of its certificate on the controller.
    """
    return sorted(
        {
            prints[0]
            for path, prints in facts.items()
            if NAMES.get(os.path.basename(path)) == authority and not set(prints) & set(known)
        }
    )


def short(fingerprint: str) -> str:
    """The beginning of a fingerprint, which is enough to tell two apart."""
    return fingerprint[: 3 * 8 - 1]
