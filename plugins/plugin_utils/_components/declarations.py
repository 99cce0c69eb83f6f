# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""What roles declare of themselves: the one place where playbooks and other roles read it.

A component is a role with hosts of its own: a daemon, a network backend, or what all nodes get. Network backends
declare themselves in a file of _backends, all others in meta/component.yml of their role.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

from ansible.errors import AnsibleError
from ansible.module_utils.common.yaml import yaml_load
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends import contract
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends.contract import (
    Backend,
    Firewall,
    Package,
    Value,
    Where,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run.role_options import ROLES, argument_spec

# Groups of the inventory that components run on, in the order of the hosts in a play.
GROUPS = ("nodes", "etcd", "coredns", "api_load_balancer")


class DeclarationError(AnsibleError):
    """A declaration is not as it must be; the message says where."""


@dataclass(frozen=True)
class Port:
    """A port that is listened on, on each host of the component.

    ``protocol`` is tcp or udp, or pod for one in the pods' own namespaces. ``process`` is who listens. ``follows`` is
    the variable of the cluster that it has its value from where it is not set itself. Ports ``between_hosts`` are
    closed to all but the members of the cluster.
    """

    variable: str
    protocol: str
    process: str = ""
    follows: str = ""
    between_hosts: bool = False
    where: Where | None = None


@dataclass(frozen=True)
class Component:
    """What a role declares.

    ``group`` is empty for a role that runs wherever its variables are set. ``network`` is true of a network backend,
    of which a cluster has one. ``needs`` are components that exist for those that need them; ``replaced_by`` is the
    variable with which a cluster uses what others run instead. ``records`` are regular expressions of its names in the
    install record, ``links`` one of the names of all links that it makes. ``cluster_wide`` are its own variables with
    one value on all its hosts; ``reads`` are variables of the cluster. ``firewall`` gives what a network backend uses
    between nodes.
    """

    name: str
    group: str = ""
    network: bool = False
    needs: tuple[str, ...] = ()
    replaced_by: str = ""
    binaries: tuple[str, ...] = ()
    packages: tuple[Package, ...] = ()
    ports: tuple[Port, ...] = ()
    records: tuple[str, ...] = ()
    cluster_wide: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    links: str = ""
    firewall: Callable[[Value], Firewall] | None = None

    def default(self, variable: str) -> Any:
        """Default of a variable of the role."""
        return argument_spec(self.name).get(variable, {}).get("default")

    def holds(self, where: Where | None, variables: Mapping[str, Any]) -> bool:
        """Whether a condition holds with the variables of a host; one that is not there always does."""
        if not where:
            return True
        value = variables.get(where.variable, self.default(where.variable))
        if argument_spec(self.name)[where.variable]["type"] == "bool":
            value = boolean(value, strict=False)
        return value in where.values

    def port_default(self, port: Port) -> Any:
        """Value of a port that is not set: that of the variable of the cluster which it follows, or the role's."""
        return argument_spec("preflight")[port.follows]["default"] if port.follows else self.default(port.variable)


@cache
def declared() -> Mapping[str, Component]:
    """All components by their names, which are those of their roles: by group, and then by name."""
    files = sorted(ROLES.glob("*/meta/component.yml"))
    found = [read(path.parts[-3], yaml_load(path.read_text()), path) for path in files]
    found += [of_backend(backend) for backend in contract.declared().values()]
    found.sort(key=lambda one: (GROUPS.index(one.group) if one.group else len(GROUPS), one.name))
    return {component.name: component for component in found}


def of_backend(backend: Backend) -> Component:
    """What a network backend declares, as a component. Its names in the install record begin with its own."""
    return Component(
        name=backend.name,
        group="nodes",
        network=True,
        needs=("etcd", "certificates") if backend.etcd_endpoints else (),
        binaries=backend.binaries,
        packages=backend.packages,
        records=(f"{backend.name}.*",),
        cluster_wide=backend.cluster_wide,
        reads=backend.reads,
        links=backend.links,
        firewall=backend.firewall,
    )


def read(name: str, data: Any, path: Path) -> Component:
    """A declaration as it was written. Raises DeclarationError."""
    component: Component = _made(Component, {**data, "name": name} if isinstance(data, Mapping) else data, str(path))
    if component.group not in ("", *GROUPS):
        raise DeclarationError(f"{path}: group: {component.group}: take one of {', '.join(GROUPS)}")
    return component


def _made(kind: Any, data: Any, place: str) -> Any:
    """An object of a dataclass from a mapping. Raises DeclarationError."""
    if not isinstance(data, Mapping):
        raise DeclarationError(f"{place}: {data!r}: must be a dictionary")
    known: dict[str, Field[Any]] = {one.name: one for one in fields(kind)}
    for name in data.keys() - known.keys():
        raise DeclarationError(f"{place}: {name}: there is no such key; known are {', '.join(known)}")
    for name in known.keys() - data.keys():
        if known[name].default is MISSING:
            raise DeclarationError(f"{place}: {name}: missing")
    hints = get_type_hints(kind)
    return kind(**{name: _value(hints[name], value, f"{place}: {name}") for name, value in data.items()})


def _value(hint: Any, value: Any, place: str) -> Any:
    """A value of the type that a field has: text, truth, list, or another object. Raises DeclarationError."""
    inner = [one for one in get_args(hint) if one not in (type(None), Ellipsis)]
    if hint is Any:
        return value
    if hint in (str, bool):
        if not isinstance(value, hint):
            raise DeclarationError(f"{place}: {value!r}: must be {'a text' if hint is str else 'true or false'}")
        return value
    if getattr(hint, "__origin__", None) is tuple:
        if not isinstance(value, list):
            raise DeclarationError(f"{place}: {value!r}: must be a list")
        return tuple(_value(inner[0], one, f"{place}[{number}]") for number, one in enumerate(value))
    return _made(inner[0] if inner else hint, value, place)


def in_use(groups: Mapping[str, Sequence[str]], variables: Mapping[str, Any]) -> list[Component]:
    """Components that a cluster has. ``variables`` are those of a host, templates in them rendered."""
    every = declared()
    for_others = {name for component in every.values() for name in component.needs}
    filled = {group for group in GROUPS if groups.get(group)}
    # Load balancers without nodes are the front door of a cluster that somebody else made.
    if "api_load_balancer" not in filled:
        filled.add("nodes")
    found = {
        component.name
        for component in every.values()
        if component.name not in for_others
        and (component.name == variables.get("cluster_network") if component.network else component.group in filled)
    }
    # What is needed may need something itself.
    while (
        needed := {name for one in found for name in every[one].needs if not variables.get(every[name].replaced_by)}
        - found
    ):
        found |= needed
    return [component for component in every.values() if component.name in found]
