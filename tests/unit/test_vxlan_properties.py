"""Whatever is there and whatever is wanted: the plan leads there, is exact, and can be taken back."""

from __future__ import annotations

import contextlib
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import changes as plan_changes, validation
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan.changes import Change
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan import (
    checks as vxlan_checks,
    link as vxlan_link,
    plan as vxlan_plan,
    spec as vxlan_spec,
    state as vxlan_state,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.spec import Wanted
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.state import State
from ansible_collections.binary_cluster.networking.tests.unit.kernel_model import KernelModel
from ansible_collections.binary_cluster.networking.tests.unit.vxlan_strategies import DEFAULTS, devices, noise
from hypothesis import assume, example, given, settings, strategies as st

PROTOCOL = "140"
PLAIN = [
    dict(DEFAULTS, name=f"vx{number}", vni=number, port=4789 + number, local="192.0.2.11", flood=[])
    for number in (1, 2)
]
PEER = {"underlay": "198.51.100.1", "mac": "02:00:00:00:01:01", "overlay": ["10.1.1.1"], "subnets": []}


def parsed(params: list[dict[str, Any]]) -> list[Wanted]:
    """The devices; random ones are right by construction."""
    faults = validation.Faults()
    wanted = vxlan_spec.parse(params, PROTOCOL, faults)
    assert faults.found == []
    return wanted


def planned(wanted: list[Wanted], state: State, purge: bool = True) -> list[Change]:
    """The plan, of what the host allows."""
    faults = validation.Faults()
    vxlan_checks.judge(wanted, state, True, faults)
    assume(not faults.found)
    return vxlan_plan.plan(wanted, state, PROTOCOL, purge)


def populated(params: list[dict[str, Any]], others: list[Any]) -> KernelModel:
    """A kernel with devices, after others have been at them."""
    kernel = KernelModel()
    wanted = parsed(params)
    plan_changes.apply(kernel, planned(wanted, kernel.state()))
    for (program, line), name in others:
        with contextlib.suppress(iproute.BatchError):
            kernel.change([line.format(name)], program)
    return kernel


def sound(state: State) -> bool:
    """Whether each device has the entry of its remote: the kernel makes it with the device, wanted back or not."""
    defaults = {name: vxlan_state.default_entry(link) for name, link in state.links.items()}
    return all(entry is None or entry.key in state.fdb[name] for name, entry in defaults.items())


def texts(state: State) -> str:
    """All that the state holds."""
    routes = "".join(sorted(f"{route.text()}\n" for route in state.routes))
    return "".join(state.text(name) for name in sorted(state.links)) + routes


@settings(max_examples=300, deadline=None)
@given(devices, noise, devices, st.booleans())
def test_after_a_plan_is_carried_out_there_is_nothing_left_to_plan(
    first: list[dict[str, Any]], others: list[Any], second: list[dict[str, Any]], purge: bool
) -> None:
    kernel = populated(first, others)
    wanted = parsed(second)
    before = kernel.state()
    changes = planned(wanted, before, purge)
    foretold = vxlan_state.planned(before, changes)
    plan_changes.apply(kernel, changes)
    after = kernel.state()
    for name, link in foretold.links.items():
        assert link.mac in ("", after.links[name].mac)
        foretold.links[name] = after.links[name] if not link.mac else link
    assert texts(foretold) == texts(after), "the diff is exact"
    assert vxlan_plan.plan(wanted, after, PROTOCOL, purge) == []


@settings(max_examples=300, deadline=None)
@given(devices, noise, devices, st.integers(1, 40))
@example(
    # An address that a device got while it was down outlasts its being up for a moment.
    PLAIN,
    [
        (("ip", "link set dev {} down"), "vx1"),
        (("ip", "link set dev {} down"), "vx2"),
        (("ip", "address replace fd00:1::9/64 dev {}"), "vx1"),
    ],
    PLAIN,
    2,
)
@example(
    # Taking back the first IPv4 address of a device takes along the neighbours that were there before it.
    [dict(PLAIN[0], peers=[PEER])],
    [],
    [dict(PLAIN[0], addresses=["10.1.0.1/24", "10.1.0.2/24"])],
    2,
)
def test_a_plan_that_is_refused_anywhere_is_taken_back(
    first: list[dict[str, Any]], others: list[Any], second: list[dict[str, Any]], fails: int
) -> None:
    kernel = populated(first, others)
    wanted = parsed(second)
    before = kernel.state()
    assume(sound(before))
    changes = planned(wanted, before)
    kernel.fails = kernel.taken + fails
    try:
        plan_changes.apply(kernel, changes)
    except plan_changes.PlanError:
        now = kernel.state()
        for name, was in before.links.items():
            if name in now.links and vxlan_link.unchangeable(now.links[name], was, now.kernel):
                plan_changes.apply(kernel, vxlan_plan.rebuild(name, before, now))
        assert texts(kernel.state()) == texts(before)


@settings(max_examples=150, deadline=None)
@given(devices, noise, devices)
def test_what_carries_the_mark_of_others_stays_where_it_is_not_replaced(
    first: list[dict[str, Any]], others: list[Any], second: list[dict[str, Any]]
) -> None:
    kernel = populated(first, others)
    before = kernel.state()
    changes = planned(parsed(second), before)
    plan_changes.apply(kernel, changes)
    # What goes with a device, its address or its being up is named in the plan as the kernel's doing.
    excused = {change.before for change in changes if change.implied}
    wanted = {change.after.key: change.after for change in changes if hasattr(change.after, "key")}
    for route in before.routes:
        if route.protocol == "80" and route not in excused and route.key not in wanted:
            assert route in list(kernel.state().routes)
    for name, entries in before.fdb.items():
        for entry in entries.values():
            if (
                not entry.ours
                and entry not in excused
                and entry.key not in wanted
                and not entry.extra.startswith("via")
            ):
                assert entry.key in kernel.state().fdb[name]


@settings(max_examples=100, deadline=None)
@given(devices, noise)
def test_removed_devices_leave_nothing_and_can_be_brought_back(first: list[dict[str, Any]], others: list[Any]) -> None:
    kernel = populated(first, others)
    before = kernel.state()
    assume(sound(before))
    names = [(name, name) for name in ("vx1", "vx2")]
    changes = vxlan_plan.removal(names, before)
    plan_changes.apply(kernel, changes)
    assert not kernel.state().links
    assert not [route for route in kernel.state().routes if route.uses("vx1") or route.uses("vx2")]
    plan_changes.undo(kernel, changes)
    assert texts(kernel.state()) == texts(before)
