# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""The connectivity report as metrics, in the text format that node_exporter's textfile collector reads.

Format: prometheus.io/docs/instrumenting/exposition_formats.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._report import state as report_state

SUFFIX = ".prom"


def render(report: Mapping[str, Any]) -> str:
    """All metrics of a report."""
    pairs = report["pairs"]
    verified = datetime.datetime.fromisoformat(report["started"]).timestamp()
    states = [probe["state"] for probe in pairs]
    lines: list[str] = []

    def metric(name: str, told: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> None:
        lines.extend((f"# HELP pod_network_{name} {told}", f"# TYPE pod_network_{name} gauge"))
        lines.extend(f"pod_network_{name}{_labels(labels)} {value:.10g}" for labels, value in samples)

    metric("whole", "Whether every pair of pods is whole.", [({"backend": report["backend"]}, report["ok"])])
    metric("verified_timestamp_seconds", "When it was verified.", [({}, verified)])
    metric("probing_seconds", "How long the probing took.", [({}, report["duration_s"])])
    metric("probes", "Probes by state.", [({"state": state}, states.count(state)) for state in report_state.STATES])
    metric("probe_success", "Whether the probe went well.", [(_probe(probe), probe["ok"]) for probe in pairs])
    metric(
        "probe_duration_seconds",
        "Time until the answer.",
        [(_probe(probe), probe["rtt_ms"] / 1000) for probe in pairs if probe["rtt_ms"] is not None],
    )
    metric(
        "path_mtu_bytes",
        "Largest packet that arrives unfragmented.",
        [(_ends(probe), probe["mtu"]) for probe in pairs if probe["mtu"]],
    )
    if "throughput" in report:
        told = "What arrives by iperf3, between pods and between their hosts."
        metric("throughput_bits_per_second", told, _measured(report["throughput"], "mbit_s", 1e6))
        told = "Median time of an echo, between pods and between their hosts."
        metric("round_trip_seconds", told, _measured(report["throughput"], "rtt_ms", 1 / 1000))
    return "\n".join([*lines, ""])


def _measured(
    measurements: Iterable[Mapping[str, Any]], what: str, unit: float
) -> Iterator[tuple[Mapping[str, str], float]]:
    """What was measured between pods and between their hosts, in the unit of metrics."""
    for one in measurements:
        for ends in ("pods", "hosts"):
            if one[f"{ends}_{what}"] is not None:
                labels = {"source": one["source"], "target": one["target"], "between": ends}
                yield labels, one[f"{ends}_{what}"] * unit


def check(path: Path) -> None:
    """See whether the collector would read a file.

    :raises ValueError: it would not; says what would be right.
    """
    if path.suffix != SUFFIX:
        raise ValueError(f"its name must end in {SUFFIX}, or the collector of node_exporter does not read it")


def write(path: Path, report: Mapping[str, Any]) -> None:
    """Put the metrics into place in one step: the collector may read at any moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not by its suffix one of the collector's.
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_text(render(report), encoding="utf-8")
    fresh.chmod(0o644)
    fresh.replace(path)


def _ends(probe: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(probe[key]) for key in ("source", "target", "family")}


def _probe(probe: Mapping[str, Any]) -> dict[str, str]:
    return {**_ends(probe), "protocol": probe["protocol"]}


def _labels(labels: Mapping[str, str]) -> str:
    told = [f'{name}="{_escaped(value)}"' for name, value in labels.items()]
    return f"{{{','.join(told)}}}" if told else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
