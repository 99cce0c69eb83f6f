"""Nothing of Ansible's stays on a host that is sent files, with pipelining and without."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.action.binaries import ActionModule


class Host:
    """Directories that Ansible makes under its account on a host; the connection is the edge here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pipelining: bool) -> None:
        self.directories: set[str] = set()
        self.made = 0
        self.sent: list[str] = []
        self.shell = SimpleNamespace(tmpdir=None, join_path=lambda *parts: "/".join(parts))
        self.action: Any = ActionModule.__new__(ActionModule)
        self.action._task = SimpleNamespace(args={"artifacts": []}, check_mode=False, async_val=0)
        self.action._connection = SimpleNamespace(_shell=self.shell)
        self.missing = ["/opt/etcd/3.6.14/etcd"]

        def execute(module_args: dict[str, Any], task_vars: Any) -> dict[str, Any]:
            if not pipelining and self.shell.tmpdir is None:  # as ActionBase._execute_module() does
                make()
            if "archive" in module_args:
                self.sent.append(module_args["archive"])
                assert module_args["archive"].rpartition("/")[0] in self.directories
                return {"changed": True}
            return {"missing": self.missing}

        def make() -> str:
            self.made += 1
            self.shell.tmpdir = f"/home/ops/.ansible/tmp/ansible-tmp-{self.made}"
            self.directories.add(self.shell.tmpdir)
            return str(self.shell.tmpdir)

        def remove(path: str | None) -> None:
            self.directories.discard(path or "")
            self.shell.tmpdir = None

        monkeypatch.setattr(ActionModule.__mro__[1], "run", lambda *_words: {})
        for name, stub in (("_execute_module", execute), ("_make_tmp_path", make), ("_remove_tmp_path", remove)):
            monkeypatch.setattr(self.action, name, stub)
        monkeypatch.setattr(self.action, "_transfer_file", lambda _source, _target: None)

    def run(self) -> dict[str, Any]:
        result = dict(self.action.run(None, {}))
        self.action.cleanup()  # as the task executor does
        return result


@pytest.mark.parametrize("pipelining", [True, False])
def test_no_directory_is_left_on_a_host_that_is_sent_files(monkeypatch: pytest.MonkeyPatch, pipelining: bool) -> None:
    host = Host(monkeypatch, pipelining)
    assert host.run() == {"changed": True}
    assert len(host.sent) == 1
    assert not host.directories


def test_no_directory_is_left_where_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, pipelining=False)
    host.missing = []
    host.run()
    assert not host.sent
    assert not host.directories


def test_no_other_action_makes_directories_on_hosts() -> None:
    """One that Ansible has made before would be forgotten, and stay."""
    actions = Path(__file__).resolve().parents[2] / "plugins" / "action"
    assert [path.name for path in actions.glob("*.py") if "_make_tmp_path" in path.read_text()] == ["binaries.py"]
