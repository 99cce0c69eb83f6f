"""A daemon is installed without losing its data, and uninstalled as far as that can be."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import (
    accounts,
    daemon_plan,
    file_entry,
    file_notes,
    file_plan,
    files,
    systemd,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import FileError
from ansible_collections.binary_cluster.networking.plugins.modules import daemon
from ansible_collections.binary_cluster.networking.tests.unit.owned_files import Host


class Systemd:
    """A host's systemd, which says what it is asked to; it is the edge here."""

    def __init__(self) -> None:
        self.state = "inactive"
        self.fails: dict[str, str] = {}
        self.ran: list[str] = []

    def __call__(self, words: Sequence[str], **_settings: Any) -> tuple[int, str, str]:
        said = " ".join(words)
        if words[:2] == ["systemctl", "show"]:
            return 0, f"LoadState=loaded\nActiveState={self.state}\nUnitFileState=enabled\nInvocationID=one\n", ""
        self.ran.append(said)
        for part, reason in self.fails.items():
            if part in said:
                return 1, "", reason
        if "--now" in words:
            self.state = "inactive"
        return 0, "", ""


class Module:
    """What the functions need of an AnsibleModule."""

    check_mode = False

    def __init__(self, run: Systemd, params: dict[str, Any]) -> None:
        self.run_command, self.params = run, params
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


