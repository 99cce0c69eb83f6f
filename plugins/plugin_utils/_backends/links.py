# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Links that network backends and CNI plugins make, and addresses of hosts beside them."""

from __future__ import annotations

import re
from functools import cache

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends.contract import declared
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import Host

# What the CNI plugins and role coredns make, and what every host has.
OTHERS = r"cni\d*|veth.*|coredns0|lo"


@cache
def _pattern() -> re.Pattern[str]:
    return re.compile("|".join([OTHERS, *(backend.links for backend in declared().values() if backend.links)]))


def is_own(link: str) -> bool:
    """Whether the collection or a CNI plugin makes a link of this name: its addresses are the pod network's own."""
    return bool(_pattern().fullmatch(link))


def addresses_of(host: Host) -> set[str]:
    """IPv4 addresses of a host, without those of the pod network."""
    return {
        address.partition("/")[0]
        for link, details in host.facts.get("interfaces", {}).items()
        if not is_own(link)
        for address in details["addresses"]
        if ":" not in address
    }
