"""Packets of both IP versions between pods, plain and wrapped, as a host sees them."""

from __future__ import annotations

import socket
import struct

from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import capture, nft_trace

PODS = frozenset({"fd00::2", "fd00:0:0:1::2"})


def ipv6(source: str = "fd00::2", target: str = "fd00:0:0:1::2", protocol: int = 58, body: bytes = b"\x80") -> bytes:
    ends = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target)
    return struct.pack("!IHBB", 6 << 28, len(body), protocol, 64) + ends + body


def vxlan(inner: bytes, kind: int = capture.ETH_P_IPV6) -> bytes:
    """A frame wrapped by 192.0.2.11 for 192.0.2.12, in VNI 1."""
    wrapped = struct.pack("!HHHH", 4789, 4789, 0, 0) + b"\x08\0\0\0" + b"\0\0\x01\0" + bytes(12)
    body = wrapped + struct.pack("!H", kind) + inner
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, socket.IPPROTO_UDP, 0)
    return header + socket.inet_aton("192.0.2.11") + socket.inet_aton("192.0.2.12") + body


def seen(data: bytes) -> capture.Sighting | None:
    return capture.sighting(data, "eth0", capture.OUTGOING, PODS, (4789,))


def test_ipv6_between_pods_is_seen_plain() -> None:
    assert seen(ipv6()) == capture.Sighting("fd00::2", "fd00:0:0:1::2", 58, "eth0", "out")
    assert seen(ipv6(source="fd00::9")) is None


def test_ipv6_between_pods_is_seen_in_a_tunnel_over_ipv4() -> None:
    found = seen(vxlan(ipv6(protocol=6, body=bytes(20))))
    assert found and (found.source, found.protocol) == ("fd00::2", 6)
    assert (found.wrapping, found.vni, found.port, found.outer_target) == ("vxlan", 1, 4789, "192.0.2.12")
    assert seen(vxlan(ipv6(), kind=0x0806)) is None


def test_a_later_fragment_of_ipv6_counts_by_what_it_is_a_part_of() -> None:
    fragment = struct.pack("!BBHI", socket.IPPROTO_UDP, 0, 1448, 7) + bytes(8)
    found = capture.packet(ipv6(protocol=socket.IPPROTO_FRAGMENT, body=fragment))
    assert found and found.protocol == socket.IPPROTO_UDP and found.fragment
    assert capture.packet(ipv6()[:39]) is None


def test_a_trace_tells_the_addresses_of_both_ip_versions() -> None:
    assert nft_trace.addresses(ipv6()) == ("fd00::2", "fd00:0:0:1::2")
    assert nft_trace.addresses(vxlan(ipv6())) == ("192.0.2.11", "192.0.2.12")
    assert nft_trace.addresses(ipv6()[:30]) is None
