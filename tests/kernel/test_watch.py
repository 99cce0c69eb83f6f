"""What nodes report of one another by themselves, where the network between them filters."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import PYTHON, Host, Underlay

PROGRAM = Path(__file__).resolve().parents[2] / "roles" / "verify" / "files" / "watch.py"
WHOLE = "<6>all paths to 1 other nodes and their pods pass"
FILTERED = "<6>ICMP is filtered, which is no fault: no echo reply from node2"


class Watch:
    """A node that looks after the way to another one, node2, with the pods 10.244.2.0/24."""

    def __init__(self, here: Host, other: Host, scratch: Path) -> None:
        self.here, self.state, self.configuration = here, scratch / "state.json", scratch / "watch.json"
        self.configured = {
            "network": "10.244.0.0/16",
            "ports": [22],
            "routers": [],
            "peers": [{"name": "node2", "address": other.address}],
        }
        here.exec("sysctl", "-qw", "net.ipv4.ip_forward=1")

    def lines(self, **configured: object) -> list[str]:
        """Look once; return the lines for the journal."""
        self.configuration.write_text(json.dumps({**self.configured, **configured}))
        environment = ["env", f"PYTHONPATH={self.here.module_path()}", PYTHON]
        command = ["ip", "netns", "exec", self.here.name, *environment, str(PROGRAM)]
        done = subprocess.run(
            [*command, str(self.configuration), str(self.state)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr
        assert (done.returncode == 0) is (WHOLE in done.stdout)
        return done.stdout.splitlines()


@pytest.fixture
def pair(hosts: Callable[[int], list[Host]]) -> tuple[Host, Host]:
    """Two nodes whose pods' packets go without a tunnel; the second one has a bridge for its pods."""
    here, other = hosts(2)
    other.ip("link add cni0 up type bridge")
    other.ip("address add 10.244.2.1/24 dev cni0")
    here.ip(f"route add 10.244.2.0/24 via {other.address}")
    return here, other


@pytest.fixture
def watch(pair: tuple[Host, Host], tmp_path: Path) -> Watch:
    return Watch(*pair, tmp_path)


def block(network: Underlay, what: str) -> None:
    """Have the switch between the hosts drop packets."""
    chain = "add table bridge f; add chain bridge f f { type filter hook forward priority 0; };"
    network.switch.exec("nft", f"{chain} add rule bridge f f {what} drop")


@pytest.mark.parametrize("since", ["before the first look", "later"])
def test_icmp_that_is_filtered_between_nodes_is_no_fault_where_tcp_is_answered(
    since: str, watch: Watch, network: Underlay
) -> None:
    if since == "later":
        assert watch.lines() == [WHOLE]
    block(network, "ip protocol icmp")
    assert watch.lines() == watch.lines() == [FILTERED, WHOLE]


def test_pods_that_do_not_answer_over_tcp_any_more_are_alarmed_where_icmp_is_filtered(
    watch: Watch, network: Underlay, pair: tuple[Host, Host]
) -> None:
    block(network, "ip protocol icmp")
    watch.lines()
    pair[1].ip("link set cni0 down")
    pair[1].ip("address del 10.244.2.1/24 dev cni0")
    assert any(line.startswith("<3>10.244.2.1 in the pod network of node2 do not answer") for line in watch.lines())


def test_a_node_of_which_only_the_mac_was_ever_known_is_no_alarm(watch: Watch, network: Underlay) -> None:
    block(network, "meta l4proto { icmp, tcp }")
    assert watch.lines() == [FILTERED, WHOLE]


def test_a_node_that_answers_nothing_any_more_is_alarmed(watch: Watch, network: Underlay) -> None:
    assert watch.lines() == [WHOLE]
    block(network, "meta l4proto { icmp, tcp }")
    assert any(line.startswith("<3>node2 (192.0.2.12) does not answer, pods or not") for line in watch.lines())


def test_a_node_that_never_answered_and_has_no_mac_is_alarmed(watch: Watch, pair: tuple[Host, Host]) -> None:
    pair[1].ip("link set eth0 down")
    assert any(line.startswith("<3>node2 (192.0.2.12) does not answer, pods or not") for line in watch.lines())


@pytest.mark.parametrize(
    ("route", "routers"),
    [
        ("10.244.2.0/24 via 192.0.2.1", ["192.0.2.1"]),
        ("10.244.2.0/24 via 192.0.2.1 proto bird", []),
        ("10.244.0.0/16 dev eth0", []),
    ],
    ids=["by a configured router", "by BGP through a router", "all pods through one device"],
)
def test_routes_that_lead_to_several_nodes_are_no_alarm(watch: Watch, route: str, routers: list[str]) -> None:
    watch.here.ip("route del 10.244.2.0/24")
    assert any("no route leads to the pods of node2" in line for line in watch.lines())
    watch.here.ip(f"route add {route}")
    assert WHOLE in watch.lines(routers=routers)


def test_a_route_through_a_machine_that_is_no_router_of_the_cluster_is_alarmed(watch: Watch) -> None:
    assert watch.lines() == [WHOLE]
    watch.here.ip("route replace 10.244.2.0/24 via 192.0.2.1")
    assert any("leads to 192.0.2.1, not to 192.0.2.12" in line for line in watch.lines())


def test_a_firewall_that_rejects_what_is_for_a_node_does_not_answer_for_it(watch: Watch) -> None:
    assert watch.lines() == [WHOLE]
    watch.here.exec("nft", "add table ip f; add chain ip f f { type filter hook output priority 0; }")
    watch.here.exec("nft", "add rule ip f f ip daddr { 192.0.2.12, 10.244.2.0/24 } reject")
    assert any(line.startswith("<3>node2 (192.0.2.12) does not answer, pods or not") for line in watch.lines())
