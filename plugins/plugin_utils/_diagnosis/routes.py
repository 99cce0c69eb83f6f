# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Daemons that do not run, and the routes and leases that they should have made."""

from __future__ import annotations

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis import calico as diagnosis_calico
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.cause import Cause, End
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.path import Path
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.tunnels import (
    entry_fault,
    tunnel_down,
)


def dead_daemon(end: End) -> Cause | None:
    for unit in end.evidence.get("units", ()):
        if not unit["active"]:
            last = f"; its last words: {unit['last']}" if unit["last"] else ""
            return Cause(
                "daemon-down", end.node, f"{unit['name']} does not run{last}", f"systemctl start {unit['name']}"
            )
    return None


def _lease_missing(holder: End, asker: End) -> Cause | None:
    """Whether etcd has no lease of a node, so that the others know nothing of it."""
    leases = asker.evidence.get("leases")
    if leases is None or any(lease["address"] == holder.address for lease in leases):
        return None
    return Cause(
        "lease-missing",
        holder.node,
        f"etcd has no lease of {holder.subnet} for {holder.address}, so no other node knows the way there",
        "systemctl restart flanneld",
    )


def routes_are_wrong(path: Path) -> Cause | None:
    """A missing or wrong entry on the way there or back: route, neighbour, FDB entry, tunnel."""
    found = [(fault, end, other) for end, other in path.both() if (fault := entry_fault(end, other, path.ends))]
    # Without a tunnel's device there are no routes through it either.
    for fault, end, other in sorted(found, key=lambda one: one[0].code != "tunnel-missing"):
        # What should have made the entry, or held it, may be the reason, on either side.
        deeper = tunnel_down(end) or dead_daemon(end) or _lease_missing(other, end) or dead_daemon(other)
        return deeper or diagnosis_calico.route_missing(end, other) or fault
    return None


def daemon_is_down(path: Path) -> Cause | None:
    for end, _other in path.both():
        dead = dead_daemon(end)
        if dead:
            return dead
    return None
