# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Which hosts answer over TCP, for networks that filter ICMP.

A port that is closed proves a host as well as one that is open: its reset came all the way (RFC 9293).
"""

from __future__ import annotations

import errno
import ipaddress
import select
import socket
import time
from collections.abc import Sequence

ANSWERS = (0, errno.ECONNREFUSED)
# Sockets at a time; a process may have 1024 files open by default.
BATCH = 200


def tcp_answers(addresses: Sequence[str], ports: Sequence[int], wait: float = 1.5) -> dict[str, int]:
    """The first port at which each address answers a connection; those that answer at none are left out.

    Waits ``wait`` seconds for each port.
    """
    found: dict[str, int] = {}
    for port in ports:
        left = [address for address in addresses if address not in found]
        for start in range(0, len(left), BATCH):
            codes = _connect(left[start : start + BATCH], port, wait)
            found.update({address: port for address, code in codes.items() if code in ANSWERS})
    return found


def _connect(addresses: Sequence[str], port: int, wait: float) -> dict[str, int]:
    """What became of a connection to each address, as a number of errno(3); nothing of one that was not answered."""
    codes: dict[str, int] = {}
    pending: dict[int, tuple[str, socket.socket]] = {}
    poll = select.poll()
    try:
        for address in addresses:
            family = socket.AF_INET if ipaddress.ip_address(address).version == 4 else socket.AF_INET6
            one = socket.socket(family, socket.SOCK_STREAM)
            pending[one.fileno()] = address, one
            one.setblocking(False)
            code = one.connect_ex((address, port))
            if code == errno.EINPROGRESS:
                poll.register(one, select.POLLOUT)
            else:
                codes[address] = code
        until = time.monotonic() + wait
        while len(codes) < len(pending) and (left := until - time.monotonic()) > 0:
            for number, _event in poll.poll(left * 1000):
                address, one = pending[number]
                poll.unregister(one)
                codes[address] = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    finally:
        for _address, one in pending.values():
            one.close()
    return codes
