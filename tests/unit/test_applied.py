"""What was applied last is kept in the install record, and goes with it."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.binary_cluster.networking.plugins.module_utils._host import applied
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger

MEMBERS = {"cp-1": "192.0.2.11", "worker-2.lab.example": "192.0.2.12"}


def test_the_record_has_what_was_noted_last_and_no_more(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    applied.note(Ledger("flanneld", state), applied.MEMBERS, MEMBERS)
    applied.note(Ledger("etcd", state), applied.MEMBERS, {"cp-1": "192.0.2.11"})
    moved = {"cp-1": "192.0.2.21"}
    applied.note(Ledger("flanneld", state), applied.MEMBERS, moved)
    assert applied.members(state) == {"flanneld": moved, "etcd": {"cp-1": "192.0.2.11"}}


def test_what_is_not_applied_any_more_leaves_no_record(tmp_path: Path) -> None:
    state = tmp_path / "state"
    ledger = Ledger("flannel-node", str(state))
    applied.note(ledger, applied.MEMBERS, MEMBERS)
    applied.note(ledger, applied.SETTINGS, {"bridge": "cni0", "nodes": list(MEMBERS.values())})
    applied.forget(ledger)
    assert not state.exists()


def test_a_damaged_record_does_not_hide_the_others(tmp_path: Path) -> None:
    state = tmp_path / "state"
    applied.note(Ledger("flanneld", str(state)), applied.MEMBERS, MEMBERS)
    (state / "etcd.json").write_text('{"members": ')
    (state / "coredns.json").write_text("[]")
    assert applied.members(str(state)) == {"flanneld": MEMBERS}
