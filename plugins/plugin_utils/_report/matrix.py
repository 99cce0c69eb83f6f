# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""A report for a terminal: the matrix of all pairs, what failed, and in a few words how it went."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._report import state as report_state
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._report.build import BEYOND, Report, beyond

# As many columns with figures in them fit a terminal; beyond, a cell is one character.
WIDE = 10
SIGNS = {"slow": "s", "flaky": "~", "mtu": "M", "failed": "X"}


def failures(report: Report) -> list[str]:
    """Failed pairs, a line each, with the protocols that failed for the same reason together."""
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for pair in report["pairs"]:
        if not pair["ok"]:
            key = (pair["source"], pair["target"], pair["cause"] or "failed")
            grouped.setdefault(key, []).append(report_state.title(pair))
    return [
        f"{source} -> {target}: {', '.join(protocols)}: {cause}"
        for (source, target, cause), protocols in grouped.items()
    ]


def matrix(report: Report) -> str:
    """The matrix for a terminal: from the nodes of the rows to those of the columns, and to what is beyond."""
    names = [node["name"] for node in report["nodes"]]
    by_pair: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for pair in report["pairs"]:
        by_pair.setdefault((pair["source"], beyond(pair) or pair["target"]), []).append(pair)
    further = {beyond(pair) for pair in report["pairs"]}
    targets = [*names, *(title for title in BEYOND if title in further)]
    wide = len(names) <= WIDE
    cells = {(source, target): _cell(by_pair.get((source, target), ()), wide) for source in names for target in targets}
    head = targets if wide else [*(str(number % 10) for number in range(1, len(names) + 1)), *targets[len(names) :]]
    first = max(map(len, names)) + (0 if wide else 4)
    widths = [max(len(title), *(len(cells[source, name]) for source in names)) for title, name in zip(head, targets)]
    lines = [f"{'':{first}}  " + _row(head, widths, wide)]
    for number, source in enumerate(names, start=1):
        label = source if wide else f"{number:>3} {source}"
        lines.append(f"{label:{first}}  " + _row([cells[source, target] for target in targets], widths, wide))
    if not wide and set(cells.values()) & set(SIGNS.values()):
        lines.append("\n" + ", ".join(f"{sign} {state}" for state, sign in SIGNS.items()))
    return "\n".join(lines)


def _row(cells: Sequence[str], widths: Sequence[int], wide: bool) -> str:
    return ("  " if wide else " ").join(f"{cell:>{width}}" for cell, width in zip(cells, widths))


def _cell(pairs: Iterable[Mapping[str, Any]], wide: bool) -> str:
    pairs = list(pairs)
    if not pairs:
        return "-"
    state = report_state.worst(pairs)
    if not wide:
        return SIGNS.get(state, ".")
    failed = [pair for pair in pairs if not pair["ok"]]
    if len(failed) == len(pairs):
        return "DOWN"
    if failed:
        whole = {pair["family"] for pair in pairs if pair["ok"]}
        down = [f"IPV{family}" for family in sorted({pair["family"] for pair in failed} - whole)]
        return ",".join([*down, *(report_state.title(pair).upper() for pair in failed if pair["family"] in whole)])
    if state == "ok" and pairs[0]["source"] == pairs[0]["target"]:
        return "ok"  # within a node there is no network whose time it would be
    # The time of what is amiss, and otherwise the shortest: that is the network's, the rest is the pods'.
    times = [pair["rtt_ms"] for pair in pairs if pair["rtt_ms"] is not None and pair["state"] == state]
    found = [*([state] if state != "ok" else []), *([report_state.milliseconds(min(times))] if times else [])]
    return " ".join(found) or "ok"


def summary(report: Report) -> str:
    """The report in one line."""
    total = len(report["pairs"])
    passed = sum(pair["ok"] for pair in report["pairs"])
    ends = {(pair["source"], pair["target"]) for pair in report["pairs"] if not beyond(pair)}
    pairs = sum(source != target for source, target in ends)
    further = {(beyond(pair) == "dns", pair["target"]) for pair in report["pairs"] if beyond(pair)}
    names, others = (sum(is_name is wanted for is_name, _target in further) for wanted in (True, False))
    probes = sum(pair["ways"] for pair in report["pairs"])
    states = [pair["state"] for pair in report["pairs"]]
    amiss = [f"{states.count(state)} {state}" for state in ("flaky", "slow") if state in states]
    verdict = "all passed" if passed == total else f"{total - passed} FAILED"
    return (
        f"{report['backend']}: {len(report['nodes'])} nodes, {pairs} pairs, {f'{names} names, ' if names else ''}"
        f"{f'{others} addresses, ' if others else ''}{probes} probes, "
        f"{verdict}, in {report['duration_s']:.{2 if report['duration_s'] < 1 else 1}f} s"
        f"{'; ' if amiss else ''}{', '.join(amiss)}"
    )


def costs(report: Report) -> Iterator[str]:
    """What the pod network costs in throughput and latency, a line for each pair that was measured."""
    for one in report.get("throughput", ()):
        yield (
            f"{one['source']} -> {one['target']}: {one['pods_mbit_s']:.0f} Mbit/s between pods, "
            f"{one['hosts_mbit_s']:.0f} Mbit/s between the hosts: {one['ratio']:.0%}; "
            f"round trip {_milliseconds(one['pods_rtt_ms'])} and {_milliseconds(one['hosts_rtt_ms'])}"
        )


def _milliseconds(time: float | None) -> str:
    return "unanswered" if time is None else report_state.milliseconds(time)
