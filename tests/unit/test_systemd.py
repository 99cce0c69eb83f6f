"""What systemd says of a unit, in every state it can be in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import systemd
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.systemd import ServiceError, Unit


def systemctl(**properties: str) -> Callable[[Sequence[str]], tuple[int, str, str]]:
    """A systemctl show that answers with these properties; systemd itself is the edge here."""
    return lambda _words: (0, "".join(f"{name}={value}\n" for name, value in properties.items()), "")


@pytest.mark.parametrize(
    ("state", "active", "running"),
    [
        ("active", True, True),
        ("reloading", True, True),
        ("refreshing", True, True),
        ("activating", False, True),
        ("deactivating", False, True),
        ("inactive", False, False),
        ("failed", False, False),
        ("maintenance", False, False),
    ],
)
def test_a_unit_that_has_processes_or_comes_again_by_itself_is_running(state: str, active: bool, running: bool) -> None:
    unit = systemd.show(systemctl(LoadState="loaded", ActiveState=state), "felix")
    assert (unit.active, unit.running) == (active, running)


def test_a_unit_that_does_not_exist_is_neither_loaded_nor_running() -> None:
    unit = systemd.show(systemctl(LoadState="not-found", ActiveState="inactive", MainPID="0"), "nothing")
    assert (unit.loaded, unit.running, unit.enabled, unit.main_pid) == (False, False, False, 0)


@pytest.mark.parametrize(
    ("install", "others", "to_enable"),
    [
        ("[Install]\nWantedBy=multi-user.target\n", "enabled", True),
        ("[Install]\nWantedBy = \\\n  multi-user.target\n", "enabled", True),
        ("[Install]\nAlias=other.service\n", "enabled", True),
        # What systemd calls static, and indirect.
        ("", "disabled", False),
        ("[Install]\n# WantedBy=multi-user.target\n", "disabled", False),
        ("[Install]\nWantedBy=multi-user.target\nWantedBy=\n", "disabled", False),
        ("WantedBy=multi-user.target\n", "disabled", False),
        ("[Install]\nAlso=a.socket\n", "enabled", False),
        ("[Install]\nAlso=a.socket\n", "static", False),
        ("[Install]\nAlso=a.socket\n", "disabled", True),
    ],
)
def test_only_what_a_unit_says_of_its_installation_is_enabled(install: str, others: str, to_enable: bool) -> None:
    run = systemctl(LoadState="loaded", UnitFileState=others)
    seen = systemd.show(systemctl(UnitFileState=""), "etcd.service")
    assert systemd.with_install(run, seen, f"[Service]\nExecStart=/bin/true\n{install}").enabled is not to_enable


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"LoadState": "masked", "Id": "etcd.service"}, "etcd.service is masked; let it start with: systemctl unmask"),
        ({"LoadState": "loaded", "Id": "raft.service"}, "etcd.service is an alias of raft.service; take another name"),
        (
            {"LoadState": "loaded", "Id": "etcd.service", "FragmentPath": "/run/systemd/transient/etcd.service"},
            "etcd.service is read from /run/systemd/transient/etcd.service, before any file in /etc/systemd/system;",
        ),
        ({"LoadState": "loaded", "Id": "etcd.service", "FragmentPath": "/usr/lib/systemd/system/etcd.service"}, ""),
        ({"LoadState": "loaded", "Id": "etcd.service", "FragmentPath": "/run/systemd/generator/etcd.service"}, ""),
        ({"LoadState": "not-found", "Id": "etcd.service"}, ""),
    ],
)
def test_a_name_that_another_units_file_takes_is_not_replaceable(properties: dict[str, str], reason: str) -> None:
    found = systemd.not_replaceable(systemd.show(systemctl(**properties), "etcd.service"))
    assert found.startswith(reason) and bool(found) is bool(reason)


def test_the_name_of_a_service_without_its_ending_is_no_alias() -> None:
    assert systemd.show(systemctl(LoadState="loaded", Id="etcd.service"), "etcd").alias_of == ""


def unit(invocation: str, active: bool = True) -> Unit:
    return Unit("etcd", True, active, True, 7, False, invocation)


def test_what_a_process_needs_is_remembered_until_another_process_runs(tmp_path: Path) -> None:
    ledger = Ledger("etcd", str(tmp_path / "records"))
    systemd.mark_stale(ledger, "restart", unit("one"))
    assert systemd.is_stale(ledger, "restart", unit("one"))
    assert not systemd.is_stale(ledger, "restart", unit("two"))
    assert not systemd.is_stale(ledger, "restart", unit("one", active=False))
    systemd.mark_stale(ledger, "restart", unit("two"))
    assert systemd.is_stale(ledger, "restart", unit("two"))
    systemd.mark_stale(ledger, "reload", unit("two"))
    systemd.refreshed(ledger)
    assert not ledger.entries


def test_a_command_that_fails_has_the_units_last_lines() -> None:
    def run(words: Sequence[str]) -> tuple[int, str, str]:
        return (1, "", "Job failed.") if words[0] == "systemctl" else (0, "bind: address in use\n", "")

    with pytest.raises(ServiceError, match=r"systemctl restart etcd: Job failed\.\nbind: address in use"):
        systemd.command(run, "restart", "etcd")
