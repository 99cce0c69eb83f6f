"""The units of daemons beside those that others have, as systemd calls them: nothing is enabled at every run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from testing import lab

HOST = "worker-1.example.com"
NAME = "lab-unit"
ETC, TRANSIENT = f"/etc/systemd/system/{NAME}.service", f"/run/systemd/transient/{NAME}.service"
SERVICE = "[Unit]\nDescription=Nothing\n\n[Service]\nExecStart=/bin/sleep 1000\n"
SOCKET = f"[Socket]\nListenStream=/run/{NAME}.sock\n\n[Install]\nWantedBy=sockets.target\n"


@pytest.fixture
def uninstalled() -> Iterator[None]:
    """The daemon is gone afterwards."""
    yield
    assert not daemon(state="absent")["failed"]


@pytest.fixture(autouse=True)
def gone() -> Iterator[None]:
    """What others had of the daemon's name is gone afterwards."""
    yield
    lab.inside(
        HOST,
        f"systemctl stop {NAME} lab-other 2>/dev/null; systemctl disable --quiet {NAME} 2>/dev/null;"
        f" rm -f {ETC} /etc/systemd/system/lab-other.service /etc/init.d/{NAME} /etc/rc?.d/[SK]??{NAME};"
        " systemctl daemon-reload",
    )


def daemon(install: str = "", **arguments: Any) -> dict[str, Any]:
    """What the module says."""
    unit = f"{SERVICE}\n[Install]\n{install}" if install else SERVICE
    return lab.module(HOST, "daemon", name=NAME, **({"unit": unit} | arguments))


def state() -> str:
    """What systemd says of the unit's installation."""
    return lab.inside(HOST, f"systemctl show {NAME} --property=UnitFileState --value").strip()


@pytest.mark.parametrize(
    ("install", "called"),
    [
        ("WantedBy=multi-user.target\n", "enabled"),
        ("Alias=lab-alias.service\n", "enabled"),
        (f"Also={NAME}.socket\n", "indirect"),
        ("", "static"),
    ],
)
@pytest.mark.usefixtures("gone", "uninstalled")
def test_a_second_run_enables_nothing(install: str, called: str) -> None:
    files = [{"path": f"/etc/systemd/system/{NAME}.socket", "content": SOCKET}] if "Also" in install else []
    expected = daemon(install, files=files, check_mode=True)["actions"]
    done = daemon(install, files=files)
    assert done["actions"] == expected, done
    assert (f"enable {NAME}" in expected) is bool(install)
    assert (state(), lab.inside(HOST, f"systemctl is-active {NAME}").strip()) == (called, "active")
    again = daemon(install, files=files)
    assert not again["changed"], again
    if files:
        assert lab.inside(HOST, f"systemctl is-enabled {NAME}.socket").strip() == "enabled"


@pytest.mark.usefixtures("gone", "uninstalled")
def test_a_unit_that_systemd_generated_of_an_init_script_is_replaced_once() -> None:
    script = f"#!/bin/sh\n### BEGIN INIT INFO\n# Provides: {NAME}\n# Default-Start: 2 3\n### END INIT INFO\n"
    lab.inside(HOST, f"cat >/etc/init.d/{NAME}; chmod 755 /etc/init.d/{NAME}; systemctl daemon-reload", script)
    assert state() == "generated"
    assert daemon("WantedBy=multi-user.target\n")["changed"]
    assert state() == "enabled"
    assert not daemon("WantedBy=multi-user.target\n")["changed"]


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (f"ln -s /dev/null {ETC}", f"{NAME}.service is masked"),
        (
            f"printf '[Service]\\nExecStart=/bin/sleep 1000\\n' >/etc/systemd/system/lab-other.service;"
            f" ln -s lab-other.service {ETC}",
            f"{NAME}.service is an alias of lab-other.service",
        ),
        (f"systemd-run --quiet --unit={NAME} sleep 1000", f"{NAME}.service is read from {TRANSIENT}"),
    ],
)
def test_a_name_that_others_have_is_refused_before_anything_changes(theirs: str, said: str) -> None:
    lab.inside(HOST, f"{theirs}; systemctl daemon-reload")
    look = f"ls -l --time-style=+ {ETC} 2>&1; systemctl show {NAME} --property=UnitFileState,ActiveState"
    before = lab.inside(HOST, look)
    for check_mode in (True, False):
        refused = daemon("WantedBy=multi-user.target\n", check_mode=check_mode)
        assert refused["failed"] and said in refused["msg"] and "Nothing was changed" in refused["msg"], refused
    assert lab.inside(HOST, look) == before
