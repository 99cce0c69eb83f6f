# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""What a variable of the cluster must be, whichever role reads it.

Their types, defaults and meanings are in the argument_specs of role preflight. These are the checks that need nothing
but the value, so a role that is used alone makes them too. A check that knows more of the cluster says more.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import (
    LABEL,
    NO_PORT,
    Fault,
    Inventory,
    integer,
    legal,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight.coredns import upstream
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight.values import NAME, TLS_ENDPOINT
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import batches


@dataclass(frozen=True)
class Rule:
    """What a value, or each value of a list, must be, and how to say so in a fault and in the documentation."""

    fits: Callable[[str], bool]
    meaning: str


def _is(kind: Callable[[str], Any]) -> Callable[[str], bool]:
    """Whether a text can be made one of a kind, which raises ValueError where it cannot."""

    def fits(text: str) -> bool:
        try:
            kind(text)
        except ValueError:
            return False
        return True

    return fits


NETWORK = _is(ipaddress.IPv4Network)
ADDRESS = Rule(_is(ipaddress.IPv4Address), "an IPv4 address such as 192.0.2.11")
PORT = Rule(lambda text: legal(integer(text)), NO_PORT.removeprefix("a port is "))
RULES = {
    "cluster_node_address": ADDRESS,
    "cluster_pod_cidr": Rule(NETWORK, "an IPv4 network such as 10.244.0.0/16"),
    "cluster_pod_cidr_v6": Rule(_is(ipaddress.IPv6Network), "an IPv6 network such as fd00:10:244::/48"),
    "cluster_service_cidr": Rule(NETWORK, "an IPv4 network such as 10.0.0.0/24"),
    "cluster_dns_domain": Rule(
        lambda text: len(text) <= 253 and all(map(LABEL.fullmatch, text.split("."))),
        "a domain such as cluster.local, in lower-case letters, digits, hyphens and dots",
    ),
    "cluster_dns_address": ADDRESS,
    "cluster_dns_upstreams": Rule(
        lambda text: text.startswith("/") or upstream(text) is not None,
        "an address, with a port or without, such as 192.0.2.53 or tls://192.0.2.53",
    ),
    "cluster_api_vip": Rule(_is(ipaddress.ip_address), "an IP address such as 192.0.2.100, without a prefix length"),
    "cluster_api_port": PORT,
    "cluster_api_name": Rule(NAME.fits, NAME.meaning),
    "cluster_etcd_endpoints": Rule(TLS_ENDPOINT.fits, TLS_ENDPOINT.meaning),
    "cluster_etcd_client_port": PORT,
    "cluster_max_unavailable": Rule(_is(lambda text: batches.batch_size(text, 1)), batches.FORM.removeprefix("give ")),
}


def values_are_what_they_must_be(inventory: Inventory) -> Iterator[Fault]:
    for host in inventory.hosts.values():
        for name in RULES.keys() & host.variables.keys():
            value = host.variables[name]
            each = enumerate(value) if isinstance(value, (list, tuple)) else [(-1, value)]
            for number, one in each:
                if one not in (None, "") and not RULES[name].fits(str(one)):
                    place = name if number < 0 else f"{name}[{number}]"
                    yield Fault(place, one, f"must be {RULES[name].meaning}", (host.name,), general=True)


CHECKS = (values_are_what_they_must_be,)
