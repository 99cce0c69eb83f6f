"""A molecule scenario as the scene of something else, such as a benchmark."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).resolve().parents[3]


def enter(name: str) -> None:
    """Take a scenario's environment, as molecule would give it to the tests; `lab` is imported after this."""
    directory = CHECKOUT / "molecule" / name
    given = yaml.safe_load((directory / "molecule.yml").read_text())["ansible"]["env"]
    for key, value in given.items():
        os.environ[key] = str(value).replace("${MOLECULE_SCENARIO_DIRECTORY}", str(directory))
    os.environ["LAB_NAME"] = f"molecule-{name}"
    os.environ["MOLECULE_SCENARIO_NAME"] = name
    os.environ["ANSIBLE_CONFIG"] = str(CHECKOUT / "ansible.cfg")


def run(*steps: str) -> None:
    """Run steps of the scenario that was entered; ends the program where one fails."""
    for step in steps:
        command = ["molecule", step, "--scenario-name", os.environ["MOLECULE_SCENARIO_NAME"]]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"molecule {step} failed:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
