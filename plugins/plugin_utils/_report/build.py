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

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import validation
from ansible_collections.binary_cluster.networking.plugins.module_utils._probe import engine
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis import (
    cause as diagnosis_cause,
    explanation,
    path as diagnosis_path,
    pods as diagnosis_pods,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._report import state as report_state
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import absence

Report = dict[str, Any]
# As many ways between pods of two nodes are named where some of them fail.
WAYS = 3
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
    views = diagnosis_pods.by_family(pods)
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
    of_pods = {family: diagnosis_pods.of_pods(pods, absent, family) for family in views}
    by_pair: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for pair in pairs:
        # What went wrong with a name, the server told.
        if not beyond(pair):
            by_pair.setdefault((pair["source"], pair["target"], pair["family"]), []).append(pair)
    found: dict[diagnosis_cause.Cause, int] = {cause: 0 for known in of_pods.values() for cause, _nodes in known}
    for pair in pairs:
        end = every.get(pair["family"], {}).get(pair["source"])
        if beyond(pair) == "outside" and not pair["ok"] and end and pair["source_seen"] == end.pod_address:
            alone = diagnosis_pods.not_masqueraded(end, pair["target"])
            found[alone] = found.get(alone, 0) + 1
            pair["cause"] = str(alone)
    for (source, target, family), probes in by_pair.items():
        failed, ends = [probe for probe in probes if not probe["ok"]], every[family]
        if not failed:
            continue
        cause = next((one for one, nodes in of_pods[family] if nodes & {source, target}), None)
        seen = next((probe["source_seen"] for probe in failed if probe["source_seen"]), None)
        if not cause and seen:
            cause = diagnosis_pods.rewritten(ends[source], ends[target], seen)
        by_protocol: dict[str, diagnosis_cause.Cause] = {}
        if cause:
            by_protocol = {probe["protocol"]: cause for probe in failed}
        elif evidence.get(source) and evidence.get(target):
            path = diagnosis_path.Path(
                ends[source],
                ends[target],
                tuple(probe["protocol"] for probe in failed),
                tuple(probe["protocol"] for probe in probes if probe["ok"]),
                next((probe["mtu"] for probe in failed if probe["mtu"]), None),
                tuple(ends.values()),
            )
            # What fails between further pods alone, the packets between the first pods of two nodes say nothing of.
            alike = {probe["protocol"] for probe in failed if len(probe["failed_ways"]) in (0, probe["ways"])}
            by_protocol = explanation.of_probes(path, alike)
        for one in dict.fromkeys(by_protocol.values()):
            found[one] = found.get(one, 0) + 1
        for probe in failed:
            if probe["protocol"] in by_protocol:
                probe["cause"] = str(by_protocol[probe["protocol"]])
    return [
        {"code": cause.code, "node": cause.node, "text": cause.full_text, "fix": cause.fix, "pairs": count}
        for cause, count in found.items()
    ]


def beyond(pair: Mapping[str, Any]) -> str:
    """Which of BEYOND the target of a pair belongs to; empty where it is a node."""
    protocol = str(pair["protocol"]).partition("-")[0]
    return protocol if protocol in BEYOND else ""


def throughput(measured: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What pod_throughput returned, by node, with the ratio of pods to hosts."""
    return [
        {"source": source, **found, "ratio": round(found["pods_mbit_s"] / (found["hosts_mbit_s"] or 1), 3)}
        for source, found in measured.items()
    ]
