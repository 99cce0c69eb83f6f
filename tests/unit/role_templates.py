"""Templates of the roles, rendered as in a play, for a cluster of two hosts that are everything."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from ansible.module_utils._internal._datatag import _AnsibleTaggedStr
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader, test_loader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).resolve().parents[2]
HOSTS = {"node1": "192.0.2.11", "node2": "192.0.2.12"}
PREFIX = "binary_cluster.networking."
GROUPS = ("nodes", "etcd", "coredns", "kube_control_plane", "api_load_balancer")
CLUSTER = {
    "cluster_pod_cidr": "10.244.0.0/16",
    "cluster_service_cidr": "10.0.0.0/24",
    "cluster_dns_domain": "cluster.test",
    "cluster_api_vip": "192.0.2.100",
    "cluster_certificates_directory": "/srv/pki",
}


# What decides over the code that a template becomes.
SETTINGS = (
    "block_start_string", "block_end_string", "variable_start_string", "variable_end_string", "comment_start_string",
    "comment_end_string", "trim_blocks", "lstrip_blocks", "newline_sequence", "keep_trailing_newline",
)  # fmt: skip
COMPILED: dict[tuple[Any, ...], Any] = {}


def compile_once(
    environment: jinja2.Environment, source: Any, name: str | None = None, filename: str | None = None, **more: Any
) -> Any:
    """Compile a template, which takes most of the time, once a process. Ansible forgets it with each Templar."""
    of = (type(environment), *(getattr(environment, setting) for setting in SETTINGS))
    key = (source, name, filename, *more.items(), *of)
    if key not in COMPILED:
        COMPILED[key] = COMPILE(environment, source, name, filename, **more)
    return COMPILED[key]


COMPILE = jinja2.Environment.compile
jinja2.Environment.compile = compile_once  # type: ignore[method-assign,assignment]
# Ansible looks in all collections for a filter or test with each Templar; what is there stays the same here.
for plugins in (filter_loader, test_loader):
    plugins.get = cache(plugins.get)
# For each template it copies all variables. A text cannot be changed, so it is as good as its copy.
_AnsibleTaggedStr.__deepcopy__ = lambda text, _memo: text


def facts(address: str) -> dict[str, Any]:
    """What the module host_facts returns, as far as templates read it."""
    links = {
        "eth0": {"mac": f"02:00:00:00:00:{address.rpartition('.')[2]}", "addresses": [f"{address}/24"], "mtu": 1500}
    }
    return {"cluster_host": {"interfaces": links, "default_interface": "eth0"}}


@cache
def loader() -> DataLoader:
    """A loader that finds the collection's filters."""
    return DataLoader()


@cache
def role_variables(role: str) -> Mapping[str, Any]:
    """Defaults and variables of a role; templates in them are templates."""
    found: dict[str, Any] = {}
    for folder in ("defaults", "vars"):
        path = ROOT / "roles" / role / folder / "main.yml"
        if path.is_file():
            found.update(loader().load_from_file(str(path), trusted_as_template=True) or {})
    return found


def variables_of(role: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Variables of node1 in a play of a role with these options."""
    own = {**CLUSTER, **role_variables(role), **options}
    hosts = {
        name: {**CLUSTER, "cluster_node_address": address, "ansible_facts": facts(address)}
        for name, address in HOSTS.items()
    }
    for name in hosts:
        hosts[name].update(options)
    return {
        **own,
        "ansible_facts": facts(HOSTS["node1"]),
        "ansible_managed": "Ansible managed",
        "ansible_play_hosts": list(HOSTS),
        "ansible_play_hosts_all": list(HOSTS),
        "ansible_search_path": [str(ROOT / "roles" / role)],
        "groups": {group: list(HOSTS) for group in GROUPS},
        "hostvars": hosts,
        "inventory_hostname": "node1",
        "role_path": str(ROOT / "roles" / role),
    }


def evaluate(role: str, expression: str, options: Mapping[str, Any]) -> Any:
    """What an expression is on node1 with these options. Raises AnsibleError where it is refused."""
    templar = Templar(loader=loader(), variables=variables_of(role, options))
    return templar.template(trust_as_template("{{ " + expression + " }}"))


def tasks(role: str, file: str) -> list[tuple[str, dict[str, Any]]]:
    """Modules of this collection that a file of a role runs on node1, with their options; files that it imports too."""
    found: list[tuple[str, dict[str, Any]]] = []
    templar = Templar(loader=loader(), variables=variables_of(role, {}))
    for task in loader().load_from_file(str(ROOT / "roles" / role / "tasks" / file), trusted_as_template=True):
        for key, options in task.items():
            if key == "ansible.builtin.import_tasks":
                found += tasks(role, options)
            elif key.startswith(PREFIX):
                found.append((key.removeprefix(PREFIX), templar.template(options or {})))
    return found


def render(role: str, template: str, options: Mapping[str, Any] | None = None) -> str:
    """Text of a template of a role. Raises AnsibleError where it is refused."""
    return str(evaluate(role, f"lookup('ansible.builtin.template', '{template}')", options or {}))
