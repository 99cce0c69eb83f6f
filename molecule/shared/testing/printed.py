"""Examples as they are printed, and playbooks of them."""

from __future__ import annotations

import ast
import copy
import json
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[3]
PREFIX = "binary_cluster.networking."
Task = dict[str, Any]
# How an example is run, in this order: in check mode, as it is printed, and once more.
TIMES: tuple[tuple[str, ...], ...] = (("--check",), (), ())


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


def in_container(name: str, address: str) -> dict[str, Any]:
    """Variables of a host that is a container, and that others reach at an address."""
    return {
        "ansible_connection": "community.docker.docker",
        "ansible_docker_host": name,
        "ansible_host": address,
        "ansible_pipelining": True,
        "ansible_python_interpreter": "/usr/bin/python3",
    }


def of_role(directory: Path, inventory: Mapping[str, Any], role: str) -> list[set[tuple[str, str]]]:
    """Hosts and tasks that a role's example changes each time."""
    plays = of_roles()[role]
    times = [succeeded(play(directory, inventory, plays, *words)) for words in TIMES]
    return [{(one.host, one.name) for one in outcomes if one.changed} for outcomes in times]


def of_module(
    directory: Path, inventory: Mapping[str, Any], hosts: str, examples: Sequence[str]
) -> dict[str, tuple[bool, ...]]:
    """Whether any of the hosts changes each time that examples of modules run, which are named by their places."""
    tasks = [task for example in examples for task in _three_times(of_modules()[example])]
    outcomes = succeeded(play(directory, inventory, [of_tasks(hosts, tasks)]))
    ran = list(dict.fromkeys(one.name for one in outcomes))
    assert len({one.task for one in outcomes}) == len(tasks), f"the play has other tasks than the examples: {ran}"
    changed = [any(one.changed for one in outcomes if one.task == number) for number in range(len(tasks))]
    return {name: tuple(changed[at * len(TIMES) : (at + 1) * len(TIMES)]) for at, name in enumerate(examples)}


def of_tasks(hosts: str, tasks: list[Task]) -> dict[str, Any]:
    """A play."""
    return {"hosts": hosts, "gather_facts": False, "tasks": tasks}


def uninstall(directory: Path, inventory: Mapping[str, Any], hosts: str, role: str) -> None:
    """Take away what a role has deployed."""
    include = {"ansible.builtin.include_role": {"name": f"{PREFIX}{role}", "tasks_from": "uninstall.yml"}}
    succeeded(play(directory, inventory, [of_tasks(hosts, [{"name": "Uninstall", **include}])]))


def succeeded(outcomes: list[Outcome]) -> list[Outcome]:
    """The outcomes, none of which is a failure."""
    failed = [f"{one.host}: {one.name}: {one.message}" for one in outcomes if one.failed]
    assert not failed, "\n".join(failed)
    return outcomes


def _three_times(task: Task) -> list[Task]:
    """An example each time. What it registers is the result of the run itself."""
    others = {key: value for key, value in task.items() if key != "register"}
    # They stay apart where the example has anchors.
    check, again = copy.deepcopy(others), copy.deepcopy(others)
    return [{**check, "check_mode": True}, task, again]


@dataclass(frozen=True)
class Outcome:
    """What became of a task on a host."""

    # Its number in the run.
    task: int
    host: str
    name: str
    changed: bool
    skipped: bool
    failed: bool
    message: str


def play(
    directory: Path, inventory: Mapping[str, Any], plays: Iterable[Mapping[str, Any]], *words: str
) -> list[Outcome]:
    """Outcomes of the tasks of some plays, in their order, each of all hosts that it ran for."""
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
    tasks = [task for one in report["plays"] for task in one["tasks"] if task["hosts"]]
    outcomes = [
        _outcome(number, host, task["task"]["name"], result)
        for number, task in enumerate(tasks)
        for host, result in task["hosts"].items()
    ]
    assert done.returncode == 0 or any(one.failed for one in outcomes), done.stdout + done.stderr
    return outcomes


def _outcome(task: int, host: str, name: str, result: Mapping[str, Any]) -> Outcome:
    return Outcome(
        task,
        host,
        name,
        changed=bool(result.get("changed")),
        skipped=bool(result.get("skipped")),
        failed=bool(result.get("failed") or result.get("unreachable")),
        message=str(result.get("msg", "")),
    )
