"""Send what only a member of the cluster should: by itself, or in a pod as `python3 - ARGUMENT... < forge.py`.

usage: forge.py tunnelled NODE PORT VNI MAC SOURCE TARGET    a packet in VXLAN, to a node's tunnel
       forge.py spoofed SOURCE TARGET                        a packet under any source address
       forge.py connect ADDRESS PORT...                      says of each port: open or shut
"""

from __future__ import annotations

import socket
import struct
import sys

# Nobody listens there: the pod's kernel counts what arrives (NoPorts of udp in /proc/net/snmp).
PORT = 9
PATIENCE = 0.4


def packet(source: str, target: str) -> bytes:
    """An IPv4 packet with UDP, which may go without a checksum (RFC 768)."""
    udp = struct.pack("!HHHH", 40000, PORT, 12, 0) + b"forg"
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0)
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    total = sum(struct.unpack("!10H", head + ends))
    checksum = ~(total % 0xFFFF) & 0xFFFF
    return head[:10] + struct.pack("!H", checksum) + ends + udp


def tunnelled(node: str, port: int, vni: int, mac: str, source: str, target: str) -> None:
    """Send a packet as VXLAN wraps it (RFC 7348, section 5)."""
    frame = bytes.fromhex(mac.replace(":", "")) + bytes.fromhex("020000000001") + b"\x08\x00" + packet(source, target)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(struct.pack("!II", 0x08 << 24, vni << 8) + frame, (node, port))


def spoofed(source: str, target: str) -> None:
    """Send a packet under an address that need not be this machine's."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
        sender.sendto(packet(source, target), (target, 0))


def connect(address: str, port: int) -> str:
    """Whether a TCP port takes a connection."""
    try:
        with socket.create_connection((address, port), PATIENCE):
            return "open"
    except OSError:
        return "shut"


if __name__ == "__main__":
    kind, *words = sys.argv[1:]
    if kind == "tunnelled":
        tunnelled(words[0], int(words[1]), int(words[2]), *words[3:])
    elif kind == "spoofed":
        spoofed(*words)
    else:
        print(*(connect(words[0], int(port)) for port in words[1:]))
