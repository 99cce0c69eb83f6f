"""The commands of the README that are a checkout's, run as a newcomer would, on a lab of their own.

Those of the installed collection are run by the scenario as_users_have_it.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import readme_commands

CHECKOUT = Path(__file__).resolve().parents[2]
LAB = {"LAB_NAME": "readme", "LAB_SUBNET": "192.168.212"}


def run(command: str, directory: Path, **environment: str) -> str:
    """Run a command in a shell and return what it said; fails where the command does."""
    unwanted = ("ANSIBLE_", "LAB_", "MAKE", "MFLAGS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=directory,
        env={**kept, **LAB, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def demo() -> object:
    """What `make demo` prints, on a lab that is gone when the tests are over."""
    try:
        yield run("make demo", CHECKOUT)
    finally:
        run("make lab-down", CHECKOUT)


def test_the_demo_ends_with_the_matrix_and_the_place_of_the_page(demo: str) -> None:
    lines = demo.splitlines()
    assert lines[-1] == "report: report/connectivity.html"
    assert re.search(r"flannel: 3 nodes, 6 pairs, \d+ probes, all passed, in (0\.\d\d|[1-9]\d*\.\d) s", lines[-2])
    assert (CHECKOUT / "report" / "connectivity.html").exists()


def test_make_commands_of_the_readme_are_targets() -> None:
    targets = re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), flags=re.MULTILINE)
    readme = readme_commands.README.read_text()
    told = re.findall(r"make ([a-z-]+)`", readme)
    told += [command.split()[1] for command in readme_commands.commands(readme) if command.startswith("make ")]
    assert {"demo", "test", "lab-down"} <= set(told) <= set(targets)
