# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""What a running keepalived says of its virtual routers."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass
from typing import Any

STATES = ("INIT", "BACKUP", "MASTER", "FAULT")
# Where its versions write their state to, as seen by the process itself.
DUMPS = ("tmp/keepalived.json", "run/keepalived/keepalived.json")


class KeepalivedError(Exception):
    """keepalived does not tell its state; the message says why."""


@dataclass(frozen=True)
class Router:
    """A virtual router: its part on this machine, and the addresses that go with it."""

    name: str
    virtual_router_id: int
    state: str
    priority: int
    interface: str
    addresses: tuple[str, ...]
    since: float


def routers(dump: str) -> list[Router]:
    """Virtual routers from keepalived's state in JSON."""
    found = json.loads(dump)
    # A list in 2.1 and 2.2, in an object from 2.3 on.
    entries = found if isinstance(found, list) else found.get("vrrp", [])
    return [_router(entry["data"]) for entry in entries]


def _router(data: dict[str, Any]) -> Router:
    held = [*data.get("vips", ()), *data.get("evips", ())]
    return Router(
        name=data["iname"],
        virtual_router_id=data["vrid"],
        state=STATES[data["state"]] if 0 <= data["state"] < len(STATES) else str(data["state"]),
        priority=data["effective_priority"],
        interface=data["ifp_ifname"],
        addresses=tuple(text.split()[0].partition("/")[0] for text in held),
        since=data["last_transition"],
    )


def ask(pid: int, number: int, wait: float = 2.0) -> list[Router]:
    """Make a running keepalived write its state, and read it.

    ``number`` is the signal for that, as ``keepalived --signum=JSON`` says.
    """
    root = f"/proc/{pid}/root"
    before = {dump: _stamp(f"{root}/{dump}") for dump in DUMPS}
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        raise KeepalivedError("keepalived has just ended") from None
    until = time.monotonic() + wait
    while time.monotonic() < until:
        for dump in DUMPS:
            if _stamp(f"{root}/{dump}") != before[dump]:
                try:
                    with open(f"{root}/{dump}", encoding="utf-8") as stream:
                        return routers(stream.read())
                except ValueError:
                    continue  # it is still writing
        time.sleep(0.01)
    raise KeepalivedError(f"keepalived did not write its state within {wait} s of {signal.Signals(number).name}")


def _stamp(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_ino)
