"""Measure names asked from a pod: the role's CoreDNS beside the same binary with a Corefile made by hand.

usage: dns.py [--repeat 3] [--json FILE]

The hosts are those of the molecule scenario coredns. dnsperf, of the distribution, runs in a pod of cp-1 and asks
the server of cp-1 for the API's service. Prints queries per second as fast as answers come, and the latency that
99 of 100 answers keep to at 2000 queries per second, in ms; --json also writes every figure.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT / "molecule" / "shared"))

from testing import scenario

scenario.enter("coredns")

from testing import lab

SECONDS, CLIENTS, STEADY = 8, 8, 2000
NAME = "kubernetes.default.svc.cluster.local"
SERVERS = {"role coredns": ("10.0.0.2", 53), "by hand": ("10.0.0.2", 1053)}
# What one would write for the same answer, without what the role adds for operation.
COREFILE = """.:1053 {
    bind 10.0.0.2
    errors
    cache 30
    hosts {
        10.0.0.1 kubernetes.default.svc.cluster.local
    }
}
"""


def prepare() -> None:
    """A pod that asks, and the server made by hand."""
    lab.shell("cp-1", "apt-get update -qq && apt-get install -y -qq --no-install-recommends dnsperf")
    lab.shell("cp-1", f"echo '{NAME} A' >/root/queries; printf '%s' '{COREFILE}' >/root/Corefile")
    lab.shell("cp-1", "systemd-run --quiet --unit=by-hand coredns -conf /root/Corefile; sleep 2")
    attached = lab.module("cp-1", "cni_attachment", netns="bench")
    if attached["failed"]:
        raise SystemExit(f"the pod has no network: {attached['msg']}")


def dnsperf(server: str, port: int, options: str) -> str:
    """What dnsperf says, asking from the pod."""
    command = f"dnsperf -s {server} -p {port} -d /root/queries -l {SECONDS} -c {CLIENTS} {options}"
    return str(lab.shell("cp-1", f"ip netns exec bench {command}"))


def measure(server: str, port: int) -> dict[str, float]:
    """Queries per second at most, and the latency of 99 of 100 at a steady rate; no answer may be lost."""
    fast = dnsperf(server, port, "")
    lost = re.search(r"Queries lost:\s+(\d+)", fast)
    rate = re.search(r"Queries per second:\s+([\d.]+)", fast)
    if not (lost and rate):
        raise SystemExit(f"dnsperf said:\n{fast}")
    # It tells the latency of every answer, and no more than their mean of all.
    steady = dnsperf(server, port, f"-Q {STEADY} -v | grep '^> NOERROR ' | awk '{{print $NF}}'")
    took = sorted(float(line) for line in steady.split())
    return {
        "queries_per_second": float(rate.group(1)),
        "lost": int(lost.group(1)),
        "p99_ms": round(took[len(took) * 99 // 100] * 1000, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    scenario.run("destroy", "create", "prepare", "converge")
    try:
        prepare()
        figures: dict[str, list[dict[str, float]]] = {name: [] for name in SERVERS}
        for _time in range(arguments.repeat):
            for name, (server, port) in SERVERS.items():
                figures[name].append(measure(server, port))
    finally:
        scenario.run("destroy")
    print(f"{'':14} {'queries/s':>10} {'p99, ms':>8} {'lost':>5}")
    for name, found in figures.items():
        rate, late = (statistics.median(one[key] for one in found) for key in ("queries_per_second", "p99_ms"))
        print(f"{name:14} {rate:10.0f} {late:8.2f} {sum(one['lost'] for one in found):5.0f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
