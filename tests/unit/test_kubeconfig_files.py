"""Who may read a kubeconfig: as before where another tool wrote it, and its owner only where it is new."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import file_entry, files
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.file_entry import Entry
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger
from ansible_collections.binary_cluster.networking.plugins.modules import kubeconfig

OWN = (pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name)
PLAIN: dict[str, Any] = {"owner": None, "group": None, "key": None, "token": None}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger("kubeconfig", str(tmp_path / "state"))


def wanted(path: Path, ledger: Ledger, **item: Any) -> Entry:
    return kubeconfig.entry(str(path), b"kind: Config\n", {**PLAIN, **item}, ledger)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_one_that_was_there_keeps_its_owner_group_and_mode(tmp_path: Path, ledger: Ledger, mode: int) -> None:
    path = tmp_path / "scheduler.kubeconfig"
    path.write_text("")
    path.chmod(mode)
    entry = wanted(path, ledger)
    assert (entry.mode, entry.owner, entry.group) == (mode, *OWN)


@pytest.mark.parametrize("credential", ["key", "token"])
def test_others_can_no_longer_read_one_that_is_given_credentials(
    tmp_path: Path, ledger: Ledger, credential: str
) -> None:
    path = tmp_path / "scheduler.kubeconfig"
    path.write_text("")
    path.chmod(0o644)
    assert wanted(path, ledger, **{credential: "secret"}).mode == 0o640


def test_a_new_one_is_roots_alone(tmp_path: Path, ledger: Ledger) -> None:
    entry = wanted(tmp_path / "admin.kubeconfig", ledger)
    assert (entry.mode, entry.owner, entry.group) == (0o600, "root", "root")


def test_one_of_ours_is_put_right(tmp_path: Path, ledger: Ledger) -> None:
    path = tmp_path / "admin.kubeconfig"
    files.apply(
        [file_entry.Change(str(path), None, Entry(str(path), mode=0o600, owner=OWN[0], group=OWN[1]))], ledger, run
    )
    path.chmod(0o666)
    entry = wanted(path, ledger)
    assert (entry.mode, entry.owner, entry.group) == (0o600, "root", "root")


def test_an_owner_that_is_asked_for_is_taken(tmp_path: Path, ledger: Ledger) -> None:
    path = tmp_path / "scheduler.kubeconfig"
    path.write_text("")
    path.chmod(0o640)
    entry = wanted(path, ledger, owner="daemon", group="daemon")
    assert (entry.mode, entry.owner, entry.group) == (0o640, "daemon", "daemon")


def run(command: Any) -> tuple[int, str, str]:
    raise AssertionError(command)
