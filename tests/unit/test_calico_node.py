"""What a node of Calico is judged by: blocks, routes, sessions, and the rules that go with it."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
from collections.abc import Iterator

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._backends import calico
from ansible_collections.binary_cluster.networking.plugins.module_utils._firewall import daemon_rules

NODES = {"node1": "192.0.2.11", "node2": "192.0.2.12", "node4": "198.51.100.14"}
HELD = [
    calico.Block("node1", "10.244.1.0/26"),
    calico.Block("node2", "10.244.2.0/26"),
    calico.Block("node4", "10.244.4.0/26"),
    calico.Block("gone", "10.244.9.0/26"),
]


def missing(encapsulation: str, **devices: str) -> list[str]:
    """What node1 misses whose routes lead through these devices; plain ones to the address of the node."""
    routes = [
        {"dst": f"10.244.{name[4:]}.0/26", "dev": device, **({"gateway": NODES[name]} if device == "eth0" else {})}
        for name, device in devices.items()
    ]
    return calico.missing_routes(HELD, routes, "node1", NODES, "192.0.2.0/24", encapsulation)


def test_blocks_are_read_from_the_keys_of_affinities() -> None:
    keys = [
        "/calico/ipam/v2/host/node1/ipv4/block/10.244.1.0-26",
        "/calico/ipam/v2/host/node1/ipv6/block/fd00::-122",
        "/calico/ipam/v2/host/",
    ]
    assert calico.blocks(keys) == [calico.Block("node1", "10.244.1.0/26")]


def test_addresses_are_read_from_nodes_and_one_without_is_left_out() -> None:
    kept = {
        f"{calico.NODES}node1": {"value": '{"spec": {"bgp": {"ipv4Address": "192.0.2.11/24"}}}'},
        f"{calico.NODES}node2": {"value": '{"spec": {}}'},
    }
    assert calico.addresses(kept) == {"node1": "192.0.2.11"}


def test_tunnels_to_all_nodes_are_enough_for_vxlan() -> None:
    assert missing("vxlan", node2="vxlan.calico", node4="vxlan.calico") == []


def test_a_block_without_a_route_is_told() -> None:
    assert missing("vxlan", node2="vxlan.calico") == ["no route to 10.244.4.0/26 of node4"]


def test_a_plain_route_is_wrong_for_vxlan() -> None:
    told = "route to 10.244.2.0/26 of node2 through eth0 via 192.0.2.12"
    assert missing("vxlan", node2="eth0", node4="vxlan.calico") == [told]


@pytest.mark.parametrize(
    ("node2", "node4", "told"),
    [
        ("eth0", "vxlan.calico", []),
        ("vxlan.calico", "vxlan.calico", ["route to 10.244.2.0/26 of node2 through vxlan.calico"]),
        ("eth0", "eth0", ["route to 10.244.4.0/26 of node4 through eth0 via 198.51.100.14"]),
    ],
)
def test_only_another_subnet_is_reached_through_a_tunnel(node2: str, node4: str, told: list[str]) -> None:
    assert missing("vxlan_cross_subnet", node2=node2, node4=node4) == told


def test_routes_of_bird_are_not_asked_for() -> None:
    assert missing("none") == []


SHOWN = """\
BIRD 2.0.12 ready.
Name       Proto      Table      State  Since         Info
device1    Device     ---        up     17:28:05.075
kernel1    Kernel     master4    up     17:28:05.075
Node_192_0_2_12 BGP        ---        up     17:28:05.830  Established
Node_192_0_2_13 BGP        ---        start  17:28:05.929  Active        Socket: Connection refused
Peer_192_0_2_1 BGP        ---        start  2026-11-21 17:28:05  Connect
Node_192_0_2_14 BGP        ---        down   2026-11-21
"""


def test_sessions_that_are_not_established_are_told_with_the_reason() -> None:
    assert calico.sessions(SHOWN) == {
        "Node_192_0_2_13": "Active        Socket: Connection refused",
        "Peer_192_0_2_1": "Connect",
        "Node_192_0_2_14": "down",
    }


def test_rules_with_the_comment_go_and_others_in_the_same_chain_stay() -> None:
    saved = """\
*filter
:FORWARD ACCEPT [0:0]
:cali-FORWARD - [0:0]
-A FORWARD -m comment --comment "cali:wUHhoiAYhphO9Mso" -j cali-FORWARD
-A FORWARD -m comment --comment "cali:S93hcgKJrXEqnTfs" -m mark --mark 0x10000/0x10000 -j ACCEPT
-A FORWARD -s 203.0.113.9/32 -j DROP
-A cali-FORWARD -m comment --comment "cali:vjrMJCRpqwy5oRoX" -j MARK --set-xmark 0x0/0xe0000
COMMIT
"""
    assert daemon_rules.removal(saved, "cali-", comment="cali:").splitlines() == [
        "*filter",
        ":cali-FORWARD - [0:0]",
        '-D FORWARD -m comment --comment "cali:wUHhoiAYhphO9Mso" -j cali-FORWARD',
        '-D FORWARD -m comment --comment "cali:S93hcgKJrXEqnTfs" -m mark --mark 0x10000/0x10000 -j ACCEPT',
        "-X cali-FORWARD",
        "COMMIT",
    ]


@contextlib.contextmanager
def felix(**answers: int) -> Iterator[int]:
    """Port of a health endpoint with these answers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answers[self.path[1:]])
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Nobody wants to know."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.parametrize(
    ("readiness", "liveness", "starts"),
    [(503, 200, True), (200, 200, False), (503, 503, False)],
    ids=["live, and not ready yet", "ready", "a part of it hangs"],
)
def test_felix_is_starting_while_it_is_live_and_not_ready(readiness: int, liveness: int, starts: bool) -> None:
    with felix(readiness=readiness, liveness=liveness) as port:
        assert calico.starts(port) is starts


def test_felix_is_starting_until_it_listens() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        assert calico.starts(nobody.getsockname()[1])


def test_a_frozen_felix_is_not_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calico, "PATIENCE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        assert not calico.starts(frozen.getsockname()[1])
        assert calico.unreadiness(frozen.getsockname()[1]).endswith("timed out")
