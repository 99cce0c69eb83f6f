# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""The connectivity report: what every pod found of every other, as data, text, JUnit and a page.

The report is the dict that ``connectivity.json`` holds::

    {"ok": bool, "backend": str, "started": str, "duration_s": float,
     "nodes": [{"name", "address", "pod_ip", "pod_cidr", "ips": [{"address", "subnet"}]}],
     "pairs": [{"source", "target", "protocol", "family", "ok", "state", "rtt_ms", "mtu", "tries", "cause",
                "source_seen", "ways", "failed_ways"}],
     "causes": [{"code", "node", "text", "fix", "pairs"}]}

``throughput`` is there where it was measured: ``[{"source", "target", "pods_mbit_s", "hosts_mbit_s", "ratio",
"pods_rtt_ms", "hosts_rtt_ms"}]``, the ratio being that of pods to hosts.

``state`` is one of :data:`state.STATES`; ``compared`` is there where it was compared with an earlier one.
Source and target are nodes; a node and itself are the pods of that node. The target of the protocols ``dns`` and
``dns-tcp`` is a name that was asked for, and that of ``vip`` and ``outside`` an address and port.

``family`` is the IP version, 4 or 6: where pods have addresses of both, each is probed, and a pair is whole if both
are. ``ips`` are the first pod's, ``pod_ip`` and ``pod_cidr`` the first of them.

