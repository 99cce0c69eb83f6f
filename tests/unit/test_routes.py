from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan.changes import Change
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing import routes
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing.routes import Hop, Route, Table

NAMES = routes.Names(iproute.numbers("rt_protos", []), iproute.numbers("rt_tables", []))


def route(destination: str = "10.1.0.0/24", gateway: str = "10.1.0.1", protocol: str = "140", **more: Any) -> Route:
    return Route(4, destination, (Hop(gateway, "vx0", True),), protocol, **more)


def test_a_route_of_ip_is_read_in_numbers() -> None:
    entry = {
        "type": "unicast", "dst": "10.1.0.0/24", "gateway": "10.1.0.1", "dev": "vx0", "table": "main",
        "protocol": "static", "scope": "global", "metric": 5, "flags": ["onlink"], "metrics": [{"mtu": 1400}],
    }  # fmt: skip
    assert routes.from_json(entry, 4, NAMES) == route(protocol="4", metric=5, mtu=1400)


@pytest.mark.parametrize(
    ("dst", "family", "destination"),
    [
        ("default", 4, "0.0.0.0/0"),
        ("default", 6, "::/0"),
        ("10.1.0.1", 4, "10.1.0.1/32"),
        ("fd00::1", 6, "fd00::1/128"),
    ],
)
def test_destinations_are_read_with_their_length(dst: str, family: int, destination: str) -> None:
    found = routes.from_json({"dst": dst, "dev": "eth0", "flags": []}, family, NAMES)
    assert found is not None
    assert found.destination == destination


def test_iproute2_before_5_3_tells_a_lone_metric_without_its_name() -> None:
    found = routes.from_json({"dst": "10.1.0.0/24", "dev": "vx0", "flags": [], "metrics": [1400]}, 4, NAMES)
    assert found is not None
    assert found.mtu == 1400


@pytest.mark.parametrize("entry", [{"type": "local"}, {"type": "broadcast"}, {"type": "multicast"}, {"tos": "0x10"}])
def test_what_leads_to_no_other_machine_or_is_for_one_type_of_service_is_passed_over(entry: dict[str, Any]) -> None:
    assert routes.from_json({"dst": "10.1.0.0/24", "dev": "eth0", "flags": [], **entry}, 4, NAMES) is None


def test_a_route_over_several_hops_is_written_as_it_was_read() -> None:
    entry = {
        "dst": "10.1.0.0/24", "protocol": "bird", "metric": 32, "flags": [],
        "nexthops": [
            {"gateway": "10.0.0.1", "dev": "eth0", "weight": 2, "flags": ["onlink"]},
            {"via": {"family": "inet6", "host": "fe80::1"}, "dev": "eth1", "weight": 1, "flags": []},
        ],
    }  # fmt: skip
    found = routes.from_json(entry, 4, NAMES)
    assert found is not None
    assert found.put(found) == [
        "route replace 10.1.0.0/24 protocol 12 metric 32 "
        "nexthop via 10.0.0.1 dev eth0 onlink weight 2 nexthop via inet6 fe80::1 dev eth1 weight 1"
    ]


def test_a_route_without_a_hop_is_read_too() -> None:
    found = routes.from_json({"type": "blackhole", "dst": "10.1.0.0/24", "flags": []}, 4, NAMES)
    assert found is not None
    assert found.drop() == ["route delete blackhole 10.1.0.0/24 protocol 3"]


def test_nothing_is_planned_for_a_route_that_the_kernel_takes_already() -> None:
    behind = route(gateway="10.9.9.9", protocol="4")
    assert routes.additions([(route(), "here")], Table([route(), behind])) == []


def test_a_route_of_somebody_else_at_the_same_place_is_replaced() -> None:
    other = route(gateway="10.9.9.9", protocol="4")
    assert routes.additions([(route(), "here")], Table([other])) == [Change(other, route(), "here")]


def test_a_route_behind_another_is_brought_to_the_front() -> None:
    other = route(gateway="10.9.9.9", protocol="4")
    planned = routes.additions([(route(), "here")], Table([other, route()]))
    assert planned == [Change(route(), None, "here"), Change(other, route(), "here")]
    table = Table([other, route()])
    for change in planned:
        table.apply(change)
    assert table.at(route().key) == [route()]


def test_routes_with_another_metric_or_table_are_other_routes() -> None:
    assert routes.additions([(route(), "here")], Table([route(metric=5), route(table="99")])) == [
        Change(None, route(), "here")
    ]


def test_only_what_is_owned_and_not_wanted_is_removed() -> None:
    stale, other = route("10.2.0.0/24"), route("10.3.0.0/24", protocol="4")
    table = Table([route(), stale, other])
    removed = routes.removals([(route(), "w")], table, lambda one: one.protocol == "140", "here")
    assert removed == [Change(stale, None, "here")]


def test_a_network_of_the_host_itself_is_a_conflict_whatever_the_metric() -> None:
    own = Route(4, "10.1.0.0/24", (Hop("", "cni0"),), routes.KERNEL)
    assert list(routes.conflicts([(route(), "here")], Table([own]))) == [
        ("here", "10.1.0.0/24 is a network of this host, on cni0")
    ]
    assert list(routes.conflicts([(route(), "here")], Table([route(protocol="4")]))) == []


def test_twins_that_differ_in_their_mtu_alone_are_all_taken_away_for_the_wanted_one() -> None:
    twin = route(mtu=1400)
    planned = routes.additions([(route(), "here")], Table([route(), twin]))
    assert planned == [Change(route(), None, "here"), Change(twin, None, "here"), Change(None, route(), "here")]


def test_the_first_of_several_routes_is_put_back_before_the_others() -> None:
    first, second = Table([route(), route(gateway="10.9.9.9")])
    assert first.put(None)[0].startswith("route prepend ")
    assert second.put(None)[0].startswith("route append ")
