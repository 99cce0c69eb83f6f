"""Within a subnet packets go as they are, to another one wrapped."""

from __future__ import annotations

from testing import lab, wire


def test_every_pair_of_pods_is_whole() -> None:
    assert lab.changes(lab.runs("cross_subnet.yml")[0])
    assert lab.connectivity()["ok"] and lab.connectivity()["backend"] == "calico"


def test_the_node_that_has_the_other_in_its_subnet_does_not_wrap() -> None:
    counted = wire.counted()
    assert counted["cp-1_plain"] > 0 and counted["cp-1_wrapped"] == 0


def test_the_node_that_has_the_other_in_another_subnet_wraps() -> None:
    counted = wire.counted()
    assert counted["worker-2_wrapped"] > 0 and counted["worker-2_plain"] == 0
