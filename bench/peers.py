"""How long a thousand peers take: the module vxlan, beside what the kernel and iproute2 take for the same.

usage, as root: PYTHONPATH=.ansible/collections python bench/peers.py [--repeat 7] [--json FILE]

Times are of whole processes, in seconds: the median of all runs and, in brackets, the quickest. What is
left of the module's time after that of a call with nothing to do is its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import Host, batch, underlay
from ansible_collections.binary_cluster.networking.tests.kernel.vxlan_cases import many_peers, vtep_mac

PEERS = 1000
NUMBERS = range(1, PEERS + 1)


def write(host: Host) -> None:
    """Make the entries of all peers by iproute2 alone."""
    overlay = {number: f"10.{number >> 8}.{number & 255}.0" for number in NUMBERS}
    batch(host, "bridge", [f"fdb add {vtep_mac(n)} dev vx0 dst 198.18.{n >> 8}.{n & 255}" for n in NUMBERS])
    neighbours = [f"neighbour add {overlay[n]} lladdr {vtep_mac(n)} dev vx0 nud permanent" for n in NUMBERS]
    batch(host, "ip", neighbours + [f"route add {overlay[n]}/24 via {overlay[n]} dev vx0 onlink" for n in NUMBERS])


def dump(host: Host) -> None:
    """Let iproute2 alone tell the entries of all peers."""
    for line in ("bridge -json fdb show dev vx0", "ip -json neighbour show dev vx0", "ip -json route show dev vx0"):
        host.exec(*line.split())


def module(host: Host, underlay: int | None) -> None:
    """Run the module vxlan, with peers where an underlay is given."""
    device: dict[str, Any] = {"name": "vx0", "vni": 7, "local": host.address, "learning": False}
    more = {"peers": many_peers(underlay, PEERS)} if underlay else {}
    host.run_module("vxlan", {"devices": [{**device, **more}]})


def measured(host: Host) -> dict[str, float]:
    """Seconds of each step, in one run."""
    steps: list[tuple[str, Callable[[], object]]] = [
        ("module: nothing to do for one device", lambda: module(host, None)),
        ("iproute2: writes all", lambda: write(host)),
        ("iproute2: tells all", lambda: dump(host)),
        (
            "module: removes the device",
            lambda: host.run_module("vxlan", {"state": "absent", "devices": [{"name": "vx0"}]}),
        ),
        ("module: writes all", lambda: module(host, 18)),
        ("module: finds nothing to do", lambda: module(host, 18)),
        ("module: moves all", lambda: module(host, 19)),
    ]
    host.ip("link delete vx0", check=False)
    module(host, None)
    took = {}
    for name, step in steps:
        began = time.monotonic()
        step()
        took[name] = time.monotonic() - began
    return took


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, underlay(Path(scratch)) as network:
        (host,) = network.add(1)
        results = [measured(host) for _number in range(arguments.repeat)]
    for name in results[0]:
        times = [result[name] for result in results]
        print(f"{name:38} {statistics.median(times):.2f} ({min(times):.2f})")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
