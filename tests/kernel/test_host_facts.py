"""Facts of a host whose links are not all up."""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import Host


def test_an_address_on_an_interface_that_is_down_is_asked_for_where_that_can_be(
    hosts: Callable[[int], list[Host]],
) -> None:
    here, other = hosts(2)
    # A second interface in the same network, without a cable.
    here.ip("link add spare type veth peer name nowhere")
    here.ip("address add 192.0.2.211/24 dev spare")
    other.ip("address add 192.0.2.100/32 dev eth0")
    found = here.run_module("host_facts", {"claims": ["192.0.2.100"]})["ansible_facts"]["cluster_host"]
    assert found["interfaces"]["spare"]["state"] == "DOWN"
    assert found["answered"] == {"192.0.2.100": [found_mac(other)]}


def test_a_host_that_answers_no_echo_is_told_by_how_it_answers(hosts: Callable[[int], list[Host]]) -> None:
    here, closed, filtered, cut = hosts(4)
    drop = "add table inet f; add chain inet f i {{ type filter hook input priority 0; }}; add rule inet f i {} drop"
    closed.exec("nft", drop.format("meta l4proto icmp"))
    filtered.exec("nft", drop.format("meta l4proto { icmp, tcp }"))
    here.ip(f"route add prohibit {cut.address}/32")
    addresses = [closed.address, filtered.address, "192.0.2.199", "203.0.113.1", cut.address]
    found = here.run_module("host_facts", {"reach": addresses, "ports": [22]})["ansible_facts"]["cluster_host"]
    assert found["unreachable"] == ["192.0.2.199", "203.0.113.1", cut.address]
    assert found["without_echo"] == {
        closed.address: "answers at tcp/22",
        filtered.address: f"has the MAC {found_mac(filtered)}",
    }


def found_mac(host: Host) -> str:
    """MAC of a host."""
    return str(host.json("ip link show eth0")[0]["address"])
