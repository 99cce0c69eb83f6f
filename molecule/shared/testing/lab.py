"""The lab of the scenario that is being tested, for its tests."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[3]
INVENTORY = Path(os.environ.get("LAB_INVENTORY", CHECKOUT / "inventories" / "lab"))
SCENARIO = os.environ["MOLECULE_SCENARIO_NAME"]
# What the ad hoc command says of each host before the result.
ANSWER = re.compile(r"^(?P<host>\S+) \| (?P<outcome>\S+) => ", re.MULTILINE)
REPORTS = CHECKOUT / ".cache" / "molecule" / SCENARIO


@lru_cache(maxsize=1)
def inventory() -> dict[str, Any]:
    """The inventory as Ansible sees it."""
    done = subprocess.run(
        ["ansible-inventory", "-i", str(INVENTORY), "--list"], capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


def names(group: str = "lab") -> list[str]:
    """Names of the hosts of a group and of the groups in it."""
    told = inventory()[group]
    return list(
        dict.fromkeys([*told.get("hosts", ()), *(host for one in told.get("children", ()) for host in names(one))])
    )


def variable(host: str, name: str) -> str:
    """A variable of a host that needs no templating."""
    return str(inventory()["_meta"]["hostvars"][host][name])


def address(host: str) -> str:
    """Address of a host on the lab's network."""
    return variable(host, "ansible_host")


def etcd_endpoints() -> list[str]:
    """Client URLs of etcd, at the port that its members were given."""
    members = names("etcd")
    port = inside(members[0], "sed -n 's/^ETCDCTL_ENDPOINTS=.*://p' /etc/etcd/etcdctl.env").strip()
    return [f"https://{address(member)}:{port}" for member in members]


def directory() -> Path:
    """The lab's directory on the controller."""
    return Path(variable(names()[0], "lab_directory"))


def kept(name: str) -> dict[str, Any]:
    """A JSON file that a playbook kept in the lab's directory."""
    return dict(json.loads((directory() / f"{name}.json").read_text()))


def runs(playbook: str = "converge.yml", check_mode: bool = False) -> list[dict[str, Any]]:
    """Reports of the runs of a playbook in this scenario so far, the oldest first."""
    reports = [json.loads(path.read_text()) for path in sorted(REPORTS.glob("run-*.json"))]
    return [report for report in reports if report["check_mode"] is check_mode and report["playbook"] == playbook]


def changes(report: dict[str, Any]) -> set[tuple[str, str, str]]:
    """What a run changed, or announced: host, role and task."""
    return {(task["host"], task["role"], task["task"]) for task in report["tasks"] if task["outcome"] == "changed"}


def connectivity() -> dict[str, Any]:
    """The newest connectivity report."""
    return dict(json.loads((REPORTS / "connectivity.json").read_text()))


def playbook(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a playbook of the collection on the lab, as a user does."""
    return run(CHECKOUT / "playbooks" / f"{name}.yml", *arguments)


def container(host: str) -> str:
    """Name of the container that a host is."""
    return f"{variable(host, 'lab_name')}-{host}"


def machines(group: str = "lab") -> list[str]:
    """Hosts of a group as testinfra reaches them without the way over Ansible, which takes it several times as long."""
    return [f"docker://{container(host)}" for host in names(group)]


def reported(path: Path, directory: Path, *arguments: str) -> dict[str, Any]:
    """Run a playbook and return its run report, which is kept apart from the scenario's own."""
    callback = {
        "ANSIBLE_CALLBACKS_ENABLED": "binary_cluster.networking.run_report",
        "BINARY_CLUSTER_RUN_REPORT": str(directory),
    }
    done = run(path, *arguments, environment=callback)
    assert done.returncode == 0, done.stdout
    return dict(json.loads((directory / "run.json").read_text()))


def run(path: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a playbook on the lab."""
    report = f"verify_report_directory={REPORTS}"
    return subprocess.run(
        ["ansible-playbook", "-i", str(INVENTORY), str(path), "--extra-vars", report, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**_quiet(), **(environment or {})},
    )


def module(host: str, module_name: str, /, check_mode: bool = False, **arguments: Any) -> dict[str, Any]:
    """Call a module of the collection ad hoc; its result, failed or not."""
    return modules([host], module_name, check_mode, **arguments)[host]


def modules(
    hosts: Iterable[str], module_name: str, /, check_mode: bool = False, **arguments: Any
) -> dict[str, dict[str, Any]]:
    """Call a module on several hosts at once; its results by host. Arguments are templated for each."""
    full = f"binary_cluster.networking.{module_name}"
    mode = ["--check"] if check_mode else []
    done = subprocess.run(
        [
            "ansible",
            "-i",
            str(INVENTORY),
            ":".join(hosts),
            "-m",
            full,
            *(["-a", json.dumps(arguments)] if arguments else []),
            *mode,
        ],
        capture_output=True,
        text=True,
        check=False,
        env=_quiet(),
    )
    found = {}
    for answer in ANSWER.finditer(done.stdout):
        result, _end = json.JSONDecoder().raw_decode(done.stdout, answer.end())
        found[answer["host"]] = {**result, "failed": answer["outcome"] == "FAILED!"}
    assert found, done.stdout + done.stderr
    return found


def shell(host: str, command: str) -> str:
    """Output of a shell command on a host by way of Ansible; fails where the command does."""
    done = subprocess.run(
        ["ansible", "-i", str(INVENTORY), host, "-m", "ansible.builtin.shell", "-a", command],
        capture_output=True,
        text=True,
        check=False,
        env=_quiet(),
    )
    head, _mark, out = done.stdout.partition(">>\n")
    assert done.returncode == 0 and "rc=0" in head, done.stdout + done.stderr
    return out


def inside(host: str, command: str, standard_input: str = "") -> str:
    """Output of a shell command on a host, without the way over Ansible; fails where the command does."""
    done = subprocess.run(
        ["docker", "exec", "--interactive", container(host), "sh", "-c", command],
        input=standard_input,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{host}: {command}: {done.stdout}{done.stderr}"
    return done.stdout


def _quiet() -> dict[str, str]:
    """The environment without the run report, which is for the scenario's own steps, and without colours."""
    unwanted = ("ANSIBLE_CALLBACKS_ENABLED", "ANSIBLE_FORCE_COLOR", "PY_COLORS")
    return {name: value for name, value in os.environ.items() if name not in unwanted}