Where nodes have several pods, a pair has ``ways`` from pods of the one to pods of the other. What is told of it is
told of the worst of them, and ``failed_ways`` names those that failed, as ``pod -> pod``.
"""

from __future__ import annotations

import dataclasses
import html
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import validation
from ansible_collections.binary_cluster.networking.plugins.module_utils._probe import engine
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis import (
    cause as diagnosis_cause,
    path as diagnosis,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._report import state as report_state
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import absence

Report = dict[str, Any]
# As many ways between pods of two nodes are named where some of them fail.
WAYS = 3
# As many columns with figures in them fit a terminal; beyond, a cell is one character.
WIDE = 10
SIGNS = {"slow": "s", "flaky": "~", "mtu": "M", "failed": "X"}
# Titles of the columns for what is no node: names that were asked for, addresses that were connected to.
BEYOND = ("dns", *engine.BEYOND)


def build(
    backend: str,
    every: Mapping[str, Sequence[Mapping[str, Any]]],
    addresses: Mapping[str, str],
    outcomes: Mapping[str, Iterable[Mapping[str, Any]]],
    absent: Mapping[str, absence.Absence],
    evidence: Mapping[str, Mapping[str, Any]],
    protocols: Sequence[str],
    started: str,
    duration: float,
) -> Report:
    """The report of one verification.

    ``every`` pod and ``outcomes`` are what pod_probe returned, by node; ``absent`` are nodes whose
    probe pod or probing failed, with the reason. Their pairs count as failed.
    """
    # The first pod of a node stands for it.
    pods = {node: found[0] for node, found in every.items()}
    views = diagnosis.by_family(pods)
    pairs = list(_pairs(every, outcomes))
    names = [*pods, *(name for name in absent if name not in pods)]
    probed = {(pair["source"], pair["target"], pair["family"]) for pair in pairs}
    for source, target, family in itertools.product(names, names, views):
        if source != target and (source, target, family) not in probed:
            why = str(absent.get(source) or absent.get(target) or "not probed")
            of_node = validation.version(addresses.get(target, "")) == family
            pairs += _unprobed(source, target, family, [one for one in protocols if one != "node" or of_node], why)
    causes = _explain(pairs, pods, views, absent, addresses, evidence)
    report_state.classify(pairs)
    return {
        "ok": all(pair["ok"] for pair in pairs) and not absent,
        "backend": backend,
        "nodes": [_node(name, addresses.get(name, ""), pods.get(name, {})) for name in names],
        "pairs": pairs,
        "causes": causes,
        "started": started,
        "duration_s": duration,
    }


def _node(name: str, address: str, pod: Mapping[str, Any]) -> dict[str, Any]:
    """A node with the first of its pods."""
    own = {"pod_ip": pod.get("address", ""), "pod_cidr": pod.get("subnet", ""), "ips": pod.get("ips", [])}
    return {"name": name, "address": address, **own}


def _unprobed(source: str, target: str, family: int, protocols: Iterable[str], why: str) -> list[dict[str, Any]]:
    """Probes between two nodes that were not sent, which count as failed."""
    return [
        {
            "source": source, "target": target, "protocol": protocol, "family": family, "ok": False, "rtt_ms": None,
            "mtu": None, "tries": 0, "cause": why, "source_seen": None, "ways": 1, "failed_ways": [],
        }
        for protocol in protocols
        if protocol not in (*BEYOND, *engine.WITHIN)
    ]  # fmt: skip


def _pairs(
    every: Mapping[str, Sequence[Mapping[str, Any]]], outcomes: Mapping[str, Iterable[Mapping[str, Any]]]
) -> Iterator[dict[str, Any]]:
    """What was found, a pair of nodes and protocol each."""
    node_of = {pod["name"]: node for node, pods in every.items() for pod in pods}
    address_of = {
        (pod["name"], validation.version(one["address"])): one["address"]
        for pods in every.values()
        for pod in pods
        for one in pod["ips"]
    }
    for source, found in outcomes.items():
        grouped: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
        for told in found:
            outcome = dict(told)
            target, family = node_of.get(outcome["target"]), outcome["family"]
            if target and outcome["source_seen"] not in (None, address_of.get((outcome["source"], family))):
                outcome.update(ok=False, cause=f"arrives as if from {outcome['source_seen']}")
            grouped.setdefault((target or outcome["target"], outcome["protocol"], family), []).append(outcome)
        for (target, protocol, family), ways in grouped.items():
            worst = max(ways, key=lambda one: (not one["ok"], one["tries"], one["rtt_ms"] or 0))
            failed = [f"{one['source'] or source} -> {one['target']}" for one in ways if not one["ok"]]
            pair = {key: worst[key] for key in ("ok", "rtt_ms", "mtu", "tries", "cause", "source_seen")}
            if 0 < len(failed) < len(ways):
                pair["cause"] = f"{pair['cause']} ({len(failed)} of {len(ways)} ways: {', '.join(failed[:WAYS])})"
            yield {
                "source": source, "target": target, "protocol": protocol, "family": family, **pair,
                "ways": len(ways), "failed_ways": failed if len(ways) > 1 else [],
            }  # fmt: skip


def _explain(
    pairs: Sequence[dict[str, Any]],
    pods: Mapping[str, Mapping[str, Any]],
    views: Mapping[int, Mapping[str, Mapping[str, Any]]],
    absent: Mapping[str, absence.Absence],
    addresses: Mapping[str, str],
    evidence: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Replace what a probe saw by its cause, where the evidence tells one; return the causes."""
    every = {
        family: {
            node: diagnosis_cause.End(
                node, addresses.get(node, ""), pod["name"], pod["address"], pod["subnet"], evidence.get(node, {})
            )
            for node, pod in view.items()
        }
        for family, view in views.items()
    }
    of_pods = {family: diagnosis.of_pods(pods, absent, family) for family in views}
    by_pair: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for pair in pairs:
        # What went wrong with a name, the server told.
        if not beyond(pair):
            by_pair.setdefault((pair["source"], pair["target"], pair["family"]), []).append(pair)
    found: dict[diagnosis_cause.Cause, int] = {cause: 0 for known in of_pods.values() for cause, _nodes in known}
    for pair in pairs:
        end = every.get(pair["family"], {}).get(pair["source"])
        if beyond(pair) == "outside" and not pair["ok"] and end and pair["source_seen"] == end.pod_address:
            alone = diagnosis.not_masqueraded(end, pair["target"])
            found[alone] = found.get(alone, 0) + 1
            pair["cause"] = str(alone)
    for (source, target, family), probes in by_pair.items():
        failed, ends = [probe for probe in probes if not probe["ok"]], every[family]
        if not failed:
            continue
        cause = next((one for one, nodes in of_pods[family] if nodes & {source, target}), None)
        seen = next((probe["source_seen"] for probe in failed if probe["source_seen"]), None)
        if not cause and seen:
            cause = diagnosis.rewritten(ends[source], ends[target], seen)
        by_protocol: dict[str, diagnosis_cause.Cause] = {}
        if cause:
            by_protocol = {probe["protocol"]: cause for probe in failed}
        elif evidence.get(source) and evidence.get(target):
            path = diagnosis.Path(
                ends[source],
                ends[target],
                tuple(probe["protocol"] for probe in failed),
                tuple(probe["protocol"] for probe in probes if probe["ok"]),
                next((probe["mtu"] for probe in failed if probe["mtu"]), None),
                tuple(ends.values()),
            )
            # What fails between further pods alone, the packets between the first pods of two nodes say nothing of.
            alike = {probe["protocol"] for probe in failed if len(probe["failed_ways"]) in (0, probe["ways"])}
            by_protocol = diagnosis.of_probes(path, alike)
        for one in dict.fromkeys(by_protocol.values()):
            found[one] = found.get(one, 0) + 1
        for probe in failed:
            if probe["protocol"] in by_protocol:
                probe["cause"] = str(by_protocol[probe["protocol"]])
    return [{**dataclasses.asdict(cause), "pairs": count} for cause, count in found.items()]


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


def beyond(pair: Mapping[str, Any]) -> str:
    """Which of BEYOND the target of a pair belongs to; empty where it is a node."""
    protocol = str(pair["protocol"]).partition("-")[0]
    return protocol if protocol in BEYOND else ""


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


def throughput(measured: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What pod_throughput returned, by node, with the ratio of pods to hosts."""
    return [
        {"source": source, **found, "ratio": round(found["pods_mbit_s"] / (found["hosts_mbit_s"] or 1), 3)}
        for source, found in measured.items()
    ]


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


def junit(report: Report) -> str:
    """The report as JUnit XML: a test case a pair and protocol."""
    failed = sum(not pair["ok"] for pair in report["pairs"])
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<testsuite name="connectivity" tests="{len(report["pairs"])}" failures="{failed}" '
        f'time="{report["duration_s"]}" timestamp={quoteattr(report["started"])}>',
    ]
    for pair in report["pairs"]:
        name = f"{pair['source']} -> {pair['target']} {report_state.title(pair)}"
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
