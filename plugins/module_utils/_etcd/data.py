# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Whose data a directory of etcd holds: the cluster and the member that its write-ahead log names.

etcd starts on data of any cluster, whatever its configuration says, and serves them: only the data say whose they are.
Each file of the log begins with a checksum and then with the member's metadata (etcd's server/storage/wal/wal.go;
messages in server/storage/wal/walpb/record.proto).
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import messages as etcd_messages

METADATA = 1
# Records before the metadata, and bytes that hold all of them.
FIRST, ENOUGH = 2, 4096


@dataclass(frozen=True)
class Identity:
    """A member of a cluster, both by id in hexadecimal."""

    cluster: str
    member: str


def identity(directory: str) -> Identity | None:
    """Whose data the directory ``member`` holds; None where there is no log that says it. Raises OSError."""
    log = os.path.join(directory, "wal")
    try:
        files = sorted(name for name in os.listdir(log) if name.endswith(".wal"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not files:
        return None
    with open(os.path.join(log, files[-1]), "rb") as stream:
        begin = stream.read(ENOUGH)
    try:
        for record in _records(begin):
            if int(record.get("type", 0)) == METADATA:
                found = etcd_messages.decode("WalMetadata", base64.b64decode(record.get("data", "")))
                return Identity(f"{int(found['ClusterID']):x}", f"{int(found['NodeID']):x}")
    except (ValueError, KeyError):
        # Damaged: etcd says so itself when it starts.
        pass
    return None


def _records(data: bytes) -> Iterator[dict[str, str]]:
    """The first records. Each has its length before it, in eight bytes of which the last one is of the padding."""
    at = 0
    for _count in range(FIRST):
        head = data[at : at + 8]
        size, padding = int.from_bytes(head[:7], "little"), head[7] & 7 if len(head) == 8 and head[7] & 0x80 else 0
        at += 8
        if size == 0 or at + size > len(data):
            return
        yield etcd_messages.decode("WalRecord", data[at : at + size])
        at += size + padding
