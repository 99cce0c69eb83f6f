"""The tunnel goes on, and masquerading and the firewall are back, after others flushed the host's firewall."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testing import disturbed, lab
from testing.boot import boot

DEVICE = "cat /sys/class/net/vxlan-mesh/ifindex"


@pytest.fixture(scope="module", autouse=True)
def rebooted() -> Iterator[None]:
    """A boot gives the host back what is flushed here."""
    yield
    boot(disturbed.HOST, "vxlan_mesh", "binary-cluster-firewall", "vxlan_mesh-restore.path")


def test_what_nftables_flushes_is_loaded_again_and_the_device_stays() -> None:
    before = lab.inside(disturbed.HOST, DEVICE)
    for verb in ("start", "restart", "reload"):
        disturbed.comes_back("vxlan_mesh", lambda verb=verb: disturbed.flush(verb))  # type: ignore[misc]
    assert lab.inside(disturbed.HOST, DEVICE) == before


def test_entries_and_routes_of_the_device_are_added_again() -> None:
    kept = (
        "bridge fdb show dev vxlan-mesh; ip neighbour show dev vxlan-mesh nud permanent; ip address show dev vxlan-mesh"
    )
    before = lab.inside(disturbed.HOST, kept)
    lost = (
        "ip route flush proto 145; ip neighbour flush dev vxlan-mesh nud permanent;"
        " ip address flush dev vxlan-mesh scope global && systemctl restart vxlan_mesh"
    )
    disturbed.comes_back("vxlan_mesh", lambda: lab.inside(disturbed.HOST, lost) and None)
    assert sorted(lab.inside(disturbed.HOST, kept).splitlines()) == sorted(before.splitlines())
