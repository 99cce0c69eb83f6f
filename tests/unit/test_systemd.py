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
