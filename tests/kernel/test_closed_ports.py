"""Who gets through to closed ports, and what pods may send, on the real kernel."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._firewall import closed_ports
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import validation
from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import CommandFailed, Host, Namespace

Hosts = Callable[[int], list[Host]]
VXLAN, ETCD, IPIP = {"protocol": "udp", "ports": [8472]}, {"protocol": "tcp", "ports": [2379, 2380]}, {"protocol": "4"}
POD, GATEWAY, CIDR = "10.244.1.2", "10.244.1.1", "10.244.0.0/16"
# Sends one packet: what the IP header says is given.
SEND = """
import socket, struct, sys
source, target, protocol = sys.argv[1], sys.argv[2], int(sys.argv[3])
payload = bytes.fromhex(sys.argv[4])
packer = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
packer.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
if protocol == 6:
    # Else connection tracking takes no notice of it, and nobody masquerades it.
    pseudo = socket.inet_aton(source) + socket.inet_aton(target) + struct.pack("!HH", protocol, len(payload)) + payload
    total = sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo))
    payload = payload[:16] + struct.pack("!H", ~(total % 0xFFFF) & 0xFFFF) + payload[18:]
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0,
                   socket.inet_aton(source), socket.inet_aton(target))
packer.sendto(head + payload, (target, 0))
"""


def script(members: list[str], **more: Any) -> str:
    """The script of a table with these members."""
    options: dict[str, Any] = {
        "closed": [VXLAN, ETCD, IPIP], "between": [VXLAN, ETCD, IPIP], "allowed": [], "interfaces": ["cni0"],
        "networks": [CIDR], **more,
    }  # fmt: skip
    faults = validation.Faults()
    made = closed_ports.table(members, faults=faults, **options)
    assert faults.found == []
    return made.script()


def load(host: Namespace, text: str) -> None:
    host.exec("nft", "-f", "-", data=text)


def opened(host: Namespace) -> None:
    """Take the table away, so that a test sees what would get through without it."""
    host.exec("nft", "delete", "table", "inet", closed_ports.TABLE)


def counting(host: Namespace, match: str, hook: str = "input") -> Callable[[], int]:
    """Count packets that come as far as a hook; a function that tells how many came since it was called last."""
    rules = (
        "table inet counting\ndelete table inet counting\n"
        f"table inet counting {{ chain seen {{ type filter hook {hook} priority 0; {match} counter; }}; }}\n"
    )
    host.exec("nft", "-f", "-", data=rules)

    def count() -> int:
        # A packet may have to wait for its neighbour's answer.
        time.sleep(0.15)
        words = host.exec("nft", "list", "table", "inet", "counting").split()
        host.exec("nft", "-f", "-", data=rules)
        return int(words[words.index("packets") + 1])

    return count


def send(sender: Namespace, source: str, target: str, protocol: int, payload: bytes) -> None:
    sender.exec(sys.executable, "-c", SEND, source, target, str(protocol), payload.hex())


def pings(sender: Namespace, address: str, *options: str) -> bool:
    with contextlib.suppress(CommandFailed):
        sender.exec("ping", "-c", "1", "-W", "1", *options, address)
        return True
    return False


def udp(port: int) -> bytes:
    """A UDP packet without a checksum."""
    return bytes([0x9C, 0x40]) + port.to_bytes(2, "big") + (12).to_bytes(2, "big") + bytes(2) + b"ping"


def syn(port: int) -> bytes:
    """The first packet of a TCP connection, without its checksum."""
    return bytes([0x9C, 0x40]) + port.to_bytes(2, "big") + bytes(8) + bytes([0x50, 0x02, 0xFF, 0xFF, 0, 0, 0, 0])


PACKETS = {
    "vxlan": (17, udp(8472), "udp dport 8472"),
    "etcd": (6, syn(2379), "tcp dport 2379"),
    "ipip": (4, b"\x45" + bytes(19), "meta l4proto 4"),
}


@contextlib.contextmanager
def pod(host: Host) -> Iterator[Namespace]:
    """A pod on a bridge of a host that forwards and masquerades."""
    made = Namespace("pod")
    try:
        host.ip("link add cni0 up type bridge")
        host.ip(f"address add {GATEWAY}/24 dev cni0")
        host.ip(f"link add veth0 type veth peer name eth0 netns {made.name}")
        host.ip("link set veth0 up master cni0")
        made.ip("link set eth0 up")
        made.ip(f"address add {POD}/24 dev eth0")
        made.ip(f"route add default via {GATEWAY}")
        host.exec("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        rule = f"ip saddr {CIDR} ip daddr != {CIDR} masquerade"
        host.exec(
            "nft", "add table ip out; add chain ip out nat { type nat hook postrouting priority 100; }; "
            f"add rule ip out nat {rule}",
        )  # fmt: skip
        yield made
    finally:
        made.remove()


def test_a_closed_port_takes_packets_from_members_alone(hosts: Hosts) -> None:
    guarded, member, stranger = hosts(3)
    for protocol, payload, match in PACKETS.values():
        arrived = counting(guarded, match)
        load(guarded, script([guarded.address, member.address]))
        send(member, member.address, guarded.address, protocol, payload)
        assert arrived() == 1
        send(stranger, stranger.address, guarded.address, protocol, payload)
        assert arrived() == 0
        opened(guarded)
        send(stranger, stranger.address, guarded.address, protocol, payload)
        assert arrived() == 1


def test_others_are_let_through_where_they_are_allowed_to_and_only_there(hosts: Hosts) -> None:
    guarded, other = hosts(2)
    allowed = [{"source": "192.0.2.12/31", **ETCD}]
    load(guarded, script([guarded.address], allowed=allowed))
    for kind, expected in (("etcd", 1), ("vxlan", 0), ("ipip", 0)):
        protocol, payload, match = PACKETS[kind]
        arrived = counting(guarded, match)
        send(other, other.address, guarded.address, protocol, payload)
        assert (kind, arrived()) == (kind, expected)


def test_what_is_not_closed_is_open_to_all(hosts: Hosts) -> None:
    guarded, stranger = hosts(2)
    load(guarded, script([guarded.address]))
    assert stranger.pings(guarded.address)
    assert guarded.pings(stranger.address)
    arrived = counting(guarded, "udp dport 8473")
    send(stranger, stranger.address, guarded.address, 17, udp(8473))
    assert arrived() == 1


def test_a_host_speaks_to_itself(host: Host) -> None:
    load(host, script(["192.0.2.99"]))
    arrived = counting(host, "udp dport 8472")
    send(host, host.address, host.address, 17, udp(8472))
    assert arrived() >= 1


def test_a_pod_reaches_no_members_closed_port_though_it_is_masqueraded(hosts: Hosts) -> None:
    node, other = hosts(2)
    with pod(node) as inside:
        load(other, script([node.address, other.address]))
        for protocol, payload, match in PACKETS.values():
            load(node, script([node.address, other.address]))
            for target in (other, node):
                arrived = counting(target, match)
                send(inside, POD, target.address, protocol, payload)
                assert arrived() == 0
            opened(node)
            arrived = counting(other, match)
            send(inside, POD, other.address, protocol, payload)
            assert arrived() == 1  # as if the node itself had sent it
        load(node, script([node.address, other.address]))
        assert pings(inside, other.address)


def test_a_pod_sends_under_its_own_address_alone(hosts: Hosts) -> None:
    node, other = hosts(2)
    with pod(node) as inside:
        left = counting(node, "udp dport 9", "postrouting")
        for source in ("10.244.2.9", other.address, GATEWAY, "203.0.113.1"):
            load(node, script([node.address, other.address]))
            send(inside, POD, other.address, 17, udp(9))
            assert left() == 1
            send(inside, source, other.address, 17, udp(9))
            assert left() == 0
            opened(node)
            send(inside, source, other.address, 17, udp(9))
            # The kernel itself drops packets under an address of the host's own.
            assert left() == (0 if source == GATEWAY else 1)


def test_pods_find_their_neighbours_and_ask_for_addresses(hosts: Hosts) -> None:
    node = hosts(1)[0]
    with pod(node) as inside:
        load(node, script([node.address], networks=[CIDR, "fd00:244::/48"]))
        node.ip("address add fd00:244:0:1::1/64 dev cni0 nodad")
        inside.ip("address add fd00:244:0:1::2/64 dev eth0 nodad")
        assert pings(inside, "fd00:244:0:1::1")
        # Routers and neighbours have been looked for from addresses of the link, and from none.
        assert "counter packets 0 " in node.exec("nft", "list", "chain", "inet", closed_ports.TABLE, "sources")
        inside.ip("address add fd00:244:0:2::2/64 dev eth0 nodad")
        assert not pings(inside, "fd00:244:0:1::1", "-I", "fd00:244:0:2::2")


def test_the_table_is_listed_alike_each_time_it_is_loaded(host: Host) -> None:
    """What the module compares a table with."""
    text = script([f"192.0.2.{number}" for number in range(1, 60)], allowed=[{"source": "198.51.100.7", **ETCD}])
    listed = []
    for _time in range(3):
        load(host, text)
        listed.append(host.exec("nft", "--numeric", "--stateless", "list", "table", "inet", closed_ports.TABLE))
    assert len(set(listed)) == 1


def test_other_tables_are_left_alone(host: Host) -> None:
    host.exec("nft", "add table inet foreign; add chain inet foreign own; add rule inet foreign own counter")
    before = host.exec("nft", "list", "table", "inet", "foreign")
    load(host, script([host.address]))
    load(host, script([host.address]))
    assert host.exec("nft", "list", "table", "inet", "foreign") == before
