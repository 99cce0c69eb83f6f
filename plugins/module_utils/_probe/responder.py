# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""The program in a probe pod: answers HTTP over TCP, small or BULK, and echoes UDP, on one port.

Every answer names the pod and the address the request came from, so that the asking side sees
whether its source address was rewritten on the way. Runs alone, with Python's standard library:
``responder.py NAME PORT``. Tells systemd when it listens (sd_notify(3)).
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from typing import Any, cast

# As much as fills many segments of the largest size: what loses large packets only, loses it.
BULK = bytes(range(256)) * 256


def answer(name: str, source: str) -> bytes:
    """What a pod says to whoever asks it."""
    source = source[len("::ffff:") :] if source.startswith("::ffff:") else source
    return json.dumps({"pod": name, "source": source}).encode()


async def serve_tcp(name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one HTTP request."""
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), timeout=10)
        body = BULK if head.startswith(b"GET /bulk ") else answer(name, writer.get_extra_info("peername")[0])
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body)
        )
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
        pass  # a bare connect is a probe too
    finally:
        writer.close()


class Echo(asyncio.DatagramProtocol):
    """Answers a datagram with its first line and who sent it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        if self.transport:
            self.transport.sendto(data.split(b"\n")[0] + b"\n" + answer(self.name, addr[0]), addr)


def listener(kind: socket.SocketKind, port: int) -> socket.socket:
    """A socket on all addresses, of both families where the kernel has both."""
    try:
        made = socket.socket(socket.AF_INET6, kind)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        address = "::"
    except OSError:
        made = socket.socket(socket.AF_INET, kind)
        address = "0.0.0.0"
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, port))
    return made


async def main(name: str, port: int) -> None:
    """Listen until told to stop."""
    await asyncio.start_server(
        lambda reader, writer: serve_tcp(name, reader, writer),
        sock=listener(socket.SOCK_STREAM, port),
        backlog=512,
    )
    await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Echo(name), sock=listener(socket.SOCK_DGRAM, port)
    )
    where = os.environ.get("NOTIFY_SOCKET")
    if where:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect("\0" + where[1:] if where.startswith("@") else where)
            notify.send(b"READY=1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
