# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Throughput between two addresses by iperf3, and their latency, from the host or from a network namespace."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.binary_cluster.networking.plugins.module_utils._probe import engine
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

Run = Callable[..., "tuple[int, str, str]"]
# A server that was just started may not listen yet.
TRIES, PAUSE = 20, 0.1
NOT_YET = ("connection refused", "server is busy")
# Echo requests one after the other, of which the median counts; as many bytes of data as ping sends.
ECHOES, SIZE, TIMEOUT = 21, 56, 1.0


class ThroughputError(TaskError):
    """It could not be measured; the message has iperf3's own words."""


def within(namespace: str | None, command: Sequence[str]) -> list[str]:
    """A command in a network namespace; None is the host's."""
    return [*(["nsenter", f"--net={namespace}"] if namespace else []), *command]


def serve(run: Run, unit: str, namespace: str | None, address: str, port: int, lifetime: int) -> None:
    """Start a server as a transient unit that ends by itself."""
    code, _out, err = run(
        [
            "systemd-run", "--quiet", "--collect", f"--unit={unit}", "--property=DynamicUser=yes",
            f"--property=RuntimeMaxSec={lifetime}",
            *([f"--property=NetworkNamespacePath={namespace}"] if namespace else []),
            "iperf3", "--server", "--bind", address, "--port", str(port),
        ]
    )  # fmt: skip
    if code != 0:
        raise ThroughputError(f"iperf3 does not start: {err.strip()}")


def measure(run: Run, namespace: str | None, address: str, port: int, seconds: int) -> float:
    """Mbit/s that arrive."""
    command = ["iperf3", "--client", address, "--port", str(port), "--time", str(seconds), "--json"]
    for left in reversed(range(TRIES)):
        _code, out, err = run(within(namespace, [*command, "--connect-timeout", "3000"]))
        try:
            return received(out)
        except ThroughputError as error:
            if not left or not any(words in str(error).lower() for words in NOT_YET):
                raise ThroughputError(f"{address}: {error}{err.strip()}") from error
            time.sleep(PAUSE)
    raise AssertionError


def received(output: str) -> float:
    """Mbit/s that arrived, from iperf3's JSON."""
    try:
        told = json.loads(output)
        if told.get("error"):
            raise ThroughputError(told["error"])
        return round(float(told["end"]["sum_received"]["bits_per_second"]) / 1e6, 1)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ThroughputError("iperf3 told nothing that is understood") from error


def round_trip(namespace: str | None, address: str) -> float | None:
    """Milliseconds until an ICMP echo is answered, where nothing else is under way; None where none is answered.

    Raises ThroughputError where the namespace cannot be entered.
    """

    def inside() -> list[float]:
        if namespace:
            engine.enter(namespace)
        return asyncio.run(_echoes(address))

    try:
        # A thread that entered a namespace stays there.
        with ThreadPoolExecutor(1) as thread:
            times = thread.submit(inside).result()
    except engine.ProbeError as error:
        raise ThroughputError(str(error)) from error
    return round(statistics.median(times) * 1000, 3) if times else None


async def _echoes(address: str) -> list[float]:
    """Seconds until the answers that came."""
    echoes, times = engine.Echoes(), []
    try:
        for _number in range(ECHOES):
            try:
                times.append(await echoes.echo(address, TIMEOUT, SIZE))
            except asyncio.TimeoutError:
                if not times:
                    break
            except OSError:
                break
    finally:
        echoes.close()
    return times
