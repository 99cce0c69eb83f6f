"""What was applied last is kept in the install record, and goes with it."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.binary_cluster.networking.plugins.module_utils import _applied
from ansible_collections.binary_cluster.networking.plugins.module_utils._ledger import Ledger

MEMBERS = {"cp-1": "192.0.2.11", "worker-2.lab.example": "192.0.2.12"}


def test_the_record_has_what_was_noted_last_and_no_more(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    _applied.note(Ledger("flanneld", state), _applied.MEMBERS, MEMBERS)
    _applied.note(Ledger("etcd", state), _applied.MEMBERS, {"cp-1": "192.0.2.11"})
    moved = {"cp-1": "192.0.2.21"}
    _applied.note(Ledger("flanneld", state), _applied.MEMBERS, moved)
    assert _applied.members(state) == {"flanneld": moved, "etcd": {"cp-1": "192.0.2.11"}}


def test_what_is_not_applied_any_more_leaves_no_record(tmp_path: Path) -> None:
    state = tmp_path / "state"
    ledger = Ledger("flannel-node", str(state))
    _applied.note(ledger, _applied.MEMBERS, MEMBERS)
    _applied.note(ledger, _applied.SETTINGS, {"bridge": "cni0", "nodes": list(MEMBERS.values())})
    _applied.forget(ledger)
    assert not state.exists()


def test_a_damaged_record_does_not_hide_the_others(tmp_path: Path) -> None:
    state = tmp_path / "state"
    _applied.note(Ledger("flanneld", str(state)), _applied.MEMBERS, MEMBERS)
    (state / "etcd.json").write_text('{"members": ')
    (state / "coredns.json").write_text("[]")
    assert _applied.members(str(state)) == {"flanneld": MEMBERS}
