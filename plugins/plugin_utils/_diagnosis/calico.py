# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""What lies behind a missing route, a drop or a missing pod where Calico is the pod network.

Each function gives a cause, or None where Calico's part is in order.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.cause import Cause, End

EXHAUSTED = re.compile(r"Assigned 0 out of [0-9]+ requested IPv[46] addresses[;.] ?(.*)", re.DOTALL)
RESTART = "systemctl restart calico-felix"
ATTACH = "calicoctl get workloadendpoint -A    # then attach the pod again"
BIRD = "birdc -s /run/calico/bird.ctl"


def pod_missing(node: str, why: str) -> Cause | None:
    """A pod that got no address, since there is none left, or Calico does not know the node."""
    if f"resource does not exist: Node({node})" in why:
        text = f"Calico's datastore has no node {node}: no other node knows the way there, and no pod gets an address"
        return Cause("node-missing", node, text, f"ansible-playbook binary_cluster.networking.site --limit {node}")
    said = EXHAUSTED.search(why)
    if not said:
        return None
    text = f"Calico has no address left for {node}: {said.group(1).strip() or why}"
    return Cause(
        "ipam-exhausted", node, text, "calicoctl ipam show --show-blocks    # then a further pool in calico_ip_pools"
    )


def endpoint_unknown(end: End) -> Cause | None:
    """A pod that its own node has no way to: Felix takes that of an endpoint away that it does not know."""
    calico = end.evidence.get("calico")
    if not calico or end.pod_address in calico["ways"]:
        return None
    text = f"{end.node} has no way to {end.pod}: its endpoint is not in the datastore, so Felix does not know it"
    return _not_ready(end, calico) or Cause("endpoint-unknown", end.node, text, ATTACH)


def route_missing(end: End, other: End) -> Cause | None:
    """Why a node has no way to another's pods: Felix, the tunnel, the BGP session, or what is told in it."""
    here, there = end.evidence.get("calico"), other.evidence.get("calico")
    if not here or not there:
        return None
    return (
        _not_ready(end, here)
        or _not_ready(other, there)
        or _tunnel_missing(end, here)
        or _session_down(end, other)
        or _unadvertised(end, other, here)
    )


def _not_ready(end: End, calico: Mapping[str, Any]) -> Cause | None:
    if not calico["health"]:
        return None
    return Cause("felix-not-ready", end.node, f"Felix of {end.node} is not ready: {calico['health']}", RESTART)


def _tunnel_missing(end: End, calico: Mapping[str, Any]) -> Cause | None:
    if "ipip" not in calico["encapsulation"] or end.evidence.get("links", {}).get("tunl0", {}).get("up"):
        return None
    text = f"{end.node} has no tunl0 that is up, and its pools are tunnelled by IPIP"
    return Cause("tunnel-missing", end.node, text, f"modprobe ipip && ip link set tunl0 up && {RESTART}")


def _session_down(end: End, other: End) -> Cause | None:
    """A session between the two that is down; with route reflectors between them, any of theirs."""
    both = [
        (one, session, session["peer"] == opposite.address)
        for one, opposite in ((end, other), (other, end))
        for session in one.evidence["calico"]["sessions"]
    ]
    direct = [told for told in both if told[2]]
    down = [told for told in direct or both if told[1]["state"] != "Established"]
    if not down:
        return None
    # The end that was switched off knows better than the one that nobody answers.
    one, session, _direct = min(down, key=lambda told: (told[1]["state"] != "Down", not told[1]["error"], told[0].node))
    why = ", ".join(filter(None, (session["state"], session["error"])))
    fix = f"{BIRD} show protocols all {session['name']}"
    if (session["state"], session["error"]) == ("Down", ""):
        why, fix = "it is disabled", f"{BIRD} enable {session['name']}"
    text = f"the BGP session of {one.node} with {session['peer']} is down: {why}"
    return Cause("bgp-session-down", one.node, text, fix)


def _unadvertised(end: End, other: End, calico: Mapping[str, Any]) -> Cause | None:
    if not calico["sessions"] or _covers(calico["heard"], other.pod_address):
        return None
    text = f"{other.node} does not tell {end.node} by BGP of {other.pod_address}, though the session is up"
    return Cause("block-unadvertised", other.node, text, f"{BIRD} show route all    # then {BIRD} reload out all")


def _covers(heard: Sequence[str], address: str) -> bool:
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(one, strict=False) for one in heard)


def dropped(end: End, chain: str) -> Cause | None:
    """What a chain of Felix that drops packets stands for: a policy, a lack of one, an endpoint Felix knows not of."""
    calico = end.evidence.get("calico")
    if not calico or not chain.startswith("cali-"):
        return None
    unready = _not_ready(end, calico)
    if unready:
        return unready
    named = calico["policies"].get(chain)
    if named:
        return Cause("policy-denies", end.node, f"{named} denies it at {end.node}", _show(named))
    asked = calico["asked"].get(chain)
    if asked:
        listed = " and ".join(asked)
        text = (
            f"no rule of {listed} allows it at {end.node}, and what no rule of an endpoint's policies allows is denied"
        )
        return Cause("policy-denies", end.node, text, _show(asked[0]))
    if "wl-dispatch" in chain:
        text = f"Felix of {end.node} does not know the interface of {end.pod}: its endpoint is not in the datastore"
        return Cause("endpoint-unknown", end.node, text, ATTACH)
    text = f"no policy is about {end.pod} at {end.node}, and its profile does not allow it"
    return Cause("policy-denies", end.node, text, "calicoctl get profile -o yaml")


def _show(policy: str) -> str:
    kind, _space, name = policy.partition(" ")
    namespace, _slash, own = name.rpartition("/")
    return f"calicoctl get {kind.lower()} {own}{f' -n {namespace}' if namespace else ''} -o yaml"
