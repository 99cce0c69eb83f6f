from __future__ import annotations

from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import changes as plan_changes, validation
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing import (
    host_routes,
    routes as routing_routes,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing.host_routes import State
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing.routes import Hop, Route
from ansible_collections.binary_cluster.networking.tests.unit.kernel_model import KernelModel
from hypothesis import given, settings, strategies as st

NAMES = routing_routes.Names(iproute.numbers("rt_protos", []), iproute.numbers("rt_tables", []))
EMPTY: dict[str, Any] = {"gateway": None, "device": None, "onlink": False, "metric": None, "table": "main", "mtu": None}
ADDRESSES: dict[str, tuple[str, ...]] = {"eth0": ("192.0.2.11",), "eth1": ("198.51.100.11",)}
CONNECTED = [
    Route(4, "192.0.2.0/24", (Hop("", "eth0"),), routing_routes.KERNEL),
    Route(4, "198.51.100.0/24", (Hop("", "eth1"),), routing_routes.KERNEL),
    Route(4, "198.51.0.0/16", (Hop("", "eth0"),), routing_routes.KERNEL),
]


def located(*entries: dict[str, Any]) -> tuple[host_routes.Placed, list[str]]:
    """The wanted routes on a host with two interfaces, and the faults."""
    faults = validation.Faults()
    wanted = host_routes.parse([{**EMPTY, **entry} for entry in entries], "141", NAMES, faults)
    return host_routes.located(wanted, State(ADDRESSES, routing_routes.Table(CONNECTED)), faults), faults.found


def test_the_narrowest_network_tells_the_device_of_a_gateway() -> None:
    wanted, faults = located(
        {"destination": "10.1.0.0/24", "gateway": "198.51.100.1"},
        {"destination": "10.2.0.0/24", "gateway": "198.51.7.1"},
    )
    assert faults == []
    assert [route.hops[0].device for route, _where in wanted] == ["eth1", "eth0"]


def test_a_named_device_must_have_the_gateways_network() -> None:
    _wanted, faults = located({"destination": "10.1.0.0/24", "gateway": "192.0.2.1", "device": "eth1"})
    assert faults == [
        "routes[0].gateway: 192.0.2.1 is on no network of eth1; with `device` and `onlink` it need not be"
    ]


def test_a_route_given_twice_counts_once_however_it_is_written() -> None:
    wanted, faults = located(
        {"destination": "10.1.0.0/24", "gateway": "192.0.2.1"},
        {"destination": "10.1.0.9/24", "gateway": "::ffff:192.0.2.1", "device": "eth0", "table": "254", "metric": 0},
    )
    assert faults == []
    assert len(wanted) == 1


def test_routes_without_a_gateway_come_first() -> None:
    wanted, _faults = located(
        {"destination": "10.1.0.0/24", "gateway": "203.0.113.1"}, {"destination": "203.0.113.0/24", "device": "eth0"}
    )
    assert [route.destination for route, _where in wanted] == ["203.0.113.0/24", "10.1.0.0/24"]


destinations = st.sampled_from([f"10.{n}.0.0/24" for n in range(2)])
routes = st.builds(
    lambda destination, gateway, protocol, metric, table, mtu: Route(
        4, destination, (Hop(gateway, "eth0", True),), protocol, table, metric, mtu
    ),
    destinations,
    st.sampled_from(["192.0.2.1", "192.0.2.2"]),
    st.sampled_from(["141", "80"]),
    st.sampled_from([0, 5]),
    st.sampled_from(["254", "99"]),
    st.sampled_from([0, 1400]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(routes, max_size=8), st.lists(routes, max_size=6), st.booleans(), st.integers(0, 12))
def test_a_plan_leads_to_the_wanted_routes_leaves_others_and_can_be_taken_back(
    present: list[Route], wanted: list[Route], purge: bool, fails: int
) -> None:
    kernel = KernelModel()
    for route in present:
        if route not in kernel.routes:
            kernel.routes.insert(0, route)
    placed = list({route.key: (route, "here") for route in wanted if route.protocol == "141"}.values())

    def state() -> State:
        return State(ADDRESSES, routing_routes.Table(kernel.routes))

    def planned() -> list[plan_changes.Change]:
        return host_routes.plan(placed, None, True, state(), "141", purge)

    before, others = list(kernel.routes), [route for route in kernel.routes if route.protocol == "80"]
    changes = planned()
    kernel.fails = fails
    try:
        plan_changes.apply(kernel, changes)
    except plan_changes.PlanError:
        assert sorted(route.text() for route in kernel.routes) == sorted(route.text() for route in before)
        # Of several with one key the first is the one that counts.
        taken = routing_routes.Table(before)
        assert {key: held[0] for key, held in routing_routes.Table(kernel.routes).by_key.items()} == {
            key: held[0] for key, held in taken.by_key.items()
        }
        return
    assert planned() == []
    for route in others:
        assert route in kernel.routes or route.key in [one.key for one, _where in placed]
    if purge:
        assert {route for route in kernel.routes if route.protocol == "141"} == {route for route, _where in placed}