class Daemon:
    """The module on a host, as it runs."""

    def __init__(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        self.host, self.systemd = host, Systemd()
        monkeypatch.setattr(daemon_plan, "UNIT_DIRECTORY", host.path("units"))
        self.data = "var/lib/etcd"

    def params(self, state: str = "installed") -> dict[str, Any]:
        owned = {"owner": "root", "group": "root"}
        return {
            "name": "daemon",
            "kind": "service",
            "state": state,
            "account": None,
            "directories": [{"path": self.host.path(self.data), "mode": "0700", "purge": True, **owned}],
            "files": [
                {
                    "path": self.host.path("etc/env"),
                    "content": "A=1\n",
                    "mode": "0644",
                    "secret": False,
                    "validate": None,
                    "needs": "restart",
                    **owned,
                }
            ],
            "secrets": {},
            "unit": "[Service]\n",
            "restart_on": [],
            "defer_restart": False,
            "members": {},
            "trial": None,
        }

    def converge(self, state: str = "installed") -> tuple[list[str], Module]:
        """What main() does; returns the actions."""
        params, ledger = self.params(state), self.host.ledger
        module: Any = Module(self.systemd, params)
        absent = state == "absent"
        wanted = [] if absent else daemon_plan.entries(params, False)
        every = [] if absent else [*wanted, file_entry.Entry(f"{daemon_plan.UNIT_DIRECTORY}/daemon.service")]
        seen, unit = file_plan.observe(every, ledger), systemd.show(self.systemd, "daemon.service")
        daemon_plan.refuse_move(wanted, seen, ledger)
        made = daemon_plan.plan(params, wanted, seen, ledger, unit, None)
        actions = made.actions("daemon", removing=absent)
        if absent:
            daemon.remove(module, made, ledger)
        else:
            daemon.install(module, made, wanted, ledger, unit)
            files.settle(every, seen, ledger)
        return actions, module


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def etcd(host: Host, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    return Daemon(host, monkeypatch)


def test_a_daemon_is_installed_and_gone_again(etcd: Daemon, host: Host) -> None:
    etcd.converge()
    (host.root / "var/lib/etcd/member").mkdir()
    actions, _module = etcd.converge("absent")
    assert f"remove directory {host.path('var/lib/etcd')}" in actions
    assert not host.tree()
    assert not host.owners()


def test_a_daemon_does_not_begin_without_its_data_in_another_place(etcd: Daemon, host: Host) -> None:
    etcd.converge()
    (host.root / "var/lib/etcd/member").mkdir()
    before = host.tree()
    etcd.data = "srv/etcd"
    with pytest.raises(FileError, match=r"srv/etcd: the data is in .*var/lib/etcd, .* nothing was changed\. Go back"):
        etcd.converge()
    assert host.tree() == before


def test_an_empty_file_system_in_the_new_place_is_no_data(etcd: Daemon, host: Host) -> None:
    etcd.converge()
    (host.root / "var/lib/etcd/member").mkdir()
    (host.root / "srv/etcd/lost+found").mkdir(parents=True)
    etcd.data = "srv/etcd"
    with pytest.raises(FileError, match="the data is in"):
        etcd.converge()


def test_the_advice_for_moving_the_data_works(etcd: Daemon, host: Host) -> None:
    etcd.converge()
    old, new = host.root / "var/lib/etcd", host.root / "srv/etcd"
    (old / "member").mkdir()
    etcd.data = "srv/etcd"
    with pytest.raises(FileError) as refused:
        etcd.converge()
    commands = str(refused.value).partition("one host after the other: ")[2].partition(";")[0]
    steps = [step for step in commands.split(" && ") if not step.startswith("systemctl")]
    subprocess.run(" && ".join(steps), shell=True, check=True)
    etcd.data = "var/lib/etcd"
    assert not [action for action in etcd.converge()[0] if str(host.root) in action], "the link is as good"
    etcd.data = "srv/etcd"
    etcd.converge()
    assert (new / "member").exists()
    assert old.is_symlink()
    assert file_notes.data_directories(host.ledger)[str(new)] == str(new)


def test_a_daemon_that_still_runs_keeps_its_files(etcd: Daemon, host: Host) -> None:
    etcd.converge()
    etcd.systemd.state = "activating"
    etcd.systemd.fails["disable"] = "Job for daemon.service timed out."
    before = host.tree()
    with pytest.raises(daemon.Unfinished, match=r"(?s)timed out.*daemon\.service still runs; stop it by hand"):
        etcd.converge("absent")
    assert host.tree() == before
    etcd.systemd.fails.clear()
    etcd.converge("absent")
    assert not host.tree()


def test_uninstall_goes_on_past_an_account_that_cannot_go(
    etcd: Daemon, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    etcd.converge()
    host.ledger.record(accounts.KIND, "etcd", {})
    monkeypatch.setattr(accounts, "number_of", lambda _name: 998)
    etcd.systemd.fails["userdel"] = "userdel: user etcd is currently used by process 7"
    with pytest.raises(daemon.Unfinished, match="userdel etcd: userdel: user etcd is currently used by process 7"):
        etcd.converge("absent")
    assert not host.tree()
    assert host.ledger.names(accounts.KIND) == ["etcd"]
    monkeypatch.setattr(accounts, "number_of", lambda _name: None)
    etcd.converge("absent")
    assert not host.owners()


@pytest.mark.parametrize(("install", "warned"), [("", True), ("[Install]\nWantedBy=multi-user.target\n", False)])
def test_a_unit_that_is_not_enabled_is_told(etcd: Daemon, host: Host, install: str, warned: bool) -> None:
    module: Any = Module(etcd.systemd, {**etcd.params("started"), "unit": f"[Service]\n{install}"})
    seen = systemd.Unit("daemon.service", False, False, False, 0, False)
    assert daemon.installable(module, host.ledger, seen).enabled is warned
    told = ["daemon.service: the unit has nothing in section [Install]"] if warned else []
    assert [warning.partition(",")[0] for warning in module.warnings] == told


def test_a_name_of_others_is_refused_and_an_own_file_that_became_an_alias_is_put_right(
    etcd: Daemon, host: Host
) -> None:
    module: Any = Module(etcd.systemd, etcd.params("started"))
    seen = systemd.Unit("daemon.service", True, True, True, 7, False, alias_of="theirs.service")
    with pytest.raises(systemd.ServiceError, match=r"is an alias of theirs\.service; .*\. Nothing was changed"):
        daemon.installable(module, host.ledger, seen)
    etcd.converge()
    assert daemon.installable(module, host.ledger, seen)


def test_what_a_failed_start_cannot_put_back_is_told(etcd: Daemon, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    etcd.systemd.fails["start daemon"] = "Job failed."
    monkeypatch.setattr(files, "undo", lambda _changes, _ledger: ["/etc/env: Read-only file system"])
    with pytest.raises(systemd.ServiceError, match=r"Job failed\.\n\nnot taken back: /etc/env: Read-only"):
        etcd.converge("started")


def test_a_failed_start_puts_back_what_was_there(etcd: Daemon, host: Host) -> None:
    etcd.systemd.fails["start daemon"] = "Job failed."
    with pytest.raises(systemd.ServiceError, match="Job failed"):
        etcd.converge("started")
    assert not host.tree()
    assert not host.owners()


@pytest.mark.parametrize(
    ("state", "defers", "planned"),
    [
        ("active", True, ("", "restart")),
        ("active", False, ("restart", "")),
        # Nothing is interrupted by a first start.
        ("inactive", True, ("start", "")),
    ],
)
def test_a_restart_can_be_left_undone_for_a_later_batch(
    etcd: Daemon, host: Host, state: str, defers: bool, planned: tuple[str, str]
) -> None:
    params = {**etcd.params("started"), "defer_restart": defers}
    wanted = daemon_plan.entries(params, False)
    etcd.systemd.state = state
    unit = systemd.show(etcd.systemd, "daemon.service")
    made = daemon_plan.plan(
        params, wanted, file_plan.observe(wanted, host.ledger), host.ledger, unit, "an earlier digest"
    )
    assert (made.operation, made.due) == planned
