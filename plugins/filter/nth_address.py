# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: nth_address
short_description: An address of a network by its number
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - The first usable address of a service network is that of the API, and the second that of the DNS server.
positional: number
options:
  _input:
    description: The network.
    type: str
    required: true
  number:
    description: Number of the address; 1 is the first after that of the network itself.
    type: int
    required: true
"""

EXAMPLES = r"""
---
- name: Show the cluster's DNS address, which is 10.0.0.2
  ansible.builtin.debug:
    msg: "{{ '10.0.0.0/24' | binary_cluster.networking.nth_address(2) }}"
"""

RETURN = r"""
_value:
  description: The address.
  type: str
"""

import ipaddress
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError


def nth_address(network: str, number: int) -> str:
    """An address of a network. Raises AnsibleFilterError where the network has no such address to use."""
    try:
        inside = ipaddress.ip_network(str(network))
    except ValueError as error:
        raise AnsibleFilterError(f"{network}: {error}") from error
    last = inside.num_addresses - (2 if inside.version == 4 else 1)
    if not 1 <= number <= last:
        raise AnsibleFilterError(f"{network}: has {max(0, last)} usable addresses, and so none with number {number}")
    return str(inside.network_address + number)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"nth_address": nth_address}
