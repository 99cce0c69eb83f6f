"""Throughput as iperf3 tells it, and as the report does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._probe import throughput
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._report import (
    build as report_build,
    matrix as report_matrix,
)

SENT = json.dumps({"end": {"sum_received": {"bits_per_second": 941_234_567.8}}})


def busy(times: int, words: str = "error - unable to connect to server: Connection refused") -> Any:
    """A program that fails at first, as iperf3 does against a server that does not listen yet."""
    answers = iter([json.dumps({"error": words})] * times)

    def run(_command: list[str]) -> tuple[int, str, str]:
        return 0, next(answers, SENT), ""

    return run


def test_what_arrived_is_told_in_megabits() -> None:
    assert throughput.received(SENT) == 941.2


@pytest.mark.parametrize("output", ["", "{}", "[]", '{"end": {}}'])
def test_what_is_not_understood_is_no_measurement(output: str) -> None:
    with pytest.raises(throughput.ThroughputError, match="told nothing"):
        throughput.received(output)


def test_a_server_that_does_not_listen_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "PAUSE", 0)
    assert throughput.measure(busy(3), None, "10.244.1.2", 15201, 1) == 941.2
    with pytest.raises(throughput.ThroughputError, match="Connection refused"):
        throughput.measure(busy(throughput.TRIES), None, "10.244.1.2", 15201, 1)
    with pytest.raises(throughput.ThroughputError, match="No route to host"):
        throughput.measure(busy(1, "unable to connect to server: No route to host"), None, "10.244.1.2", 15201, 1)


def test_the_cost_is_the_ratio_of_pods_to_hosts() -> None:
    speeds = {"pods_mbit_s": 600.0, "hosts_mbit_s": 800.0}
    measured = {"node1": {"target": "node2", **speeds, "pods_rtt_ms": 0.251, "hosts_rtt_ms": None}}
    report = {"throughput": report_build.throughput(measured)}
    assert report["throughput"][0]["ratio"] == 0.75
    told = (
        "node1 -> node2: 600 Mbit/s between pods, 800 Mbit/s between the hosts: 75%; round trip 0.25 ms and unanswered"
    )
    assert list(report_matrix.costs(report)) == [told]
    assert list(report_matrix.costs({})) == []
