# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Names and types of variables: what no role has, what is not set, and what differs between hosts."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._components import declarations
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import (
    DECLARES_CLUSTER,
    Fault,
    Inventory,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run.role_options import (
    NO_BOOLEAN,
    meant,
    misshapen,
    of_all_roles,
)

# Roles whose names others' variables begin with too, such as node_exporter_version.
COMMON_WORDS = ("node", "verify")


def variables_are_known(inventory: Inventory) -> Iterator[Fault]:
    """A variable that begins like a role's and is none of them, or almost is one of any role's, is a typing error."""
    every = {name: option for options in of_all_roles().values() for name, option in options.items()}
    unknown = [(name, host) for host in inventory.hosts.values() for name in host.variables if name not in every]
    for name, host in unknown:
        role = _role_of(name)
        hint = _hint(name, role) if role in inventory.specs else ""
        remedy = f"role {role} has no such variable; {hint}" if hint else ""
        if not hint and (close := meant(name)):
            remedy = f"no role has such a variable; did you mean {close}? Give one of your own another name"
        if remedy:
            value = host.variables[name]
            # What begins like no role's variable may be the user's own, such as a secret from a vault.
            hidden = not hint or is_secret(name, every) or holds_secret(value)
            yield Fault(name, NOT_SHOWN if hidden else value, remedy, (host.name,))


def _role_of(name: str) -> str:
    """The role whose variables begin like this one, by the longest name; empty where there is none."""
    roles = (role for role in of_all_roles() if role != DECLARES_CLUSTER and name.startswith(f"{role}_"))
    return max(roles, key=len, default="")


def _hint(name: str, role: str) -> str:
    """What a variable that begins like a role's was to be; empty where it is probably not the role's."""
    options, common = of_all_roles()[role], role in COMMON_WORDS
    endings = [option.removeprefix(f"{role}_") for option in options]
    close = difflib.get_close_matches(name.removeprefix(f"{role}_"), endings, n=1, cutoff=0.8 if common else 0.6)
    if close:
        return f"did you mean {role}_{close[0]}?"
    if name == f"{role}_version" and not common:
        return "versions are in binaries_versions, by name of the artifact"
    return "" if common else f"known are {', '.join(sorted(options))}"


NOT_SHOWN = "not shown"
SECRET_WORDS = ("password", "passphrase", "pass", "pwd", "secret", "token", "key", "credentials")


def is_secret(name: str, options: Mapping[str, Any]) -> bool:
    """Whether a variable's value must not be shown: its name is, or is almost, that of a secret.

    ``options`` are a role's. A name that is close to one of a secret option is a secret with a typing error.
    """
    if name in options:
        return bool(options[name].get("no_log")) or any(
            one.get("no_log") or word in SECRET_WORDS for word, one in (options[name].get("options") or {}).items()
        )
    secret = [option for option in options if is_secret(option, options)]
    words = name.lower().split("_")
    return bool(difflib.get_close_matches(name, secret, n=1, cutoff=0.85)) or any(
        difflib.get_close_matches(word.removesuffix("s"), SECRET_WORDS, n=1, cutoff=0.75) for word in words
    )


def holds_secret(value: Any) -> bool:
    """Whether some key in a value is, or is almost, the name of a secret."""
    if isinstance(value, Mapping):
        return any(is_secret(str(name), {}) or holds_secret(one) for name, one in value.items())
    return isinstance(value, (list, tuple)) and any(holds_secret(one) for one in value)


def values_have_their_type(inventory: Inventory) -> Iterator[Fault]:
    """Each value is of the type that the option has, without a conversion that templates do not make."""
    for host in inventory.hosts.values():
        for options in inventory.specs.values():
            for name in sorted(options.keys() & host.variables.keys()):
                for place, value, remedy in misshapen(options[name], host.variables[name], name):
                    hidden = value is not None and (is_secret(name, options) or holds_secret(value))
                    told = NOT_SHOWN if hidden else value
                    # A check of the variable's own says more of a scalar.
                    yield Fault(place, told, remedy, (host.name,), general=remedy == NO_BOOLEAN)


def cluster_variables_are_set(inventory: Inventory) -> Iterator[Fault]:
    if not inventory.groups.get("nodes"):
        return
    wanted = {
        "cluster_network": f"set it to one of {', '.join(inventory.networks)}",
        "cluster_pod_cidr": "set it to the network of the pods, such as 10.244.0.0/16",
        "cluster_service_cidr": "set it to the network of the services, such as 10.0.0.0/24",
    }
    if "certificates" in inventory.specs:
        wanted["cluster_certificates_directory"] = (
            "set it to a private directory of the controller, such as {{ inventory_dir }}-pki"
        )
    for name, remedy in wanted.items():
        if inventory.value(name) in (None, ""):
            yield Fault(name, None, remedy)
    network = inventory.value("cluster_network")
    if network and network not in inventory.networks:
        yield Fault("cluster_network", network, f"not a network backend; take one of {', '.join(inventory.networks)}")


def cluster_variables_agree(inventory: Inventory) -> Iterator[Fault]:
    """What describes the cluster is read from any of its hosts, so it must be the same on all."""
    defaults = {name: option.get("default") for options in inventory.specs.values() for name, option in options.items()}
    for group, names in WHOLE_CLUSTER.items():
        for name in names:
            holders: dict[str, list[str]] = {}
            for host in inventory.members(group):
                value = host.variables.get(name, defaults.get(name))
                holders.setdefault("not set" if value is None else str(value), []).append(host.name)
            if len(holders) > 1:
                told = "; ".join(f"{value} ({', '.join(hosts)})" for value, hosts in holders.items())
                yield Fault(name, told, f"must be the same on all hosts of group {group}")


WHOLE_CLUSTER: dict[str, tuple[str, ...]] = {
    "nodes": (
        "cluster_network",
        "cluster_pod_cidr",
        "cluster_pod_cidr_v6",
        "cluster_service_cidr",
        "cluster_dns_domain",
        "cluster_dns_address",
        "cluster_certificates_directory",
        "cluster_etcd_endpoints",
    ),
}
for _component in declarations.declared().values():
    if _component.cluster_wide:
        WHOLE_CLUSTER[_component.group] = (*WHOLE_CLUSTER.get(_component.group, ()), *_component.cluster_wide)
