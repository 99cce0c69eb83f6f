"""Random devices on the real kernel: the plan leads there, is exact, and can be taken back."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import changes as plan_changes, validation
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan import (
    checks as vxlan_checks,
    link as vxlan_link,
    plan as vxlan_plan,
    spec as vxlan_spec,
    state as vxlan_state,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.state import State
from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import SECONDS, Host, underlay
from ansible_collections.binary_cluster.networking.tests.unit.vxlan_strategies import devices, noise
from hypothesis import HealthCheck, Phase, assume, given, settings, strategies as st

PROTOCOL = "140"
# To shrink an example on the kernel takes minutes; it is small enough as it is found.
bounded = settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
NAMES = ("vx1", "vx2")


class Failing(iproute.IpRoute):
    """A kernel that refuses the line of a number, as if it were one it does not understand."""

    fails = 0

    def change(self, lines: Any, program: str = "ip", force: bool = False) -> None:
        if 0 < self.fails <= len(lines) and not force:
            lines = [*lines[: self.fails - 1], "nonsense nobody understands"]
        self.fails -= len(lines)
        super().change(lines, program, force)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Failing]:
    """The kernel of one host for all examples, with the interfaces that they name."""
    with underlay(Path(tmp_path_factory.mktemp("random"))) as made:
        host: Host = made.add(1)[0]
        for line in (
            "link add eth1 type veth peer name far1",
            "link set far1 up",
            "link set eth1 up mtu 1400",
            "link add br0 up type bridge",
            "address add 192.0.2.12/32 dev eth1",
            "address add 2001:db8::12/128 dev eth1 nodad",
        ):
            host.ip(line)

        def run(args: list[str], *, data: str | None = None) -> tuple[int, str, str]:
            command = ["ip", "netns", "exec", host.name, *args]
            done = subprocess.run(command, input=data, capture_output=True, text=True, timeout=SECONDS, check=False)
            return done.returncode, done.stdout, done.stderr

        yield Failing(run)


def observe(kernel: Failing) -> State:
    return vxlan_state.observe(kernel, NAMES)


def cleared(kernel: Failing) -> None:
    """Remove what an example before left."""
    lines = [f"link delete dev {name}" for name in NAMES]
    lines += [f"route flush protocol {number}" for number in (80, 140)]
    kernel.run(["ip", "-force", "-batch", "-"], data="\n".join(lines) + "\n")
    kernel.run(["ip", "-6", "route", "flush", "protocol", "80"])
    kernel.fails = 0


def reach(
    kernel: Failing, params: list[dict[str, Any]]
) -> tuple[State, list[plan_changes.Change], list[vxlan_spec.Wanted]]:
    """The state before, the plan and the wanted devices."""
    faults = validation.Faults()
    wanted = vxlan_spec.parse(params, PROTOCOL, faults)
    before = observe(kernel)
    vxlan_checks.judge(wanted, before, True, faults)
    assume(not faults.found)
    return before, vxlan_plan.plan(wanted, before, PROTOCOL, True), wanted


def populate(kernel: Failing, params: list[dict[str, Any]], others: list[Any]) -> None:
    """Make devices, and let others at them."""
    cleared(kernel)
    _before, changes, _wanted = reach(kernel, params)
    plan_changes.apply(kernel, changes)
    for (program, line), name in others:
        kernel.run([program, *line.format(name).split()])


def texts(state: State) -> list[str]:
    """All that the state holds, save what the kernel makes by itself."""
    routes = [route.text() for route in state.routes if route.protocol in ("80", "140")]
    return [line for name in NAMES for line in state.text(name).splitlines()] + sorted(routes)


@bounded
@given(devices, noise, devices)
def test_after_a_plan_is_carried_out_there_is_nothing_left_to_plan(
    kernel: Failing, first: list[dict[str, Any]], others: list[Any], second: list[dict[str, Any]]
) -> None:
    populate(kernel, first, others)
    before, changes, wanted = reach(kernel, second)
    foretold = vxlan_state.planned(before, changes)
    plan_changes.apply(kernel, changes)
    after = observe(kernel)
    for name, link in foretold.links.items():
        foretold.links[name] = link if link.mac else after.links[name]
    assert texts(foretold) == texts(after), "the diff is exact"
    assert vxlan_plan.plan(wanted, after, PROTOCOL, True) == []


@bounded
@given(devices, noise, devices, st.integers(1, 20))
def test_a_plan_that_is_refused_anywhere_is_taken_back(
    kernel: Failing, first: list[dict[str, Any]], others: list[Any], second: list[dict[str, Any]], fails: int
) -> None:
    populate(kernel, first, others)
    before, changes, _wanted = reach(kernel, second)
    defaults = [(name, vxlan_state.default_entry(link)) for name, link in before.links.items() if name in NAMES]
    assume(all(entry is None or entry.key in before.fdb[name] for name, entry in defaults))
    kernel.fails = fails
    try:
        plan_changes.apply(kernel, changes)
    except plan_changes.PlanError:
        kernel.fails = 0
        now = observe(kernel)
        for name, was in before.links.items():
            if name in now.links and vxlan_link.unchangeable(now.links[name], was, now.kernel):
                plan_changes.apply(kernel, vxlan_plan.rebuild(name, before, now))
        assert texts(observe(kernel)) == texts(before)
