# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judge the whole inventory before the first host changes."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ansible import __version__ as ansible_version
from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible_collections.binary_cluster.networking.plugins.filter.node_addresses import node_addresses
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import authorities
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends.contract import declared
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._components import declarations
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory import model as inventory_model
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight import (
    certificates as preflight_certificates,
    checks as preflight_checks,
    cluster as preflight_cluster,
    coredns as preflight_coredns,
    firewall as preflight_firewall,
    ipv6 as preflight_ipv6,
    links as preflight_links,
    load_balancer as preflight_load_balancer,
    names as preflight_names,
    records as preflight_records,
    values as preflight_values,
    variables as preflight_variables,
    verify as preflight_verify,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._report import prometheus, state as report_state
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import facts as run_facts, paths
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run.role_options import (
    argument_spec,
    meant,
    misshapen,
    of_all_roles,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run.variables import RunVariables

# Every check besides those that are always made; the tests take them from here.
CHECKS = [
    check
    for one in (
        preflight_cluster,
        preflight_load_balancer,
        preflight_certificates,
        preflight_coredns,
        preflight_firewall,
        preflight_ipv6,
        preflight_links,
        preflight_names,
        preflight_records,
        preflight_values,
        preflight_verify,
    )
    for check in one.CHECKS
]
# Roles for hosts of any kind: what is true of nodes, such as an address that all others reach, need not be of these.
ANYWHERE = ("binaries", "certificates", "kubeconfig")
# Paths of the controller that the report at the end of the run cannot do without, and what sees to them.
REPORT_PATHS: dict[str, Callable[[Path], Any]] = {
    "verify_compare": report_state.read,
    "verify_prometheus_file": prometheus.check,
}


class ActionModule(ActionBase):
    """The whole of M(binary_cluster.networking.preflight)."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec(
            {
                "role": {"type": "str", "choices": sorted(of_all_roles())},
                "all_hosts": {"type": "bool", "default": False},
                "roles": {"type": "dict"},
                "artifacts": {"type": "dict", "default": {}},
            },
            mutually_exclusive=[["role", "roles"]],
            required_one_of=[["role", "roles"]],
        )
        role: str | None = arguments["role"]
        if arguments["all_hosts"] or not role:
            refuse_batches(role or inventory_model.DECLARES_CLUSTER, task_vars or {})
        if role:
            inventory = self._inventory_of_role(task_vars or {}, role)
        else:
            inventory = self._inventory(task_vars or {}, arguments["roles"])
            inventory = dataclasses.replace(
                inventory,
                coredns_plugins=coredns_plugins(arguments["artifacts"]),
                authority=authority(inventory.value("cluster_certificates_directory")),
            )
        told_all = preflight_checks.check(inventory, CHECKS)
        if role:
            told_all = [fault for fault in told_all if preflight_checks.is_of_variable(fault, inventory)]
        result["warnings"] = [str(fault) for fault in told_all if fault.warning]
        faults = [fault for fault in told_all if not fault.warning]
        if faults:
            told = "\n".join(f"- {fault}" for fault in faults)
            count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
            changed = f"role {role} has changed nothing" if role else "nothing was changed"
            raise AnsibleActionFail(f"preflight: {count}; {changed}:\n{told}")
        result["hosts"] = list(inventory.hosts)
        return result

    def _inventory(self, task_vars: Mapping[str, Any], roles: Mapping[str, str]) -> inventory_model.Inventory:
        """Variables and facts of every host that a role runs on."""
        hostvars, run = task_vars["hostvars"], RunVariables(self._task, task_vars, self._templar)
        networks = list(declared())
        groups = {
            group: list(task_vars["groups"].get(group, ()))
            for group in ("nodes", "kube_control_plane", *roles.values())
        }
        specs = {role: argument_spec(role) for role in (inventory_model.DECLARES_CLUSTER, *roles)}
        faults: list[inventory_model.Fault] = []
        hosts = {}
        for name in dict.fromkeys(host for members in groups.values() for host in members):
            own = [role for role, group in roles.items() if name in groups[group]]
            if "kubeconfig_files" in run.raw(name):
                own.append("kubeconfig")  # not bound to a group
                specs["kubeconfig"] = argument_spec("kubeconfig")
            facts = run_facts.collected(hostvars[name])
            hosts[name] = self._host(run, hostvars, name, own, networks, faults, facts)
        faults += report_paths([host.variables for host in hosts.values()])
        return inventory_model.Inventory(hosts, groups, specs, ansible_version, networks, faults=faults)

    def _inventory_of_role(self, task_vars: Mapping[str, Any], role: str) -> inventory_model.Inventory:
        """Variables of the hosts of the play, for a role that may be alone: without facts, in groups of any name."""
        hostvars, run = task_vars["hostvars"], RunVariables(self._task, task_vars, self._templar)
        networks = list(declared())
        names = list(task_vars["ansible_play_hosts"])
        groups = {
            group: list(task_vars["groups"].get(group, ())) for group in (*declarations.GROUPS, "kube_control_plane")
        }
        # Roles with a group of their own have its name; all others run on the nodes.
        own_group = groups[role if role in groups else "nodes"]
        # A play for other hosts too may include the role for those of the group alone.
        if role not in ANYWHERE and not set(names) & set(own_group):
            own_group += names
        faults: list[inventory_model.Fault] = []
        hosts = {
            name: _for_role(self._host(run, hostvars, name, [role], [], faults, {}), role, networks) for name in names
        }
        faults += report_paths([host.variables for host in hosts.values()])
        specs = {one: argument_spec(one) for one in (inventory_model.DECLARES_CLUSTER, role)}
        return inventory_model.Inventory(hosts, groups, specs, ansible_version, networks, faults=faults)

    def _host(
        self,
        run: RunVariables,
        hostvars: Mapping[str, Any],
        name: str,
        roles: list[str],
        networks: list[str],
        faults: list[inventory_model.Fault],
        facts: Mapping[str, Any],
    ) -> inventory_model.Host:
        """A host with the variables of its roles; what is wrong with one of these is added to the faults."""
        prefixes = tuple(f"{prefix}_" for prefix in (*roles, *networks, "cluster"))
        variables, failed = run.given(name, partial(_concerns, prefixes))
        faults += [
            inventory_model.Fault(variable, "a template", f"it cannot be rendered: {error}", (name,))
            for variable, error in failed.items()
            if variable.startswith(prefixes)
        ]
        variables |= {variable: "a template" for variable in failed if not variable.startswith(prefixes)}
        for role in (inventory_model.DECLARES_CLUSTER, *roles):
            faults += validate(argument_spec(role), variables, name)
        return inventory_model.Host(
            name=name,
            variables=variables,
            facts=facts,
            address=node_addresses([name], hostvars, strict=False).get(name, ""),
            port=int(hostvars[name].get("ansible_port") or 22),
        )


def _for_role(host: inventory_model.Host, role: str, networks: Sequence[str]) -> inventory_model.Host:
    """The host with those of the cluster's variables that matter to a role which may be alone."""
    variables = dict(host.variables)
    if role in ANYWHERE:
        variables.pop("cluster_node_address", None)
    if role in networks:
        variables["cluster_network"] = role
    elif role != "cluster_firewall":
        # Other roles work with any network, also one that others set up.
        variables.pop("cluster_network", None)
    return dataclasses.replace(host, variables=variables)


def _concerns(prefixes: tuple[str, ...], name: str) -> bool:
    """Whether a variable is judged: one of the roles', or one that is almost an option of theirs."""
    return name.startswith(prefixes) or (not name.startswith(("_", "ansible_")) and bool(meant(name)))


def refuse_batches(role: str, task_vars: Mapping[str, Any]) -> None:
    """Raise AnsibleActionFail in a play with ``serial``: what hosts know of one another is then that of a batch."""
    batch, hosts = len(task_vars["ansible_play_batch"]), len(task_vars["ansible_play_hosts"])
    if batch < hosts:
        raise AnsibleActionFail(
            f"serial: role {role} needs all hosts of the play at once, and this batch has {batch} of {hosts}. Nothing "
            "was changed. Run the role in a play without serial: it restarts hosts in batches by itself."
        )


def authority(directory: Any) -> list[str]:
    """Fingerprints of the cluster's authority on the controller; none where there is none."""
    path = Path(str(directory or "")).expanduser() / preflight_certificates.AUTHORITY / "ca.crt"
    return authorities.read(str(path)) if directory else []


def coredns_plugins(artifacts: Mapping[str, Any]) -> list[str]:
    """Plugins of the CoreDNS among the artifacts; none where it is not there, or not for the controller's processor."""
    for artifact in (
        one for stored in artifacts.values() for one in stored if one["name"] == "coredns" and one["cached"]
    ):
        command = [str(Path(artifact["cached"]) / "coredns"), "-plugins"]
        with contextlib.suppress(OSError):
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return []


def validate(options: Mapping[str, Any], variables: Mapping[str, Any], host: str) -> list[inventory_model.Fault]:
    """Types and choices of the variables a host sets for a role."""
    faults = []
    for name, option in options.items():
        # What is of another type has its own fault, and Ansible's validation fails on some of it.
        if name not in variables or any(misshapen(option, variables[name], name)):
            continue
        outcome = ArgumentSpecValidator({name: option}).validate({name: variables[name]})
        shown = preflight_variables.NOT_SHOWN if preflight_variables.is_secret(name, options) else variables[name]
        for message in outcome.error_messages:
            if shown == preflight_variables.NOT_SHOWN:
                message = message.replace(str(variables[name]), shown)
            message = "".join(letter if letter.isprintable() else "?" for letter in message)
            # A check of the variable's own says more, but it may be of another part of the value.
            general = not option.get("options")
            faults.append(inventory_model.Fault(name, shown, message, (host,), general=general))
    return faults


def report_paths(hosts: Iterable[Mapping[str, Any]]) -> list[inventory_model.Fault]:
    """Paths that the variables of the hosts give for the report, and that it cannot use."""
    faults = []
    given = {(name, str(variables[name])) for variables in hosts for name in REPORT_PATHS if variables.get(name)}
    for name, path in sorted(given):
        try:
            REPORT_PATHS[name](paths.called_from(path))
        except ValueError as error:
            faults.append(inventory_model.Fault(name, path, str(error)))
    return faults
