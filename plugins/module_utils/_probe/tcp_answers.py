# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Which hosts answer over TCP, for networks that filter ICMP.

A port that is closed proves a host as well as one that is open: its reset came all the way (RFC 9293). A firewall on
the way that rejects the connection proves nothing, though the kernel has the same word for it.
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
# linux/in.h, linux/in6.h: keep what ICMP says of a connection. It is a struct sock_extended_err, and who said it.
RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
# Where in it there are the origin, and of either version the address, and origins that are ICMP (linux/errqueue.h).
ORIGIN, ICMP = 4, (2, 3)
OFFENDER = {socket.AF_INET: slice(20, 24), socket.AF_INET6: slice(24, 40)}


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
            one.setsockopt(*RECVERR[family], 1)
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
                code = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                rejected = code == errno.ECONNREFUSED and _rejected_on_the_way(one, address)
                codes[address] = errno.EHOSTUNREACH if rejected else code
    finally:
        for _address, one in pending.values():
            one.close()
    return codes


def _rejected_on_the_way(one: socket.socket, address: str) -> bool:
    """Whether ICMP ended a connection, and came from another address than that which was asked."""
    try:
        _data, said, _flags, _from = one.recvmsg(0, 512, socket.MSG_ERRQUEUE)
    except OSError:
        return False
    told = [data for level, kind, data in said if (level, kind) == RECVERR[one.family] and data[ORIGIN] in ICMP]
    return any(ipaddress.ip_address(data[OFFENDER[one.family]]) != ipaddress.ip_address(address) for data in told)
