"""A relative path begins in the directory that the playbook was called in, whatever the environment says of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import paths


@pytest.mark.parametrize("told", ["elsewhere", "gone", "called", ""])
def test_pwd_of_another_directory_is_passed_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    for name in ("called", "elsewhere"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "called")
    # As with a program that is called with a working directory and no shell, which would set PWD.
    monkeypatch.setenv("PWD", str(tmp_path / told) if told else "")
    assert paths.called_from("report") == tmp_path / "called" / "report"


def test_symlinks_by_which_the_shell_came_there_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path / "link")
    monkeypatch.setenv("PWD", str(tmp_path / "link"))
    assert paths.called_from("report") == tmp_path / "link" / "report"
    assert paths.shown(tmp_path / "link" / "report") == Path("report")


def test_a_path_from_the_root_or_the_home_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ops")
    assert paths.called_from("/srv/report") == Path("/srv/report")
    assert paths.called_from("~/report") == Path("/home/ops/report")
