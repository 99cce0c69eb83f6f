# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: dns_zones
short_description: DNS zones of domains and networks
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Domains stay as they are; a network becomes the reverse zones that cover it.
options:
  _input:
    description: Domains and networks.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
---
- name: Show the zones, which are cluster.local and 0.0.10.in-addr.arpa
  ansible.builtin.debug:
    msg: "{{ ['cluster.local', '10.0.0.0/24'] | binary_cluster.networking.dns_zones }}"
"""

RETURN = r"""
_value:
  description: The zones.
  type: list
  elements: str
"""

from collections.abc import Callable, Iterable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.binary_cluster.networking.plugins.module_utils._dns import records as dns_records


def dns_zones(names: Iterable[str]) -> list[str]:
    """Zones of domains and networks."""
    try:
        return dns_records.zones(names)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"dns_zones": dns_zones}
