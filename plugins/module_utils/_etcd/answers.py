# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""What etcd answers of its members, in the form of the gateway."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Member:
    """A member as the cluster lists it. ``name`` is empty until it has started once."""

    id: str
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    learner: bool


@dataclass(frozen=True)
class Status:
    """What one member says of itself. Sizes in bytes; a ``leader`` of "0" is none."""

    member_id: str
    version: str
    leader: str
    raft_index: int
    raft_applied_index: int
    raft_term: int
    db_size: int
    db_size_in_use: int
    # 0 where etcd does not say it: it is older than 3.6.
    db_size_quota: int
    learner: bool
    errors: tuple[str, ...]


def hexadecimal(number: str) -> str:
    return f"{int(number):x}"


def cluster_id(answer: dict[str, Any]) -> str:
    """Id, in hexadecimal, of the cluster that an answer came from."""
    return hexadecimal(answer.get("header", {}).get("cluster_id", "0"))


def decimal(number: str) -> str:
    return str(int(number, 16))


def member_of(entry: dict[str, Any]) -> Member:
    return Member(
        id=hexadecimal(entry["ID"]),
        name=entry.get("name", ""),
        peer_urls=tuple(entry.get("peerURLs", ())),
        client_urls=tuple(entry.get("clientURLs", ())),
        learner=bool(entry.get("isLearner", False)),
    )


def message_of(said: str) -> str:
    try:
        answer = json.loads(said)
    except ValueError:
        return said.strip()[:200]
    if not isinstance(answer, dict):
        return said.strip()[:200]
    return str(answer.get("message") or answer.get("reason") or answer.get("error") or said)[:200]
