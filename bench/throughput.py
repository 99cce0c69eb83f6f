"""Measure what arrives from pod to pod with each network backend, beside what arrives between the hosts.

usage: throughput.py [--seconds 3] [--repeat 3] [--json FILE]

One lab of three nodes is switched from backend to backend, as a user does, and measured by verify_performance, that
is by the distribution's iperf3, on the same three pairs of nodes. Prints the median in Mbit/s of the pods and of
their hosts, and of the ratio, which alone is to be compared: every container shares this machine's processors.

What the firewall of the ports between nodes costs is measured in turns, with it and without it, and told as what of
the pods' throughput is left with it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "molecule" / "shared"))

from testing.plain import Lab

BACKENDS: dict[str, dict[str, str]] = {
    "flannel vxlan": {"cluster_network": "flannel", "flannel_backend": "vxlan"},
    "flannel host-gw": {"cluster_network": "flannel", "flannel_backend": "host-gw"},
    "calico vxlan": {"cluster_network": "calico", "calico_encapsulation": "vxlan"},
    "calico none": {"cluster_network": "calico", "calico_encapsulation": "none"},
    "vxlan_mesh": {"cluster_network": "vxlan_mesh"},
    "host_routes": {"cluster_network": "host_routes"},
}
FIGURES = ("pods_mbit_s", "hosts_mbit_s", "ratio")
# A tunnel, whose packets are looked at twice, and plain routes.
GUARDED = ("vxlan_mesh", "host_routes")


def measure(lab: Lab, variables: dict[str, str], seconds: int, repeat: int) -> dict[str, float]:
    """Medians over all pairs and repetitions with one backend."""
    lab.run("site", cluster_network_switch=True, **variables)
    told: list[dict[str, Any]] = []
    for _time in range(repeat):
        lab.run("verify", **variables, verify_performance=True, verify_performance_seconds=seconds)
        told += lab.connectivity()["throughput"]
    return {figure: round(statistics.median(one[figure] for one in told), 2) for figure in FIGURES}


def left(lab: Lab, variables: dict[str, str], seconds: int, repeat: int) -> float:
    """Pods' throughput with the firewall, as a share of that without it: the median of turns."""
    shares: list[float] = []
    for _time in range(repeat):
        medians: list[float] = []
        for enabled in (False, True):
            lab.run("site", **variables, cluster_firewall_enabled=enabled)
            lab.run("verify", **variables, verify_performance=True, verify_performance_seconds=seconds)
            medians.append(statistics.median(one["pods_mbit_s"] for one in lab.connectivity()["throughput"]))
        shares.append(medians[1] / medians[0])
    return round(statistics.median(shares), 3)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    print(f"{'backend':17} pods Mbit/s  hosts Mbit/s  ratio", flush=True)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as directory:
        lab = Lab(3, Path(directory))
        lab.run("lab_up")
        try:
            for name, variables in BACKENDS.items():
                found = figures[name] = measure(lab, variables, arguments.seconds, arguments.repeat)
                print("{:17} {:11.0f}  {:12.0f}  {:5.2f}".format(name, *(found[f] for f in FIGURES)), flush=True)
                if name in GUARDED:
                    found["with_firewall"] = left(lab, variables, arguments.seconds, arguments.repeat)
                    print(f"{'':17} left with the firewall: {found['with_firewall']:.3f}", flush=True)
        finally:
            lab.run("lab_down")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
