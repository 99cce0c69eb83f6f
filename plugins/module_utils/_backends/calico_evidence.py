# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""What Felix, BIRD and Calico's datastore can say of why packets between two pods do not arrive."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._backends import calico
from ansible_collections.binary_cluster.networking.plugins.module_utils._calico import calicoctl
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute

Run = Callable[..., "tuple[int, str, str]"]
ENVIRONMENT = "/etc/calico/felix.env"
# The rules of a policy, or of an endpoint; in, or out of it; such as cali-pi-default.web.
POLICY_CHAIN = re.compile(r"^-A (cali-p[io]-\S+) .*--comment \"Policy (\S+) (?:in|e)gress\"", re.MULTILINE)
ENDPOINT_JUMP = re.compile(r"^-A (cali-[tf][wh]-\S+) .*-j (cali-p[io]-\S+)$", re.MULTILINE)
SESSION = re.compile(r"^(\S+) +BGP +\S+ +(\w+)", re.MULTILINE)


def gather(run: Run) -> dict[str, Any] | None:
    """All of it; None on a host that runs no Calico."""
    try:
        with open(ENVIRONMENT, encoding="utf-8") as stream:
            settings = dict(re.findall(r"^([A-Z_]+)=(.*)$", stream.read(), re.MULTILINE))
    except OSError:
        return None
    birdc = ["birdc", "-s", calico.BIRD_SOCKET, "show"]
    bgp = os.path.exists(calico.BIRD_SOCKET)
    return {
        "health": calico.unreadiness(int(settings.get("FELIX_HEALTHPORT", 9099))),
        "sessions": sessions(run([*birdc, "protocols", "all"])[1]) if bgp else [],
        "heard": heard(run([*birdc, "route", "where", "source = RTS_BGP"])[1]) if bgp else [],
        "encapsulation": encapsulation(run),
        # Addresses of pods. The CNI plugin makes the way to one, and Felix keeps those of endpoints alone.
        "ways": [one["dst"] for one in iproute.IpRoute(run).routes() if one.get("dev", "").startswith("cali")],
        **policies(run(["iptables-save", "-t", "filter"])[1]),
    }


def sessions(shown: str) -> list[dict[str, str]]:
    """BGP sessions out of what BIRD shows of its protocols, each with its peer, its state and the last error."""
    found = []
    begins = list(SESSION.finditer(shown))
    for number, match in enumerate(begins):
        rest = shown[match.end() : begins[number + 1].start() if number + 1 < len(begins) else len(shown)]
        # The next protocol of another kind ends it.
        rest = rest.split("\n\n")[0]
        facts = dict(re.findall(r"^ {2,}([A-Z][\w ]+): +(.*?) *$", rest, re.MULTILINE))
        found.append(
            {
                "name": match.group(1),
                "peer": facts.get("Neighbor address", "").partition("%")[0],
                "state": facts.get("BGP state", match.group(2)),
                "error": facts.get("Last error", ""),
            }
        )
    return found


def heard(shown: str) -> list[str]:
    """Destinations that BIRD has from its peers."""
    lines = (line.split() for line in shown.splitlines())
    return sorted({words[0] for words in lines if words and "/" in words[0]})


def encapsulation(run: Run) -> list[str]:
    """Kinds of tunnel of the pools; none where the datastore does not answer."""
    defaults = {name: option["default"] for name, option in calicoctl.ARGUMENTS.items()}
    try:
        found = calicoctl.Calicoctl(run, {**defaults, "timeout": 5}).found(["IPPool"])
    except calicoctl.CalicoctlError:
        return []
    kinds = (("vxlan", "vxlanMode"), ("ipip", "ipipMode"))
    return [kind for kind, option in kinds if any(one.spec.get(option, "Never") != "Never" for one in found.values())]


def policies(saved: str) -> dict[str, Any]:
    """Names of the policies by their chains, and those that each endpoint's chain asks."""
    names = {chain: policy_name(name) for chain, name in POLICY_CHAIN.findall(saved)}
    asked: dict[str, list[str]] = {}
    for chain, policy in ENDPOINT_JUMP.findall(saved):
        asked.setdefault(chain, []).append(names.get(policy, policy))
    return {"policies": names, "asked": asked}


def policy_name(name: str) -> str:
    """A policy as its owner calls it. Felix writes ``default.web`` for a global one, and ``shop/default.web`` else."""
    namespace, _slash, own = name.rpartition("/")
    own = own.removeprefix("default.")
    return f"NetworkPolicy {namespace}/{own}" if namespace else f"GlobalNetworkPolicy {own}"
