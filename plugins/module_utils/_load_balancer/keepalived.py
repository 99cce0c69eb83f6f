# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""What a running keepalived says of its virtual routers, and who on the link says that it holds them."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
from dataclasses import dataclass
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.waiting import Waiter

STATES = ("INIT", "BACKUP", "MASTER", "FAULT")
# Where its versions write their state to, as seen by the process itself.
DUMPS = ("tmp/keepalived.json", "run/keepalived/keepalived.json")


class KeepalivedError(TaskError):
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
    # Seconds between two advertisements.
    interval: float = 1.0


@dataclass(frozen=True)
class Advertiser:
    """A machine on the link that says that it holds a virtual router."""

    virtual_router_id: int
    address: str
    mac: str
    priority: int


ETH_P_IP, VRRP, OUTGOING, ETHERNET = 0x0800, 112, 4, 1


def advertiser(frame: bytes) -> Advertiser | None:
    """The sender of an advertisement (RFC 5798, RFC 3768) in an Ethernet frame with IPv4.

    None for other frames, and for priority 0, with which a machine says that it holds the router no more.
    """
    start = 14 + (frame[14] & 0x0F) * 4 if len(frame) > 14 else 0
    if len(frame) < start + 3 or frame[12:14] != b"\x08\0" or frame[23] != VRRP or frame[start] & 0x0F != 1:
        return None
    if frame[start + 2] == 0:
        return None
    return Advertiser(frame[start + 1], socket.inet_ntoa(frame[26:30]), frame[6:12].hex(":"), frame[start + 2])


def listen(seconds: float) -> list[Advertiser]:
    """Who sends advertisements to this host, those included that a firewall drops. Needs CAP_NET_RAW."""
    found: dict[tuple[int, str, str], Advertiser] = {}
    until = time.monotonic() + seconds
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP)) as link:
        while (left := until - time.monotonic()) > 0:
            if not select.select([link], [], [], left)[0]:
                break
            frame, (name, _protocol, kind, hardware, _mac) = link.recvfrom(256)
            one = advertiser(frame) if kind != OUTGOING and hardware == ETHERNET and name != "lo" else None
            if one:
                found[one.virtual_router_id, one.address, one.mac] = one
    return list(found.values())


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
        interval=float(data.get("adver_int", 1.0)),
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
    for _look in Waiter(wait, pause=0.01):
        for dump in DUMPS:
            if _stamp(f"{root}/{dump}") != before[dump]:
                try:
                    with open(f"{root}/{dump}", encoding="utf-8") as stream:
                        return routers(stream.read())
                except ValueError:
                    continue  # it is still writing
    raise KeepalivedError(f"keepalived did not write its state within {wait} s of {signal.Signals(number).name}")


def _stamp(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_ino)
