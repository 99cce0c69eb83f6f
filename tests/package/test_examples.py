"""The examples of roles and modules, and the example inventory, as they are printed."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

CHECKOUT = Path(__file__).resolve().parents[2]
COLLECTIONS = CHECKOUT / ".ansible" / "collections"
PREFIX = "binary_cluster.networking."
NAMESPACE = "ansible_collections.binary_cluster.networking.plugins"
SPECS = {
    path.parts[-3]: yaml.safe_load(path.read_text())["argument_specs"]["main"]
    for path in sorted(CHECKOUT.glob("roles/*/meta/argument_specs.yml"))
}
# Hosts that nobody connects to, in all groups, without a variable but their addresses.
GROUPS = ("nodes", "etcd", "coredns", "api_load_balancer", "kube_control_plane")
HOSTS = {"cp-1": "192.0.2.11", "worker-2.example.com": "192.0.2.12", "192.0.2.13": "192.0.2.13"}


def run(directory: Path, *command: str, **environment: str) -> str:
    """What a command of Ansible says, of a user who has the collection and no settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    paths = {"ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_HOME": str(directory / ".ansible")}
    done = subprocess.run(
        command,
        cwd=directory,
        env={**kept, **paths, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an inventory, and a playbook of each role's example."""
    directory = tmp_path_factory.mktemp("project")
    (directory / "inventory").mkdir()
    members = {name: {"ansible_host": address} for name, address in HOSTS.items()}
    groups = {group: {"hosts": members} for group in GROUPS}
    (directory / "inventory" / "hosts.yml").write_text(yaml.safe_dump(groups))
    for role, spec in SPECS.items():
        (directory / f"{role}.yml").write_text(spec["examples"])
    return directory


def validated(project: Path, roles: list[str]) -> str:
    """Have Ansible validate what examples set, which it does under the tag always, and nothing else."""
    playbooks = [f"{role}.yml" for role in roles]
    return run(project, "ansible-playbook", "-i", "inventory", "--tags", "no_such_tag", *playbooks)


def test_the_variables_that_examples_of_roles_set_are_enough_and_valid(project: Path) -> None:
    # The tasks of preflight have the tag always themselves, and would connect.
    roles = [role for role in SPECS if role != "preflight"]
    said = validated(project, roles)
    for role in roles:
        assert f"{PREFIX}{role} : Validating arguments against arg spec 'main'" in said or not SPECS[role].get(
            "options"
        )


def test_the_example_of_preflight_is_a_playbook(project: Path) -> None:
    run(project, "ansible-playbook", "-i", "inventory", "--syntax-check", "preflight.yml")


def test_the_example_of_certificates_makes_them(project: Path) -> None:
    run(project, "ansible-playbook", "-i", "inventory", "certificates.yml")
    (certificate,) = project.rglob("backup1/etcd.crt")
    assert project / "inventory" not in certificate.parents, "Ansible would read it as an inventory"
    assert certificate.parents[2].stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("role", SPECS)
def test_a_default_that_is_shown_needs_no_variable_that_may_be_missing(role: str) -> None:
    """Ansible evaluates a default of the specs even where the variable is set, and fails where it cannot."""
    path = CHECKOUT / "roles" / role / "defaults" / "main.yml"
    defaults = (yaml.safe_load(path.read_text()) if path.exists() else None) or {}
    for name, option in (SPECS[role].get("options") or {}).items():
        if "default" in option:
            assert option["default"] == defaults[name], name
            shown = str(option["default"])
            assert "{{" not in shown or "default(" in shown, f"{name} needs a variable that may be missing"
        elif name in defaults:
            assert "{{" in str(defaults[name]), f"{name} has a default that its specs can show"


# --- modules ---------------------------------------------------------------------------


def examples(module: Path) -> list[dict[str, Any]]:
    """Tasks of a module's EXAMPLES."""
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "EXAMPLES":
            return list(yaml.safe_load(ast.literal_eval(node.value)))
    raise AssertionError(f"{module.name} has no examples")


class Accepts(Exception):
    """What a module accepts, as keywords of HostModule."""


def accepted(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Keywords with which a module calls HostModule, or its action plugin validates."""

    def stop(*_arguments: Any, **keywords: Any) -> None:
        raise Accepts(keywords)

    module = importlib.import_module(f"{NAMESPACE}.modules.{name}")
    with monkeypatch.context() as patched, pytest.raises(Accepts) as said:
        if hasattr(module, "main"):
            patched.setattr(module, "HostModule", stop)
            module.main()
        else:
            action = importlib.import_module(f"{NAMESPACE}.action.{name}").ActionModule
            patched.setattr(ActionBase, "run", lambda *_arguments: {})
            patched.setattr(
                action, "validate_argument_spec", lambda _self, spec, **more: stop(argument_spec=spec, **more)
            )
            action.run(action.__new__(action), None, {})
    return dict(said.value.args[0])


def filled_in(value: Any, option: Mapping[str, Any]) -> Any:
    """An argument of an example; what a template would give is made up."""
    if isinstance(value, str) and "{{" in value:
        made_up = {"int": 1, "float": 1.0, "bool": True, "dict": {}, "list": [], "path": "/srv"}
        return next(iter(option.get("choices", [])), made_up.get(option.get("type", "str"), "text"))
    parts = option.get("options")
    if isinstance(value, dict) and parts:
        return {key: filled_in(part, parts.get(key, {})) for key, part in value.items()}
    if isinstance(value, list):
        return [filled_in(part, {**option, "type": option.get("elements", "str")}) for part in value]
    return value


MODULES = sorted(path.stem for path in (CHECKOUT / "plugins" / "modules").glob("*.py") if not path.stem.startswith("_"))


@pytest.mark.parametrize("module", MODULES)
def test_a_module_accepts_its_examples(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = examples(CHECKOUT / "plugins" / "modules" / f"{module}.py")
    assert tasks
    for task in tasks:
        assert task["name"]
        for key in [key for key in task if key.startswith(PREFIX)]:
            keywords = accepted(key.removeprefix(PREFIX), monkeypatch)
            spec = keywords.pop("argument_spec")
            rules = {name: value for name, value in keywords.items() if name.startswith(("required_", "mutually_"))}
            arguments = {name: filled_in(value, spec.get(name, {})) for name, value in (task[key] or {}).items()}
            assert ArgumentSpecValidator(spec, **rules).validate(arguments).error_messages == [], task["name"]


# --- inventories -----------------------------------------------------------------------

# Preflight without facts of hosts, then the certificates: what needs nobody's machine.
PLAYBOOK = f"""
- name: Judge the inventory and make its certificates
  hosts: all
  gather_facts: false
  vars_files: [{CHECKOUT}/roles/preflight/vars/main.yml]
  tasks:
    - name: Judge the inventory
      {PREFIX}preflight:
        roles: "{{{{ _preflight_roles }}}}"
      run_once: true
      become: false
    - name: Make certificates
      ansible.builtin.include_role:
        name: {PREFIX}certificates
      vars:
        certificates_requests:
          - {{host: "{{{{ inventory_hostname }}}}", name: server, common_name: "{{{{ inventory_hostname }}}}"}}
"""


def printed() -> tuple[str, str]:
    """The inventory of the README: its hosts, and its variables."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", (CHECKOUT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (hosts,) = [block for block in blocks if block.startswith("nodes:")]
    (variables,) = [block for block in blocks if "cluster_certificates_directory:" in block]
    return hosts, variables


@pytest.mark.parametrize(
    ("source", "written"), [("example", "inventories/example/"), ("readme", "inventories/example")]
)
def test_the_inventory_is_read_without_a_warning_before_and_after_its_certificates_are_made(
    tmp_path: Path, source: str, written: str
) -> None:
    directory = tmp_path / "inventories" / "example"
    if source == "example":
        shutil.copytree(CHECKOUT / "inventories" / "example", directory)
    else:
        (directory / "group_vars").mkdir(parents=True)
        hosts, variables = printed()
        (directory / "hosts.yml").write_text(hosts)
        (directory / "group_vars" / "all.yml").write_text(variables)
    (tmp_path / "made.yml").write_text(PLAYBOOK)
    strict = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true"}
    said = run(tmp_path, "ansible-playbook", "-i", written, "made.yml", **strict)
    assert list((tmp_path / "inventories" / "example-pki").rglob("server.key"))
    said += run(tmp_path, "ansible-playbook", "-i", written, f"{PREFIX}site", "--list-hosts", **strict)
    assert "WARNING" not in said
    assert "worker-1.example.com" in said and "cp-1.example.com" in said
