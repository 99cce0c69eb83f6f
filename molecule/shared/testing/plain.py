"""A lab like the demo's, of any size, for what is measured on it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[3]


class Lab:
    """A lab of ``nodes`` and the runs on it; ``directory`` takes their reports."""

    def __init__(self, nodes: int, directory: Path) -> None:
        self.directory = directory
        self.environment = {
            **os.environ,
            "LAB_NAME": "bench",
            "LAB_SUBNET": "192.168.211",
            "LAB_NODES": str(nodes),
            "ANSIBLE_CALLBACKS_ENABLED": "binary_cluster.networking.run_report",
            "BINARY_CLUSTER_RUN_REPORT": str(directory),
        }

    def run(self, name: str, **variables: object) -> tuple[float, dict[str, Any]]:
        """Seconds of the whole process of a playbook with further variables, and its run report."""
        command = ["ansible-playbook", "-i", "inventories/lab", f"playbooks/{name}.yml"]
        command += ["--extra-vars", json.dumps({"verify_report_directory": str(self.directory), **variables})]
        began = time.monotonic()
        done = subprocess.run(command, cwd=CHECKOUT, env=self.environment, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - began
        if done.returncode != 0:
            raise SystemExit(f"{name} failed:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
        return seconds, json.loads((self.directory / "run.json").read_text())

    def connectivity(self) -> dict[str, Any]:
        """The report of the last verification."""
        return dict(json.loads((self.directory / "connectivity.json").read_text()))
