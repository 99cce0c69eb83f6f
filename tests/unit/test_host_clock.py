"""How far a host's clock is off is measured by a round trip, of which nobody knows which way was the slow one."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.action import host_facts
from ansible_collections.binary_cluster.networking.plugins.modules.host_facts import began
from hypothesis import given, strategies as st

seconds = st.floats(0, 300)


@given(st.floats(-4000, 4000), seconds, seconds, seconds)
def test_the_true_skew_is_within_the_error_however_slow_the_host(
    true: float, there: float, module: float, back: float
) -> None:
    began = 1e6 + there
    skew, error = host_facts.clock_skew(1e6, began + module + back, began + true, began + module + true)
    assert abs(skew - true) <= error + 1e-6
    assert error == pytest.approx((there + back) / 2, abs=1e-6)


class Host(host_facts.ActionModule):
    """An action whose connection takes time; that connection is the edge here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ahead: float, there: float, back: float) -> None:
        self.now, self.ahead, self.there, self.back = 1000.0, ahead, there, back
        self.found: dict[str, Any] = {}
        monkeypatch.setattr(host_facts.ActionModule.__mro__[1], "run", lambda *_words: {})
        monkeypatch.setattr(
            host_facts, "time", SimpleNamespace(time=lambda: self.now, monotonic=lambda: self.now - 900)
        )

    def _execute_module(self, *_words: Any, **_more: Any) -> dict[str, Any]:
        self.now += self.there
        began = self.now + self.ahead
        self.now += 2
        clock = {"began": began, "ended": self.now + self.ahead}
        self.now += self.back
        return self.found or {"ansible_facts": {"cluster_host": {"python": "3.11.2"}}, "clock": clock}


def test_a_host_that_loads_a_module_for_minutes_has_no_clock_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    result = Host(monkeypatch, ahead=0.5, there=219, back=1).run()
    facts = result["ansible_facts"]["cluster_host"]
    assert facts.pop("run")
    assert facts == {"python": "3.11.2", "clock_skew": 109.5, "clock_error": 110.0}
    assert "clock" not in result


def test_a_host_that_could_not_tell_its_facts_has_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, ahead=0, there=1, back=1)
    host.found = {"failed": True, "msg": "raw socket: this module needs root"}
    assert host.run() == {"failed": True, "msg": "raw socket: this module needs root"}


def test_the_process_began_a_little_before_now() -> None:
    assert 0 <= time.time() - began() < 24 * 3600
