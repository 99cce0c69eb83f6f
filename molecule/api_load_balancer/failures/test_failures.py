"""Whatever breaks on the balancer that holds the address, clients are served by the other one soon.

The limits are generous, for a busy machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from testing import lab
from testing.failover import BACKENDS, Machines

NGINX, KEEPALIVED = "api-load-balancer-nginx", "api-load-balancer-keepalived"
LIMIT = 2.0
machines = Machines.of_this_lab()

# Somebody wants it: the address is handed over, and no answer is lost.
PLANNED: dict[str, Callable[[str], object]] = {
    "nginx is stopped": lambda holder: machines.stop(holder, NGINX),
    "keepalived is stopped": lambda holder: machines.stop(holder, KEEPALIVED),
    "nginx is restarted": lambda holder: machines.run(holder, f"systemctl restart {NGINX}"),
    "keepalived is restarted": lambda holder: machines.run(holder, f"systemctl restart {KEEPALIVED}"),
}
EVENTS: dict[str, Callable[[str], None]] = {
    "nginx is killed": lambda holder: machines.kill(holder, NGINX),
    "keepalived is killed": lambda holder: machines.kill(holder, KEEPALIVED),
    "the machine is frozen": machines.freeze,
    "the link is cut": machines.cut,
    "its backends refuse": lambda holder: machines.refuse(holder, [lab.address(name) for name in BACKENDS]),
}


@pytest.mark.parametrize("event", EVENTS)
def test_the_address_moves_once_and_does_not_come_back(event: str) -> None:
    holder = machines.holder()
    seen = machines.probe(lambda: EVENTS[event](holder))
    assert seen.gap <= LIMIT, seen
    assert seen.attempts > 100
    assert seen.moves == [machines.other(holder)]
    assert seen.holders == [machines.other(holder)]


@pytest.mark.parametrize("event", PLANNED)
def test_no_answer_is_lost_where(event: str) -> None:
    holder = machines.holder()
    # What counts is a connection that is lost, not one that a busy machine answers late.
    seen = machines.probe(lambda: PLANNED[event](holder), after=1, patience=2)
    assert seen.failed == 0, seen
    assert seen.attempts > 100
    assert seen.moves == [machines.other(holder)]
    assert seen.holders == [machines.other(holder)]


def test_moves_are_told_to_the_notify_program() -> None:
    for name in machines.balancers:
        told = machines.run(name, "journalctl -t vip -o cat")
        assert f"INSTANCE vip-51 MASTER {100 - machines.balancers.index(name)}" in told
        assert "INSTANCE vip-51 FAULT" in told


def test_a_killed_health_check_moves_nothing() -> None:
    holder = machines.holder()
    seen = machines.probe(lambda: machines.kill(holder, "api-load-balancer-health"))
    assert (seen.moves, seen.holders) == ([], [holder])


def test_an_address_stays_where_it_is_while_no_backend_is_alive_anywhere() -> None:
    holder = machines.holder()
    seen = machines.probe(machines.silence, after=6)
    assert seen.failed > 0
    assert (seen.moves, seen.holders) == ([], [holder])
    answered = machines.probe(lambda: time.sleep(1), after=0, interval=0.05, patience=2)
    assert answered.failed == 0


def test_a_balancer_whose_nginx_cannot_start_never_gets_the_address() -> None:
    holder = machines.holder()
    other = machines.other(holder)
    machines.run(other, f"systemctl stop {NGINX}")
    try:
        seen = machines.probe(lambda: machines.stop(holder, KEEPALIVED))
        assert other not in seen.moves
        assert seen.holders == [holder]
    finally:
        machines.run(other, f"systemctl start {NGINX}")


def test_a_balancer_that_comes_back_after_a_restart_takes_part_and_takes_nothing() -> None:
    holder = machines.holder()
    other = machines.other(holder)
    # A machine that boots takes the processors from its neighbours: answers may be late, and none may be lost.
    seen = machines.probe(
        lambda: machines.engine("restart", machines.container(other)), after=5, interval=0.05, patience=2
    )
    done = lab.run(lab.CHECKOUT / "molecule" / "api_load_balancer" / "after_restart.yml", "--limit", other)
    assert done.returncode == 0, done.stdout
    assert seen.failed == 0
    assert (seen.moves, seen.holders) == ([], [holder])
    moved = machines.probe(lambda: machines.stop(holder, KEEPALIVED))
    assert moved.holders == [other]
