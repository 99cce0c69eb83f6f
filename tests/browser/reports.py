"""Reports to look at: as verification makes them, of networks that would be hard to come by."""

from __future__ import annotations

import dataclasses
import json
import random
import re
from collections.abc import Callable
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis import cause as diagnosis_cause
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._report import state as report_state

PROTOCOLS = ("icmp", "tcp", "udp", "http", "mtu")
WITHIN = ("own", "hairpin")
# Whatever a node sends back must stay text.
HOSTILE = "</script><script>document.title = 'taken'</script><!-- <img src=//example.invalid/x> {{ summary }}"
BLOCKED = diagnosis_cause.Cause(
    code="tunnel-blocked",
    node="node2",
    text="the rule 'udp dport 8472 drop' in chain input of table inet filter drops the tunnel's packets",
    fix="nft delete rule inet filter input handle 8",
)


def whole(size: int, families: tuple[int, ...] = (4,)) -> dict[str, Any]:
    """A network without faults, of one IP version or both."""
    chance = random.Random(size)
    names = [f"node{number}" for number in range(1, size + 1)]
    pairs: list[dict[str, Any]] = [
        {
            "source": source,
            "target": target,
            "protocol": protocol,
            "family": family,
            "ok": True,
            "rtt_ms": None if protocol == "mtu" else round(chance.lognormvariate(-0.7, 0.5), 3),
            "mtu": 1450 if protocol == "mtu" else None,
            "tries": 1,
            "cause": None,
            "source_seen": None,
            "ways": 1,
            "failed_ways": [],
        }
        for source in names
        for target in names
        for family in families
        for protocol in (PROTOCOLS if source != target else WITHIN)
    ]
    return finished(
        {
            "backend": "flannel",
            "nodes": [
                {
                    "name": name,
                    "address": f"192.0.2.{10 + number}",
                    "pod_ip": f"10.244.{number}.2",
                    "pod_cidr": f"10.244.{number}.0/24",
                    "ips": [
                        {"address": prefix.format(number, 2), "subnet": f"{prefix.format(number, zero)}/{length}"}
                        for family, prefix, zero, length in (
                            (4, "10.244.{}.{}", "0", 24),
                            (6, "fd00:10:244:{}::{}", "", 64),
                        )
                        if family in families
                    ],
                }
                for number, name in enumerate(names, start=1)
            ],
            "pairs": pairs,
            "causes": [],
            "started": "2026-03-01T12:00:00+00:00",
            "duration_s": 1.25,
        }
    )


def named(size: int) -> dict[str, Any]:
    """A network whose pods also went beyond the pods: to names, one of them in vain, and to an address."""
    report = whole(size)
    names = ("kubernetes.default.svc.cluster.local", "no-such-name.cluster.local")
    asked = [(name, protocol) for name in names for protocol in ("dns", "dns-tcp")]
    report["pairs"] += [
        {
            "source": node["name"],
            "target": target,
            "protocol": protocol,
            "family": 4,
            "ok": True,
            "rtt_ms": 0.5,
            "mtu": None,
            "tries": 1,
            "cause": None,
            "source_seen": node["address"] if protocol == "outside" else None,
            "ways": 1,
            "failed_ways": [],
        }
        for node in report["nodes"]
        for target, protocol in [*asked, ("198.51.100.7:443", "outside")]
    ]
    report["throughput"] = [
        {
            "source": "node1",
            "target": "node2",
            "pods_mbit_s": 600.0,
            "hosts_mbit_s": 800.0,
            "ratio": 0.75,
            "pods_rtt_ms": 0.251,
            "hosts_rtt_ms": None,
        }
    ]
    change(report, "node2", names[0], ("dns",), ok=False, rtt_ms=None, tries=3, cause="no answer from 10.0.0.2")
    return finished(report)


def broken(size: int) -> dict[str, Any]:
    """The same with a fault of every kind, compared with a time when there were none."""
    report = whole(size)
    change(report, "node1", "node2", PROTOCOLS, ok=False, rtt_ms=None, mtu=None, tries=3, cause=str(BLOCKED))
    change(report, "node1", "node3", ("mtu",), ok=False, mtu=1400, cause="packets over 1400 bytes do not arrive")
    change(report, "node2", "node3", ("udp",), tries=2)
    change(report, "node3", "node1", ("tcp", "http"), rtt_ms=180.0)
    change(report, "node2", "node2", ("own",), ok=False, rtt_ms=None, tries=3, cause="no answer")
    change(report, "node3", "node2", ("http",), ok=False, rtt_ms=None, tries=3, cause=HOSTILE)
    # The same may be wrong on another node, and is another cause.
    elsewhere = dataclasses.replace(BLOCKED, node="node1", fix="true")
    report["causes"] = [{**dataclasses.asdict(cause), "pairs": 1} for cause in (elsewhere, BLOCKED)]
    finished(report)
    report["compared"] = report_state.compare(whole(size), report)
    return report


def halved(size: int) -> dict[str, Any]:
    """A network of both IP versions, where IPv6 is down from one node to another, and lacks one thing elsewhere."""
    report = whole(size, families=(4, 6))
    change(report, "node1", "node2", PROTOCOLS, family=6, ok=False, rtt_ms=None, mtu=None, cause="no answer")
    change(report, "node2", "node1", ("udp",), family=6, ok=False, rtt_ms=None, cause="no answer")
    return finished(report)


def change(
    report: dict[str, Any], source: str, target: str, protocols: tuple[str, ...], family: int = 4, **changed: Any
) -> None:
    """Change what some probes of a pair found."""
    for probe in report["pairs"]:
        fitting = probe["protocol"] in protocols and probe["family"] == family
        if fitting and (probe["source"], probe["target"]) == (source, target):
            probe.update(changed)


def finished(report: dict[str, Any]) -> dict[str, Any]:
    """The report with what follows from its probes."""
    report_state.classify(report["pairs"])
    report["ok"] = all(probe["ok"] for probe in report["pairs"])
    return report


# Names as hosts have them: of one domain, of several, and addresses.
NAMES: dict[str, Callable[[int], str]] = {
    "domain": lambda number: f"worker-{number}.cluster-a.example.internal",
    "domains": lambda number: f"worker-{number}.cluster-{'abc'[number % 3]}.eu-central.example.{'org' * (number % 2)}x",
    "ipv4": lambda number: f"192.168.{100 + number}.{200 + number}",
    "ipv6": lambda number: f"2001:db8:1234:5678:9abc:def0:1234:{0xAB00 + number:x}",
    "label": lambda number: f"node{number:02}" + "x" * 57,
}


def renamed(report: dict[str, Any], kind: str) -> dict[str, Any]:
    """A report whose nodes have other names, wherever it names them."""
    text = re.sub(r"\bnode(\d+)\b", lambda found: NAMES[kind](int(found[1])), json.dumps(report))
    return dict(json.loads(text))
