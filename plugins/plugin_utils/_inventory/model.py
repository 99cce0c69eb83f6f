# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""The hosts of a run with their variables and facts, and what a check of them says."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeGuard

IPv4 = ipaddress.IPv4Network
IPv6 = ipaddress.IPv6Network
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# The role whose argument_specs declare the variables of the cluster, which begin with cluster_.
DECLARES_CLUSTER = "preflight"


@dataclass(frozen=True)
class Fault:
    """Something that is wrong, and what would be right."""

    variable: str
    value: Any
    remedy: str
    hosts: tuple[str, ...] = ()
    # Allowed, but worth knowing.
    warning: bool = False
    # Not reported where a specific fault of the same variable is.
    general: bool = False

    def __str__(self) -> str:
        where = f" [{', '.join(self.hosts)}]" if self.hosts else ""
        value = "not set" if self.value is None else str(self.value)
        value = value if value.isprintable() and value == value.strip() else repr(value)
        return f"{self.variable}: {value}: {self.remedy}{where}"


@dataclass(frozen=True)
class Host:
    """A host of the run. ``facts`` is what host_facts found; empty where the host is not in the run.

    ``port`` is that of Ansible's connection.
    """

    name: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    address: str = ""
    port: int = 22


@dataclass(frozen=True)
class Inventory:
    """All hosts, their groups, the roles that will run and what each of them accepts.

    ``specs`` maps a role to the options of its argument_specs; those of role preflight are the cluster's variables.
    ``faults`` are those found while the inventory was read. ``coredns_plugins`` are those of the build that will run;
    empty where it was not asked. ``authority`` has the fingerprints of the controller's authority; empty where there
    is none.
    """

    hosts: Mapping[str, Host]
    groups: Mapping[str, Sequence[str]]
    specs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ansible: str = "2.19"
    networks: Sequence[str] = ("flannel",)
    coredns_plugins: Sequence[str] = ()
    authority: Sequence[str] = ()
    faults: Sequence[Fault] = ()

    def value(self, name: str, default: Any = None) -> Any:
        """Value of a variable that is the same for the whole cluster; one of the cluster's has its declared default."""
        for host in self.hosts.values():
            if name in host.variables:
                return host.variables[name]
        return self.declared(name, default)

    def declared(self, name: str, default: Any = None) -> Any:
        """Default of a variable of the cluster, from its declaration."""
        return self.specs.get(DECLARES_CLUSTER, {}).get(name, {}).get("default", default)

    @property
    def of_one_role(self) -> bool:
        """Whether it is of a role that is used alone, and not of a run of site."""
        return len(self.specs.keys() - {DECLARES_CLUSTER}) < 2

    def members(self, group: str) -> list[Host]:
        """Hosts of a group."""
        return [self.hosts[name] for name in self.groups.get(group, ()) if name in self.hosts]


Check = Callable[[Inventory], Iterable[Fault]]


class Checks(list[Check]):
    """Checks that are made where one of the roles is in the run; each is put among them as a decorator."""

    def __init__(self, *roles: str) -> None:
        super().__init__()
        self.roles = roles

    def __call__(self, check: Check) -> Check:
        @wraps(check)
        def guarded(inventory: Inventory) -> Iterable[Fault]:
            return check(inventory) if any(role in inventory.specs for role in self.roles) else ()

        self.append(guarded)
        return guarded


def variable_of(place: str) -> str:
    """The variable of a place in one."""
    return re.split(r"[.\[]", place, maxsplit=1)[0]


NO_PORT = "a port is a number from 1 to 65535"


def legal(port: int | None) -> TypeGuard[int]:
    """Whether it is the number of a port."""
    return port is not None and 1 <= port <= 65535


def integer(value: Any) -> int | None:
    """A number; None for what is none."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def version_numbers(version: str) -> tuple[int, ...]:
    """The first three numbers of a version, to compare."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def etcd_port(inventory: Inventory) -> int | None:
    """Port of etcd for its clients, as the roles' defaults have it; None for what is no number."""
    return integer(inventory.value("etcd_client_port", inventory.value("cluster_etcd_client_port")))
