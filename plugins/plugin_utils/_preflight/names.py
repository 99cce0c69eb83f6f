# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Names of hosts, which become names of etcd's members, of Kubernetes' nodes and in DNS.

A name is used as it stands in the inventory, in directories, certificates, namespaces and units, so it must be
legal in all of them: a DNS subdomain (RFC 1123, RFC 5890), which an IPv4 address is too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import (
    LABEL,
    Check,
    Fault,
    Inventory,
)

# The common name of a certificate has 64 characters at most (RFC 5280), the label kubernetes.io/hostname 63.
LONGEST = 63


def host_names_are_legal(inventory: Inventory) -> Iterator[Fault]:
    """Judge the names of the hosts that something is installed on."""
    # The API servers behind a load balancer may be somebody else's, and are reached at their addresses.
    served = {name for group, names in inventory.groups.items() if group != "kube_control_plane" for name in names}
    for name in inventory.hosts:
        if name not in served:
            continue
        if len(name) > LONGEST:
            remedy = f"has {len(name)} characters, and {LONGEST} are the most that certificates and Kubernetes take"
            yield Fault("inventory_hostname", name, f"{remedy}; give the host a shorter name")
        elif not all(LABEL.fullmatch(label) for label in name.split(".")):
            legal = "lower-case letters, digits and hyphens, in parts that are separated by dots, or an IPv4 address"
            yield Fault("inventory_hostname", name, f"not legal in DNS and Kubernetes: {legal}; {_advice(name)}")


def _advice(name: str) -> str:
    """What to call the host instead."""
    labels = (re.sub(r"[^a-z0-9-]+", "-", label).strip("-") for label in name.lower().split("."))
    legal = ".".join(label for label in labels if label)[:LONGEST].rstrip(".-")
    how = "in the inventory, and set ansible_host to how Ansible reaches it"
    return f"name it {legal} {how}" if legal and ":" not in name else f"give it another name {how}"


CHECKS: tuple[Check, ...] = (host_names_are_legal,)
