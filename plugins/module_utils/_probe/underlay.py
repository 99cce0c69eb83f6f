# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""How hosts answer on the underlay: ICMP echo, else TCP, else ARP or neighbour discovery.

Networks filter ICMP, and a cluster does not need it; a firewall may drop all that is tried here but the link's own
protocol, and let the cluster's packets through.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import icmp

ECHO = "answers ICMP echo"
DISCARD = 9


def answers(addresses: Sequence[str], ports: Sequence[int], links: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """How each address answers: ``answers ICMP echo``, ``answers at tcp/22`` or ``has the MAC 52:54:00:12:34:56``.

    Those that do not answer are left out. ``ports`` are tried over TCP; ``links`` are those of this host by name, each
    with ``mac`` and ``addresses`` with their prefix length. Needs CAP_NET_RAW.
    """
    silent = icmp.silent(addresses)
    found = {address: ECHO for address in addresses if address not in silent}
    if not silent:
        return found
    # Most networks answer echo requests, and what they do not need is not loaded.
    from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import arp_ndp
    from ansible_collections.binary_cluster.networking.plugins.module_utils._probe import tcp_answers

    legal = [port for port in ports if 1 <= port <= 65535]
    by_port = tcp_answers.tcp_answers(silent, legal)
    found.update({address: f"answers at tcp/{port}" for address, port in by_port.items()})
    # A machine on the same link to which there is no route is none that is reached.
    left = [address for address in silent if address not in found and routed(address)]
    macs = arp_ndp.on_links(left, links)
    found.update({address: f"has the MAC {of[0]}" for address, of in macs.items() if of})
    return found


def routed(address: str) -> bool:
    """Whether the kernel has a route to an address. Nothing is sent: a datagram socket is only given its peer."""
    family = socket.AF_INET if ipaddress.ip_address(address).version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        return one.connect_ex((address, DISCARD)) == 0
