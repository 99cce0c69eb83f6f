# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Packets that are dropped for what they are: checksums that are wrong, and sizes that a link does not carry."""

from __future__ import annotations

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends.contract import HEADERS
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis import underlay as diagnosis_underlay
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.cause import Cause, End
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.path import SMALL, Path, has_address


def checksums_are_wrong(path: Path) -> Cause | None:
    for end, _other in path.both():
        if end.evidence.get("checksum_errors", {}).get("pod"):
            return checksum(end, "the pods'")
    return None


def checksum(end: End, whose: str) -> Cause:
    devices = [name for name, link in end.evidence.get("links", {}).items() if link["kind"] == "vxlan"]
    device = devices[0] if devices else "eth0"
    return Cause(
        "checksum",
        end.node,
        f"{whose} packets arrive at {end.node} with wrong checksums, which a faulty checksum offload makes",
        f"ethtool -K {device} tx-checksum-ip-generic off    # on every node",
    )


def packets_are_too_large(path: Path) -> Cause | None:
    """A link on the way that carries less than the pods' interfaces promise."""
    if not set(path.failed) <= {"mtu", "bulk"} or SMALL.isdisjoint(path.passed):
        return None
    for end, other in path.both():
        pod = end.evidence.get("pod")
        if not pod:
            continue
        device = end.evidence.get("route_to", {}).get(other.pod_address, {}).get("dev", "")
        link = end.evidence.get("links", {}).get(device)
        if link and link["mtu"] < pod["mtu"]:
            return Cause(
                "mtu",
                end.node,
                f"{device} of {end.node} carries {link['mtu']} bytes, and pods send {pod['mtu']}: the larger vanish",
                f"ip link set {device} mtu {pod['mtu']}",
            )
        if link and link["kind"] in HEADERS:
            underlay = next(
                ((name, one) for name, one in end.evidence["links"].items() if has_address(one, end.address)),
                None,
            )
            needed = link["mtu"] + HEADERS[link["kind"]]
            if underlay and underlay[1]["mtu"] < needed:
                return Cause(
                    "mtu",
                    end.node,
                    f"{underlay[0]} of {end.node} carries {underlay[1]['mtu']} bytes, and {device} needs {needed} with "
                    "its header",
                    f"ip link set {underlay[0]} mtu {needed}",
                )
    if path.mtu is None:
        return None
    over_tcp = [end.evidence.get("tcp_packets", {}).get(other.pod_address, 0) for end, other in path.both()]
    if min(over_tcp) > path.mtu:
        return diagnosis_underlay.large_icmp_filtered(path.source, path.target, path.mtu, min(over_tcp))
    # An answer that is too large is lost like a request: one cause for both directions.
    first, second = sorted((path.source.node, path.target.node))
    return Cause(
        "mtu",
        first,
        f"something between {first} and {second} carries pods' packets of {path.mtu} bytes at most",
        f"set the backend's MTU to {path.mtu} (flannel_mtu: {path.mtu}), or mend the link between the machines",
    )
