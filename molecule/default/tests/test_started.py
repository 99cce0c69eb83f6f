"""Modules that run in the lab's started processes run as they do on a server, where sudo starts them."""

from __future__ import annotations

import pytest

from testing import lab

# What a process has from those who started it, but for what is another one each time and what new versions of sudo add.
INHERITED = (
    "env | grep -Ev '^SUDO_(COMMAND|HOME)' | sort; id; umask; pwd; ulimit -a | grep -v pending; "
    "grep ^Cap /proc/self/status; readlink /proc/$PPID/exe"
)
STARTED = lab.CHECKOUT / "molecule" / "shared" / "started" / "ssh"


def test_a_started_process_has_what_sudo_gives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_SSH_EXECUTABLE", "ssh")
    expected = lab.shell("cp-1", INHERITED)
    monkeypatch.setenv("ANSIBLE_SSH_EXECUTABLE", str(STARTED))
    assert lab.shell("cp-1", INHERITED) == expected
    assert "serve.py" in lab.shell("cp-1", "ps --no-headers -o args $PPID")
