"""The install record survives a crash, and one that is damaged stops everything instead of being taken for empty."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import install_record
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger, LedgerError
from ansible_collections.binary_cluster.networking.tests.unit.module_failures import failure
from ansible_collections.binary_cluster.networking.tests.unit.owned_files import Killed, fail_at, kill_at


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return str(tmp_path / "records")


def filled(directory: str) -> Ledger:
    ledger = Ledger("etcd", directory)
    ledger.record("paths", "/etc/etcd/etcd.env", {})
    ledger.record("accounts", "etcd", {"uid": 998})
    return ledger


def test_the_first_note_of_a_thing_stays(directory: str) -> None:
    ledger = filled(directory)
    ledger.record("accounts", "etcd", {"uid": 1})
    assert Ledger("etcd", directory).before("accounts", "etcd") == {"uid": 998}


def test_a_note_that_is_replaced_keeps_its_place(directory: str) -> None:
    ledger = filled(directory)
    ledger.record("paths", "/etc/etcd/second", {})
    ledger.replace("paths", "/etc/etcd/etcd.env", {"made": "file"})
    again = Ledger("etcd", directory)
    assert again.names("paths") == ["/etc/etcd/etcd.env", "/etc/etcd/second"]
    assert again.before("paths", "/etc/etcd/etcd.env") == {"made": "file"}


def test_the_record_goes_with_its_last_entry_and_the_directory_with_its_last_record(directory: str) -> None:
    ledger, other = filled(directory), Ledger("flannel", directory)
    other.record("paths", "/etc/flannel/x", {})
    Path(directory, "calico.json.new").write_text("what a write that was cut short left")
    ledger.forget("paths", "/etc/etcd/etcd.env")
    ledger.forget("accounts", "etcd")
    assert not Path(directory, "etcd.json").exists()
    other.forget("paths", "/etc/flannel/x")
    assert not Path(directory).exists()


def test_the_record_is_private_whatever_the_umask_is(directory: str) -> None:
    former = os.umask(0o777)
    try:
        filled(directory)
    finally:
        os.umask(former)
    assert stat.S_IMODE(Path(directory).stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(directory, "etcd.json").stat().st_mode) == 0o600


def test_the_record_is_on_the_disk_before_it_takes_its_name(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)

        def step(*words: Any, _name: str = name, _real: Any = real) -> Any:
            did.append(_name)
            return _real(*words)

        monkeypatch.setattr(os, name, step)
    filled(directory)
    assert did == ["fsync", "replace", "fsync"] * 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        '{"paths": {"/etc/a": {}, "/et',
        "[]",
        '{"paths": ["/etc/a"]}',
        "null",
        "7",
        '{"paths": {"/etc/a": "x"}}',
    ],
)
def test_a_damaged_record_is_an_error_that_names_the_file_and_what_to_do(directory: str, text: str) -> None:
    filled(directory)
    Path(directory, "etcd.json").write_text(text)
    with pytest.raises(LedgerError, match=r"etcd\.json: the install record .*Restore the file.*etcd\.json\.damaged"):
        Ledger("etcd", directory)
    assert Path(directory, "etcd.json").read_text() == text


def test_a_cut_record_still_tells_what_it_names(directory: str) -> None:
    path = Path(directory, "etcd.json")
    filled(directory)
    text = path.read_text()
    path.write_text(text[: text.index("accounts") + 30])
    with pytest.raises(LedgerError, match=r"it still names /etc/etcd/etcd\.env, etcd\."):
        Ledger("etcd", directory)


def test_bytes_that_are_no_text_are_a_damaged_record(directory: str) -> None:
    filled(directory)
    Path(directory, "etcd.json").write_bytes(b"\xff\x00\xfe")
    with pytest.raises(LedgerError, match="is cut or not JSON"):
        Ledger("etcd", directory)


def test_a_module_fails_with_the_words_of_a_damaged_record(directory: str) -> None:
    filled(directory)
    Path(directory, "etcd.json").write_text("")
    told = failure(lambda: Ledger("etcd", directory), "etcd on node1")
    assert "etcd on node1: " in told["msg"]
    assert "the install record is empty; it names nothing any more" in told["msg"]


def test_all_records_are_read_around_a_damaged_one(directory: str) -> None:
    filled(directory)
    Path(directory, "flannel.json").write_text("{")
    found = dict(install_record.all_of(directory))
    assert isinstance(found["etcd"], Ledger)
    assert isinstance(found["flannel"], LedgerError)


@pytest.mark.parametrize("name", ["", "../etcd", "/etc/etcd", "-x", ".", "a b", "etcd\n", "a" * 201])
def test_an_owner_has_the_name_of_a_file(name: str, directory: str) -> None:
    with pytest.raises(LedgerError, match=r"^name: .*: take letters, digits and \. _ @ -"):
        Ledger(name, directory)


def test_what_the_record_does_not_list_is_not_to_be_removed(directory: str) -> None:
    ledger = filled(directory)
    ledger.require("accounts", "etcd")
    with pytest.raises(LedgerError, match=r"/etc/passwd: not removed: .*etcd\.json does not list it among the paths"):
        ledger.require("paths", "/etc/passwd")


@pytest.mark.parametrize("number", range(1, 6))
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_note_that_cannot_be_written_is_an_error_and_leaves_the_former_record(
    directory: str, monkeypatch: pytest.MonkeyPatch, code: int, number: int
) -> None:
    ledger = filled(directory)
    former = Path(directory, "etcd.json").read_text()
    with monkeypatch.context() as broken:
        fail_at(broken, Path(directory), number, code)
        with pytest.raises(LedgerError, match=f"etcd.json: the install record cannot be written: {os.strerror(code)}"):
            ledger.record("paths", "/etc/etcd/new", {})
    if number < 5:  # the fifth step is after the rename
        assert Path(directory, "etcd.json").read_text() == former
    assert not ledger.owns("paths", "/etc/etcd/new")
    ledger.record("paths", "/etc/etcd/new", {})
    assert Ledger("etcd", directory).owns("paths", "/etc/etcd/new")


@pytest.mark.parametrize("number", range(1, 6))
def test_a_kill_between_any_two_steps_leaves_a_record_that_can_be_read(
    directory: str, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    ledger = filled(directory)
    with monkeypatch.context() as broken:
        kill_at(broken, Path(directory), number)
        with contextlib.suppress(Killed):
            ledger.record("paths", "/etc/etcd/new", {"a": 1})
    again = Ledger("etcd", directory)
    assert again.owns("accounts", "etcd")
    again.record("paths", "/etc/etcd/new", {"a": 1})
    assert json.loads(Path(directory, "etcd.json").read_text())["paths"]["/etc/etcd/new"] == {"a": 1}
