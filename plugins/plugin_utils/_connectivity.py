# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""The connectivity report: what every pod found of every other, as data, text, JUnit and a page.

The report is the dict that ``connectivity.json`` holds::

    {"ok": bool, "backend": str, "started": str, "duration_s": float,
     "nodes": [{"name", "address", "pod_ip", "pod_cidr"}],
     "pairs": [{"source", "target", "protocol", "ok", "state", "rtt_ms", "mtu", "tries", "cause",
                "source_seen"}],
     "causes": [{"code", "node", "text", "fix", "pairs"}]}

``state`` is one of :data:`_condition.STATES`; ``compared`` is there where it was compared with an earlier one.
The target of the protocols ``dns`` and ``dns-tcp`` is a name that was asked for, of any other a node.
"""

from __future__ import annotations

import dataclasses
import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from ansible_collections.binary_cluster.networking.plugins.plugin_utils import (
    _condition,
    _diagnosis,
)

Report = dict[str, Any]
# As many columns with figures in them fit a terminal; beyond, a cell is one character.
WIDE = 10
SIGNS = {"slow": "s", "flaky": "~", "mtu": "M", "failed": "X"}
# Title of the column for the names that were asked for.
DNS = "dns"


def build(
    backend: str,
    pods: Mapping[str, Mapping[str, Any]],
    addresses: Mapping[str, str],
    outcomes: Mapping[str, Iterable[Mapping[str, Any]]],
    absent: Mapping[str, str],
    evidence: Mapping[str, Mapping[str, Any]],
    protocols: Sequence[str],
    started: str,
    duration: float,
) -> Report:
    """The report of one verification.

    ``pods`` and ``outcomes`` are what pod_probe returned, by node; ``absent`` are nodes whose
    probe pod or probing failed, with the reason. Their pairs count as failed.
    """
    node_of = {pod["name"]: node for node, pod in pods.items()}
    pairs = []
    for source, found in outcomes.items():
        for outcome in found:
            pair = {
                "source": source,
                "target": node_of.get(outcome["target"], outcome["target"]),
                **{key: outcome[key] for key in ("protocol", "ok", "rtt_ms", "mtu", "tries", "cause", "source_seen")},
            }
            if pair["source_seen"] not in (None, pods[source]["address"]):
                pair.update(ok=False, cause=f"arrives as if from {pair['source_seen']}")
            pairs.append(pair)
    names = [*pods, *(name for name in absent if name not in pods)]
    probed = {(pair["source"], pair["target"]) for pair in pairs}
    for source in names:
        for target in names:
            if source != target and (source, target) not in probed:
                why = absent.get(source) or absent.get(target) or "not probed"
                pairs += [
                    {
                        "source": source, "target": target, "protocol": protocol, "ok": False,
                        "rtt_ms": None, "mtu": None, "tries": 0, "cause": why, "source_seen": None,
                    }
                    for protocol in protocols
                    if protocol != "dns"
                ]  # fmt: skip
    causes = _explain(pairs, pods, absent, addresses, evidence)
    _condition.classify(pairs)
    return {
        "ok": all(pair["ok"] for pair in pairs) and not absent,
        "backend": backend,
        "nodes": [
            {
                "name": name,
                "address": addresses.get(name, ""),
                "pod_ip": pods.get(name, {}).get("address", ""),
                "pod_cidr": pods.get(name, {}).get("subnet", ""),
            }
            for name in names
        ],
        "pairs": pairs,
        "causes": causes,
        "started": started,
        "duration_s": duration,
    }


def _explain(
    pairs: Sequence[dict[str, Any]],
    pods: Mapping[str, Mapping[str, Any]],
    absent: Mapping[str, str],
    addresses: Mapping[str, str],
    evidence: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Replace what a probe saw by its cause, where the evidence tells one; return the causes."""
    ends = {
        node: _diagnosis.End(
            node, addresses.get(node, ""), pod["name"], pod["address"], pod["subnet"], evidence.get(node, {})
        )
        for node, pod in pods.items()
    }
    of_pods = _diagnosis.of_pods(pods, absent)
    by_pair: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for pair in pairs:
        # What went wrong with a name, the server told.
        if not is_name(pair):
            by_pair.setdefault((pair["source"], pair["target"]), []).append(pair)
    found: dict[_diagnosis.Cause, int] = {cause: 0 for cause, _nodes in of_pods}
    for (source, target), probes in by_pair.items():
        failed = [probe for probe in probes if not probe["ok"]]
        if not failed:
            continue
        cause = next((one for one, nodes in of_pods if nodes & {source, target}), None)
        seen = next((probe["source_seen"] for probe in failed if probe["source_seen"]), None)
        if not cause and seen:
            cause = _diagnosis.rewritten(ends[source], ends[target], seen)
        # What fails between a pod and a node alone, the packets between pods say nothing of.
        between_pods = any(probe["protocol"] in _diagnosis.PROTOCOLS for probe in failed)
        if not cause and between_pods and evidence.get(source) and evidence.get(target):
            cause = _diagnosis.diagnose(
                _diagnosis.Path(
                    ends[source],
                    ends[target],
                    tuple(probe["protocol"] for probe in failed),
                    tuple(probe["protocol"] for probe in probes if probe["ok"]),
                    next((probe["mtu"] for probe in failed if probe["mtu"]), None),
                    tuple(ends.values()),
                )
            )
        if cause:
            found[cause] = found.get(cause, 0) + 1
            for probe in failed:
                probe["cause"] = str(cause)
    return [{**dataclasses.asdict(cause), "pairs": count} for cause, count in found.items()]


