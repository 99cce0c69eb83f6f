"""Examples as they are printed, and playbooks of them."""

from __future__ import annotations

import ast
import copy
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
PREFIX = "binary_cluster.networking."
Task = dict[str, Any]
# How an example is run, in this order; what it registers is that of the run itself.
TIMES = ("check", "run", "again")


def examples(plugin: Path) -> list[Task]:
    """Tasks of a plugin's EXAMPLES."""
    for node in ast.parse(plugin.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "EXAMPLES":
            return list(yaml.safe_load(ast.literal_eval(node.value)))
    raise AssertionError(f"{plugin.name} has no examples")


def of_modules() -> dict[str, Task]:
    """Every example of a module, by its place: the module's name, a colon, and its number."""
    modules = sorted((CHECKOUT / "plugins" / "modules").glob("[a-z]*.py"))
    return {f"{path.stem}:{number}": task for path in modules for number, task in enumerate(examples(path), 1)}


def of_roles() -> dict[str, list[Task]]:
    """The plays that are printed as the example of each role."""
    specs = sorted(CHECKOUT.glob("roles/*/meta/argument_specs.yml"))
    return {
        path.parts[-3]: yaml.safe_load(yaml.safe_load(path.read_text())["argument_specs"]["main"]["examples"])
        for path in specs
    }


def three_times(task: Task) -> list[Task]:
    """An example in check mode, as it is printed, and once more."""
    others = {key: value for key, value in task.items() if key != "register"}
    # They stay apart where the example has anchors.
    check, again = copy.deepcopy(others), copy.deepcopy(others)
    return [{**check, "check_mode": True}, task, again]


@dataclass(frozen=True)
class Outcome:
    """What became of a task."""

    name: str
    changed: bool
    skipped: bool
    failed: bool
    message: str


def play(
    directory: Path, inventory: Mapping[str, Any], plays: Iterable[Mapping[str, Any]], *words: str
) -> list[Outcome]:
    """Outcomes of the tasks of some plays, in their order, of the first host that each ran for."""
    (directory / "inventory").mkdir(exist_ok=True)
    (directory / "inventory" / "hosts.yml").write_text(yaml.safe_dump(dict(inventory)))
    (directory / "play.yml").write_text(yaml.safe_dump(list(plays), sort_keys=False))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    done = subprocess.run(
        ["ansible-playbook", "-i", "inventory", *words, "play.yml"],
        cwd=directory,
        env={
            **kept,
            "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".ansible" / "collections"),
            "ANSIBLE_HOME": str(directory / ".ansible"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "ANSIBLE_INJECT_FACT_VARS": "false",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "{" in done.stdout, done.stdout + done.stderr
    report = json.loads(done.stdout[done.stdout.index("{") :])
    outcomes = [
        _outcome(task["task"]["name"], next(iter(task["hosts"].values())))
        for one in report["plays"]
        for task in one["tasks"]
        if task["hosts"]
    ]
    assert done.returncode == 0 or any(one.failed for one in outcomes), done.stdout + done.stderr
    return outcomes


def _outcome(name: str, result: Mapping[str, Any]) -> Outcome:
    return Outcome(
        name,
        changed=bool(result.get("changed")),
        skipped=bool(result.get("skipped")),
        failed=bool(result.get("failed") or result.get("unreachable")),
        message=str(result.get("msg", "")),
    )
