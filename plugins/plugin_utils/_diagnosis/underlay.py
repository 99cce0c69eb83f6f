# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""What two nodes say of each other on the underlay.

Networks filter ICMP, and pods' packets may pass all the same: a node that answers no echo request is unreachable only
if it answers in no other way either (module_utils/_probe/underlay.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.binary_cluster.networking.plugins.module_utils._probe.underlay import ECHO
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.cause import Cause, End

ANSWERS = "answers"


def how(here: End, there: End) -> str | None:
    """How one node answers another; empty where it does not, None where nobody asked."""
    told = here.evidence.get("underlay", {}).get(there.node)
    return None if told is None else str(told)


def views(one: End, another: End) -> Iterator[tuple[End, End, str]]:
    """How the nodes answer each other, in the same order for both directions, where somebody asked."""
    first, second = sorted((one, another), key=lambda end: end.node)
    for here, there in ((first, second), (second, first)):
        told = how(here, there)
        if told is not None:
            yield here, there, told


def silent(one: End, another: End) -> bool:
    """Whether one of two nodes does not answer the other in any way."""
    return not all(told for _here, _there, told in views(one, another))


def only_mac(one: End, another: End) -> bool:
    """Whether one of two nodes answers nothing but ARP, which proves a cable and no packet."""
    return not all(told.startswith(ANSWERS) for _here, _there, told in views(one, another))


def unreachable(one: End, another: End) -> Cause:
    """Two nodes between which nothing passes."""
    # What is not answered tells nothing of the direction: one cause for both.
    end, other = sorted((one, another), key=lambda end: end.node)
    return Cause(
        "underlay-unreachable",
        end.node,
        f"{end.node} and {other.node} ({other.address}) do not reach each other at all, pods or not",
        f"ping {other.address}    # cables, routes and firewalls between the machines",
    )


def icmp_filtered(one: End, another: End, pods_pass: bool) -> Cause | None:
    """Two nodes that answer no echo request, where something else proves that packets pass between them.

    ``pods_pass`` tells whether those of their pods do.
    """
    without = [view for view in views(one, another) if view[2] != ECHO]
    if not without or (only_mac(one, another) and not pods_pass):
        return None
    here, there, told = without[0]
    proof = f"{there.node} {told}" if told.startswith(ANSWERS) else "packets of their pods arrive"
    return Cause(
        "icmp-filtered",
        min(one.node, another.node),
        f"{there.node} ({there.address}) answers no ICMP echo request from {here.node}, and {proof}: ICMP is filtered "
        "between them",
        "Advice: allow ICMP between the nodes, or leave icmp, mtu, node and host out of verify_protocols",
    )


def large_icmp_filtered(one: End, another: End, icmp: int, tcp: int) -> Cause:
    """Two nodes between which ICMP packets of pods get lost at a size, in bytes, at which those of TCP arrive."""
    first, second = sorted((one.node, another.node))
    return Cause(
        "icmp-filtered",
        first,
        f"ICMP packets of pods over {icmp} bytes get lost between {first} and {second}, and TCP packets of {tcp} bytes "
        "arrive: large ICMP is filtered",
        "Advice: allow large ICMP packets, or leave mtu out of verify_protocols",
    )


def though(here: End, there: End) -> str:
    """What proves that a node can be reached, for a cause that says what does not arrive there."""
    told = how(here, there)
    if not told or told == ECHO:
        return "though the machines reach each other"
    return f"though {there.node} {told} (and answers no ICMP echo request)"
