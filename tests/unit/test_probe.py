"""What a probe pod probes, and how: many at once, and not more than it can listen to."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._probe import engine

TARGETS = [
    engine.Target("probe-node1", "10.244.1.2", 18080, "192.0.2.11"),
    engine.Target("probe-node1:2", "10.244.1.3", 18080, "192.0.2.11"),
    engine.Target("probe-node2", "10.244.2.2", 18080, "192.0.2.12"),
]


def planned(*protocols: str) -> set[tuple[str, str]]:
    siblings = ["probe-node1", "probe-node1:2"]
    found = engine.plan("probe-node1", siblings, TARGETS, protocols or engine.PROTOCOLS)
    return {(target.name, protocol) for target, protocol in found}


def test_a_pod_probes_itself_its_siblings_and_strangers_each_as_is_fit() -> None:
    found = planned()
    assert {protocol for name, protocol in found if name == "probe-node1"} == {"own", "hairpin"}
    assert {protocol for name, protocol in found if name == "probe-node1:2"} == set(engine.BETWEEN)
    assert {protocol for name, protocol in found if name == "probe-node2"} == {*engine.BETWEEN, "node"}


def test_a_pod_probes_with_the_wanted_protocols_alone() -> None:
    assert planned("icmp", "own") == {
        ("probe-node1", "own"),
        ("probe-node1:2", "icmp"),
        ("probe-node2", "icmp"),
    }
    assert planned("dns", "vip", "host") == set()


def probed(
    monkeypatch: pytest.MonkeyPatch, number: int, answer: Callable[[], Awaitable[None]], timeout: float, tries: int
) -> list[engine.Outcome]:
    """Probe targets that answer TCP in a given way."""

    async def exchanged(_target: engine.Target, _echoes: engine.Echoes) -> None:
        await answer()

    monkeypatch.setitem(engine.EXCHANGES, "tcp", exchanged)
    return asyncio.run(engine.probe([(TARGETS[2], "tcp")] * number, None, 0, timeout, tries))


def test_no_more_probes_wait_at_once_than_their_answers_can_be_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, most = 0, 0

    async def answer() -> None:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        await asyncio.sleep(0.001)
        waiting -= 1

    outcomes = probed(monkeypatch, 200, answer, timeout=5.0, tries=1)
    assert all(outcome.ok and outcome.tries == 1 for outcome in outcomes)
    assert most == engine.WIDTH


def test_where_nothing_answers_the_time_is_not_that_of_the_probes_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "PATIENCE", 0.01)
    began = time.monotonic()
    outcomes = probed(monkeypatch, 160, lambda: asyncio.sleep(60), timeout=0.5, tries=2)
    assert not any(outcome.ok for outcome in outcomes)
    # One after the other in every slot: 160 / WIDTH * 2 * 0.5 s = 10 s.
    assert time.monotonic() - began < 5


def test_what_was_slow_once_is_seen_again_before_it_is_called_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    async def answer() -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.4 if asked == 1 else 0)

    outcomes = probed(monkeypatch, 20, answer, timeout=5.0, tries=1)
    assert asked == 21
    assert all(outcome.rtt_ms is not None and outcome.rtt_ms < 400 for outcome in outcomes)


def read_late(one: socket.socket, seconds: float) -> tuple[float, list[tuple[int, int, bytes]]]:
    """Have a socket send itself a packet and read it late: when it was sent, and what tells when it arrived."""
    before = time.time()
    one.sendto(b"", one.getsockname())
    time.sleep(seconds)
    _data, more, _flags, _sender = one.recvmsg(1, socket.CMSG_SPACE(engine.TIMESPEC.size))
    return before, more


def test_an_echo_took_until_the_kernel_had_the_answer() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.setsockopt(socket.SOL_SOCKET, engine.SO_TIMESTAMPNS, 1)
        one.bind(("127.0.0.1", 0))
        for _try in range(100):  # the kernel begins to look at the clock a moment after it was asked to
            if engine.arrival(read_late(one, 0.05)[1]) < time.time() - 0.04:
                break
        before, more = read_late(one, 0.3)
    assert before - 0.05 < engine.arrival(more) < before + 0.25
    assert engine.arrival([]) >= before + 0.3
    assert engine.arrival([(socket.SOL_SOCKET, engine.SO_TIMESTAMPNS, struct.pack("@ll", 7, 500_000_000))]) == 7.5


def test_a_node_is_probed_where_its_address_is_of_the_same_ip_version() -> None:
    targets = [
        *TARGETS[:1],
        engine.Target("probe-node1", "fd00::1:2", 18080),
        engine.Target("probe-node2", "fd00::2:2", 1),
    ]
    found = engine.plan("probe-node1", ["probe-node1"], targets, engine.PROTOCOLS)
    six = {(target.name, protocol) for target, protocol in found if target.family == 6}
    assert six == {("probe-node1", "hairpin"), *(("probe-node2", protocol) for protocol in engine.BETWEEN)}
    assert ("probe-node1", "own") in {(target.name, protocol) for target, protocol in found if target.family == 4}
