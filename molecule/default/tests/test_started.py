"""Modules that run in the lab's started processes run as they do on a server, where sudo starts them."""

from __future__ import annotations

import pytest

from testing import lab

# What a process has from those who started it, but for what is another one each time.
INHERITED = (
    "env | grep -v ^SUDO_COMMAND | sort; id; umask; pwd; ulimit -a | grep -v pending; grep ^Cap /proc/self/status"
)
STARTED = lab.CHECKOUT / "molecule" / "shared" / "started" / "ssh.py"


def test_a_started_process_has_what_sudo_gives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_SSH_EXECUTABLE", "ssh")
    expected = lab.shell("cp-1", f"{INHERITED}; ps --no-headers -o comm $PPID")
    monkeypatch.setenv("ANSIBLE_SSH_EXECUTABLE", str(STARTED))
    told = lab.shell("cp-1", f"{INHERITED}; ps --no-headers -o comm $PPID")
    assert told.replace("serve.py", "python3.11") == expected
