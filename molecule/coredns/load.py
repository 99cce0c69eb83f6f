"""Ask a DNS server at a steady rate, and write down what was not answered as it should.

usage: load.py RESULT SERVER RATE NAME=ADDRESS...

Asks for the A records of the names in turn, RATE a second over UDP, each once and from a socket that
waits two seconds; an ADDRESS of NXDOMAIN expects that. Ten times a second it asks over TCP, too. Ends on
SIGTERM with its findings in RESULT: {"seconds", "udp"|"tcp": {"asked", "failed", "causes", "slowest_s",
"longest_gap_s"}}. The gap is the longest time without a good answer.
"""

from __future__ import annotations

import asyncio
import collections
import json
import signal
import struct
import sys
import time
from pathlib import Path
from typing import Any

import messages

TIMEOUT = 2.0
LATEST = 0.05


class Findings:
    """What one transport saw."""

    def __init__(self) -> None:
        self.asked = 0
        self.causes: collections.Counter[str] = collections.Counter()
        self.slowest = 0.0
        self.gap = 0.0
        self.last = time.monotonic()

    def note(self, cause: str, began: float) -> None:
        """Count one question; an empty cause is a good answer."""
        now = time.monotonic()
        self.asked += 1
        if cause:
            self.causes[cause] += 1
            return
        self.slowest = max(self.slowest, now - began)
        self.gap = max(self.gap, now - self.last)
        self.last = now

    def told(self) -> dict[str, Any]:
        """The findings as JSON."""
        return {
            "asked": self.asked,
            "failed": sum(self.causes.values()),
            "causes": dict(self.causes),
            "slowest_s": round(self.slowest, 3),
            "longest_gap_s": round(self.gap, 3),
        }


class Asker(asyncio.DatagramProtocol):
    """One socket for all questions; answers are told apart by their identifier."""

    def __init__(self) -> None:
        self.waiting: dict[bytes, asyncio.Future[bytes]] = {}

    def datagram_received(self, data: bytes, _addr: Any) -> None:
        future = self.waiting.pop(data[:2], None)
        if future and not future.done():
            future.set_result(data)

    def error_received(self, exc: Exception) -> None:
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(exc)


def judge(data: bytes, asked: bytes, name: str, expected: str) -> str:
    """What is wrong with an answer; empty where nothing is."""
    told = messages.answer(data, asked)
    good = told.rcode == "NXDOMAIN" if expected == "NXDOMAIN" else told.values == (expected,)
    return "" if good else f"{name}: {told.rcode} {' '.join(told.values)}"


async def over_udp(
    asker: Asker, transport: asyncio.DatagramTransport, name: str, expected: str, found: Findings
) -> None:
    asked = messages.question(name, "A")
    while asked[:2] in asker.waiting:
        asked = messages.question(name, "A")
    future = asker.waiting[asked[:2]] = asyncio.get_running_loop().create_future()
    began = time.monotonic()
    transport.sendto(asked)
    try:
        found.note(judge(await asyncio.wait_for(future, TIMEOUT), asked, name, expected), began)
    except (OSError, ValueError, asyncio.TimeoutError) as error:
        found.note(f"{name}: {str(error) or 'no answer'}", began)
    finally:
        asker.waiting.pop(asked[:2], None)


async def over_tcp(server: str, name: str, expected: str, found: Findings) -> None:
    async def ask() -> str:
        reader, writer = await asyncio.open_connection(server, 53)
        try:
            asked = messages.question(name, "A")
            writer.write(struct.pack("!H", len(asked)) + asked)
            data = await reader.readexactly(struct.unpack("!H", await reader.readexactly(2))[0])
            return judge(data, asked, name, expected)
        finally:
            writer.close()

    began = time.monotonic()
    try:
        found.note(await asyncio.wait_for(ask(), TIMEOUT), began)
    except (OSError, ValueError, EOFError, asyncio.TimeoutError) as error:
        found.note(f"{name}: {str(error) or 'no answer'}", began)


async def main() -> None:
    result, server, rate = sys.argv[1], sys.argv[2], int(sys.argv[3])
    names = [tuple(word.split("=")) for word in sys.argv[4:]]
    found = {"udp": Findings(), "tcp": Findings()}
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    transport, asker = await loop.create_datagram_endpoint(Asker, remote_addr=(server, 53))
    running: set[asyncio.Task[None]] = set()
    began = begun = loop.time()
    number = 0
    while not stopped.is_set():
        name, expected = names[number % len(names)]
        running.add(asyncio.create_task(over_udp(asker, transport, name, expected, found["udp"])))
        if number % max(1, rate // 10) == 0:
            running.add(asyncio.create_task(over_tcp(server, name, expected, found["tcp"])))
        running = {task for task in running if not task.done()} if number % rate == 0 else running
        number += 1
        late = loop.time() - begun - number / rate
        # On a busy machine this program may have to wait. What was missed then is not asked in one burst.
        begun += late if late > LATEST else 0
        await asyncio.sleep(max(0.0, -late))
    seconds = loop.time() - began
    await asyncio.gather(*running)
    told = {name: findings.told() for name, findings in found.items()}
    Path(result).write_text(json.dumps({"seconds": round(seconds, 1), **told}))


if __name__ == "__main__":
    asyncio.run(main())
