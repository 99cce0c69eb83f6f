"""What a pod on every node saw of the switches, pinging that of another node all the time."""

from __future__ import annotations

import pytest

from testing import lab

# Far above what a switch takes on a quiet machine: this is no benchmark.
SECONDS = 60


@pytest.mark.parametrize("node", lab.names("nodes"))
def test_the_outage_of_each_switch_was_bounded(node: str) -> None:
    seen = lab.kept(f"pod-{node}")
    assert seen["answered"] > 100
    assert 3 <= len(seen["gaps"]) <= 6
    assert max(seen["gaps"]) < SECONDS
