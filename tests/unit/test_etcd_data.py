"""Whose data a directory of etcd holds, by its log. Logs of real members: tests/kernel/test_etcd_member.py."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import (
    data as etcd_data,
    messages as etcd_messages,
)

CLUSTER, MEMBER = 0xA71E945D7E0ED2A3, 0x12978B5092B462A8


def record(kind: int, data: bytes = b"") -> bytes:
    """A record as etcd writes it: padded to eight bytes."""
    encoded = etcd_messages.encode("WalRecord", {"type": str(kind), "data": base64.b64encode(data).decode()})
    padding = -len(encoded) % 8
    head = len(encoded).to_bytes(7, "little") + bytes([0x80 | padding if padding else 0])
    return head + encoded + b"\0" * padding


def written(path: Path, content: bytes) -> str:
    (path / "wal").mkdir()
    (path / "wal" / "0000000000000000-0000000000000000.wal").write_bytes(content)
    return str(path)


def test_the_log_names_the_cluster_and_the_member(tmp_path: Path) -> None:
    metadata = etcd_messages.encode("WalMetadata", {"NodeID": str(MEMBER), "ClusterID": str(CLUSTER)})
    path = written(tmp_path, record(4) + record(1, metadata) + record(2, b"an entry"))
    assert etcd_data.identity(path) == etcd_data.Identity("a71e945d7e0ed2a3", "12978b5092b462a8")


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 64, b"\0" * 64, record(4), record(4) + record(1, b"\xff"), record(4)[:12], b"\x05"]
)
def test_a_log_that_says_nothing_is_left_to_etcd_to_judge(tmp_path: Path, content: bytes) -> None:
    assert etcd_data.identity(written(tmp_path, content)) is None


def test_a_directory_without_a_log_is_nobodys(tmp_path: Path) -> None:
    assert etcd_data.identity(str(tmp_path / "missing")) is None
    (tmp_path / "wal").mkdir()
    assert etcd_data.identity(str(tmp_path)) is None
