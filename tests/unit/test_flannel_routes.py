"""Which routes to other nodes' pods flanneld makes, and which nobody asks for any more."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._backends import flannel

LEASE = flannel.Lease("10.244.2.0/24", "192.0.2.12", "vxlan", "02:00:00:00:00:02", 1, 1)
LOCAL = {"dst": "192.0.2.0/24", "dev": "eth0"}
PLAIN = {"dst": LEASE.subnet, "gateway": LEASE.address, "dev": "eth0"}
TUNNEL = {"dst": LEASE.subnet, "gateway": "10.244.2.0", "dev": "flannel.1"}
OF_ANOTHER = {"dst": LEASE.subnet, "gateway": "192.0.2.13", "dev": "eth0"}


def network(kind: str, direct: bool) -> dict[str, Any]:
    return {"Network": "10.244.0.0/16", "Backend": {"Type": kind, "DirectRouting": direct}}


@pytest.mark.parametrize(
    ("kind", "direct", "route", "stale"),
    [
        ("vxlan", False, TUNNEL, False),
        ("vxlan", False, PLAIN, True),
        ("vxlan", True, TUNNEL, False),
        ("vxlan", True, PLAIN, False),
        ("vxlan", True, OF_ANOTHER, True),
        ("host-gw", False, PLAIN, False),
        ("host-gw", False, TUNNEL, True),
    ],
)
@pytest.mark.parametrize("near", [True, False])
def test_a_route_that_flanneld_itself_replaces_is_left_to_it(
    kind: str, direct: bool, route: dict[str, Any], stale: bool, near: bool
) -> None:
    routes = [*([LOCAL] if near else []), route]
    found = flannel.stale_routes(routes, network(kind, direct), [LEASE], [LEASE.address, "192.0.2.13"])
    assert found == ([route] if stale else [])


@pytest.mark.parametrize("route", [TUNNEL, PLAIN])
def test_with_direct_routing_a_node_may_be_reached_either_way(route: dict[str, Any]) -> None:
    """As where rules lead to it by another table than the one that is looked at."""
    fdb = [{"mac": LEASE.vtep_mac, "dst": LEASE.address}]
    neighbours = [{"dst": "10.244.2.0", "lladdr": LEASE.vtep_mac}]
    found = flannel.disagreements([LEASE], "192.0.2.11", network("vxlan", True), [route], fdb, neighbours)
    assert found == []
    assert flannel.disagreements([LEASE], "192.0.2.11", network("vxlan", True), [OF_ANOTHER], fdb, neighbours)
