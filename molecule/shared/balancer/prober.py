"""Opens a TLS connection through an address every few milliseconds and wants an answer from a backend.

A frozen machine's kernel still completes TCP handshakes, so only an answer counts. Prints a line of
JSON when it ends or is told to: every attempt as [seconds since the epoch, name of the backend or null].

usage: prober.py ADDRESS PORT AUTHORITY SECONDS [INTERVAL [PATIENCE]]
"""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import sys
import time

ADDRESS, PORT, AUTHORITY, SECONDS = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
INTERVAL = float(sys.argv[5]) if len(sys.argv) > 5 else 0.01
PATIENCE = float(sys.argv[6]) if len(sys.argv) > 6 else 0.25


async def answer(tls: ssl.SSLContext) -> str:
    """Name of the backend that answers on a new connection."""
    reader, writer = await asyncio.open_connection(ADDRESS, PORT, ssl=tls, server_hostname=ADDRESS)
    try:
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n")
        head, _end, body = (await reader.read()).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise ConnectionError("no answer")
        return body.decode()
    finally:
        writer.transport.abort()


async def attempt(tls: ssl.SSLContext, told: list[tuple[float, str | None]]) -> None:
    """One try: its answer, or that there was none in time."""
    started = time.time()
    try:
        told.append((started, await asyncio.wait_for(answer(tls), PATIENCE)))
    except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
        told.append((started, None))


async def main() -> None:
    tls = ssl.create_default_context(cafile=AUTHORITY)
    told: list[tuple[float, str | None]] = []
    running: set[asyncio.Task[None]] = set()
    begin = time.monotonic()
    number = 0
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    while (due := begin + number * INTERVAL) < begin + SECONDS and not stop.is_set():
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        task = asyncio.ensure_future(attempt(tls, told))
        running.add(task)
        task.add_done_callback(running.discard)
        number += 1
    await asyncio.gather(*running)
    print(json.dumps(sorted(told)))


asyncio.run(main())
