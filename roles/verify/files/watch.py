"""Check the paths to the other nodes' pods, once; a systemd timer runs this on every node.

usage: watch.py CONFIGURATION STATE

Both are JSON files: ``{"network": str, "ports": [int], "routers": [str], "peers": [{"name", "address"}]}``, and what
this program keeps. The exit code is 1 where something is wrong.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._probe import path_monitor


def run(args: list[str], *, data: str | None = None) -> tuple[int, str, str]:
    """What modules have from Ansible."""
    done = subprocess.run(args, input=data, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def load(path: str) -> dict[str, Any]:
    """A JSON file; empty where there is none."""
    try:
        with open(path, encoding="utf-8") as stream:
            return dict(json.load(stream))
    except FileNotFoundError:
        return {}


def main(configuration: str, state: str) -> int:
    """Look once, tell the journal, and keep what was learnt."""
    kept, told = path_monitor.watch(load(configuration), load(state), run)
    print(told, flush=True)
    with open(f"{state}.new", "w", encoding="utf-8") as stream:
        json.dump(kept, stream)
    os.replace(f"{state}.new", state)
    return 1 if kept["faults"] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
