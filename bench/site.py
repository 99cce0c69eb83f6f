"""Time the whole site and its verification on labs of several sizes.

usage: site.py [--nodes 3 7 10 20 30] [--json FILE]

For each size a lab is brought up, deployed, deployed again, verified, and removed. The binaries are in the
controller's cache by then. Prints a table; --json also writes the figures, in seconds and tasks per node.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "molecule" / "shared"))

from testing.plain import Lab

COLUMNS = ("nodes", "first", "second", "verify", "probing", "pairs", "probes", "tasks", "skipped", "changed again")


def measure(nodes: int, directory: Path) -> dict[str, float]:
    """Figures of one size."""
    lab = Lab(nodes, directory)
    try:
        lab.run("lab_up")
        first, _report = lab.run("site")
        second, report = lab.run("site")
        verify, _report = lab.run("verify")
        connectivity = lab.connectivity()
    finally:
        lab.run("lab_down")
    itself = {(node["name"], node["name"]) for node in connectivity["nodes"]}
    hosts = [counts for name, counts in report["hosts"].items() if name != "localhost"]
    return {
        "nodes": nodes,
        "first": round(first, 1),
        "second": round(second, 1),
        "verify": round(verify, 1),
        "probing": round(connectivity["duration_s"], 2),
        "pairs": len({(pair["source"], pair["target"]) for pair in connectivity["pairs"]} - itself),
        "probes": len(connectivity["pairs"]),
        # Of the node with the most: one node also does what is done once.
        "tasks": max(host["ok"] + host["changed"] for host in hosts),
        "skipped": max(host["skipped"] for host in hosts),
        "changed again": sum(host["changed"] for host in hosts),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, nargs="+", default=[3, 7, 10, 20, 30])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    print("seconds:  " + "  ".join(COLUMNS), flush=True)
    figures = []
    for nodes in arguments.nodes:
        with tempfile.TemporaryDirectory() as directory:
            figures.append(measure(nodes, Path(directory)))
        print("          " + "  ".join(f"{figures[-1][name]:>{len(name)}}" for name in COLUMNS), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