def failures(report: Report) -> list[str]:
    """Failed pairs, a line each, with the protocols that failed for the same reason together."""
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for pair in report["pairs"]:
        if not pair["ok"]:
            key = (pair["source"], pair["target"], pair["cause"] or "failed")
            grouped.setdefault(key, []).append(pair["protocol"])
    return [
        f"{source} -> {target}: {', '.join(protocols)}: {cause}"
        for (source, target, cause), protocols in grouped.items()
    ]


def matrix(report: Report) -> str:
    """The matrix for a terminal: from the nodes of the rows to those of the columns, and to the DNS server."""
    names = [node["name"] for node in report["nodes"]]
    by_pair: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for pair in report["pairs"]:
        by_pair.setdefault((pair["source"], DNS if is_name(pair) else pair["target"]), []).append(pair)
    targets = [*names, *([DNS] if any(map(is_name, report["pairs"])) else [])]
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


def is_name(pair: Mapping[str, Any]) -> bool:
    """Whether the target of a pair is a name that the DNS server was asked for."""
    return str(pair["protocol"]).startswith("dns")


def _row(cells: Sequence[str], widths: Sequence[int], wide: bool) -> str:
    return ("  " if wide else " ").join(f"{cell:>{width}}" for cell, width in zip(cells, widths))


def _cell(pairs: Iterable[Mapping[str, Any]], wide: bool) -> str:
    pairs = list(pairs)
    if not pairs:
        return "-"
    state = _condition.worst(pairs)
    if not wide:
        return SIGNS.get(state, ".")
    failed = [pair["protocol"] for pair in pairs if not pair["ok"]]
    if failed:
        return "DOWN" if len(failed) == len(pairs) else ",".join(failed).upper()
    # The time of what is amiss, and otherwise the shortest: that is the network's, the rest is the pods'.
    times = [pair["rtt_ms"] for pair in pairs if pair["rtt_ms"] is not None and pair["state"] == state]
    found = [*([state] if state != "ok" else []), *([f"{min(times):.1f} ms"] if times else [])]
    return " ".join(found) or "ok"


def summary(report: Report) -> str:
    """The report in one line."""
    total = len(report["pairs"])
    passed = sum(pair["ok"] for pair in report["pairs"])
    pairs = len({(pair["source"], pair["target"]) for pair in report["pairs"] if not is_name(pair)})
    names = len({pair["target"] for pair in report["pairs"] if is_name(pair)})
    states = [pair["state"] for pair in report["pairs"]]
    amiss = [f"{states.count(state)} {state}" for state in ("flaky", "slow") if state in states]
    verdict = "all passed" if passed == total else f"{total - passed} FAILED"
    return (
        f"{report['backend']}: {len(report['nodes'])} nodes, {pairs} pairs, {f'{names} names, ' if names else ''}"
        f"{total} probes, "
        f"{verdict}, in {report['duration_s']:.1f} s{'; ' if amiss else ''}{', '.join(amiss)}"
    )


def junit(report: Report) -> str:
    """The report as JUnit XML: a test case a pair and protocol."""
    failed = sum(not pair["ok"] for pair in report["pairs"])
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<testsuite name="connectivity" tests="{len(report["pairs"])}" failures="{failed}" '
        f'time="{report["duration_s"]}" timestamp={quoteattr(report["started"])}>',
    ]
    for pair in report["pairs"]:
        name = f"{pair['source']} -> {pair['target']} {pair['protocol']}"
        seconds = (pair["rtt_ms"] or 0) / 1000
        case = f'<testcase classname={quoteattr(report["backend"])} name={quoteattr(name)} time="{seconds:.6f}"'
        if pair["ok"]:
            lines.append(f"  {case}/>")
        else:
            lines.append(f"  {case}><failure message={quoteattr(pair['cause'] or 'failed')}/></testcase>")
    return "\n".join([*lines, "</testsuite>", ""])


def page(template: str, report: Report) -> str:
    """The page: a template with the report where it says ``{{ report }}``, ``{{ summary }}``, ``{{ matrix }}``."""
    # Inside a script element only "</" and "<!--" have a meaning; both begin with "<".
    parts = {
        "report": json.dumps(report).replace("<", "\\u003c"),
        "summary": html.escape(summary(report)),
        "matrix": html.escape(matrix(report)),
    }
    # In one pass: what is put in is not looked at for more.
    return re.sub(r"{{ (report|summary|matrix) }}", lambda found: parts[found.group(1)], template)
