"""Under which address a pod's connections leave, from packets as they are captured."""

from __future__ import annotations

import ipaddress
import struct

from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import capture
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing import egress_source

POD, NODE, OUTSIDE = "10.244.1.2", "192.0.2.11", "198.51.100.7"


def packet(source: str, sequence: int, flags: int = 0x02, protocol: int = 6, target: str = OUTSIDE) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, protocol, 0)
    ends = ipaddress.IPv4Address(source).packed + ipaddress.IPv4Address(target).packed
    return head + ends + struct.pack("!HHIIBBHHH", 40000, 443, sequence, 0, 0x50, flags, 65535, 0, 0)


def seen(*packets: tuple[bytes, int]) -> list[egress_source.Opening]:
    return [one for one in (egress_source.opening(data, kind) for data, kind in packets) if one]


def test_a_masqueraded_connection_is_known_again_by_its_sequence_number() -> None:
    openings = seen((packet(POD, 7), capture.HOST), (packet(NODE, 7), capture.OUTGOING))
    assert egress_source.sources(openings, POD) == {"198.51.100.7:443": NODE}


def test_what_leaves_as_it_came_is_not_masqueraded() -> None:
    openings = seen((packet(POD, 7), capture.HOST), (packet(POD, 7), capture.OUTGOING))
    assert egress_source.sources(openings, POD) == {"198.51.100.7:443": POD}


def test_the_host_s_own_connections_are_not_the_pod_s() -> None:
    openings = seen((packet(POD, 7), capture.HOST), (packet(NODE, 8), capture.OUTGOING))
    assert egress_source.sources(openings, POD) == {}


def test_only_the_first_packet_of_a_connection_counts() -> None:
    assert seen((packet(POD, 7, flags=0x12), capture.HOST), (packet(POD, 7, flags=0x10), capture.HOST)) == []
    assert seen((packet(POD, 7, protocol=17), capture.HOST), (b"\x45" * 12, capture.HOST)) == []
