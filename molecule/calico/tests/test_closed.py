"""What the nodes use between themselves is for members alone, with Calico too, which has rules of its own."""

from __future__ import annotations

from testing import forge
from testing.closed import (  # pylint: disable=unused-import
    Pod,
    arrives,
    pods,  # noqa: F401
    test_a_pod_reaches_no_member_of_etcd,  # noqa: F401
)


def test_nothing_comes_out_of_the_tunnel_that_is_not_a_members(pods: tuple[Pod, Pod]) -> None:  # noqa: F811
    """Felix has rules of its own against that, besides the firewall."""
    first, second = pods
    before = second.arrived()
    _kind, node, port, vni, mac, source, target = second.through_its_tunnel(first.address)
    forge.tunnelled(node, int(port), int(vni), mac, source, target)
    first.send(*second.through_its_tunnel("10.244.200.7"))
    assert not arrives(second, before)


def test_felix_keeps_pods_to_their_own_addresses(pods: tuple[Pod, Pod]) -> None:  # noqa: F811
    """The firewall leaves that to it, for it knows which pods may."""
    first, second = pods
    before = second.arrived()
    for source in ("10.244.200.7", second.address.rpartition(".")[0] + ".63"):
        first.send("spoofed", source, second.address)
    assert not arrives(second, before)
    first.send("spoofed", first.address, second.address)
    assert arrives(second, before)
