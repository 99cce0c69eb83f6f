"""The table of the ports that are closed to others than members, and who is a member."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.binary_cluster.networking.plugins.filter.member_addresses import member_addresses
from ansible_collections.binary_cluster.networking.plugins.module_utils._firewall import closed_ports
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import validation
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends.contract import declared
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._components import declarations

ROLES = Path(__file__).resolve().parents[2] / "roles"
VXLAN, ETCD = {"protocol": "udp", "ports": [8472]}, {"protocol": "tcp", "ports": [2380, 2379]}


def table(members: list[str], **more: Any) -> closed_ports.Table:
    options: dict[str, Any] = {
        "closed": [VXLAN], "between": [VXLAN, ETCD], "allowed": [], "interfaces": ["cni0"],
        "networks": ["10.244.0.0/16"], **more,
    }  # fmt: skip
    faults = validation.Faults()
    made = closed_ports.table(members, faults=faults, **options)
    if faults.found:
        raise ValueError(faults.text())
    return made


def test_the_same_members_in_another_order_give_the_same_table() -> None:
    one = table(["192.0.2.100", "192.0.2.9"], closed=[ETCD, VXLAN]).script()
    other = table(["192.0.2.9", "192.0.2.100", "192.0.2.9"], closed=[VXLAN, {"protocol": "tcp", "ports": [2379]}, ETCD])
    assert other.script() == one
    assert "elements = { 192.0.2.9, 192.0.2.100 }" in one


def test_a_table_has_no_more_than_it_is_asked_for() -> None:
    script = table(["192.0.2.9"], closed=[ETCD], interfaces=[], networks=[]).script()
    assert "hook input" in script and "hook prerouting" not in script and "hook forward" not in script
    script = table(["192.0.2.9"], closed=[], between=[]).script()
    assert "hook prerouting" in script and "hook input" not in script and "hook forward" not in script


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"members": ["node1"]}, "members[0]: 'node1' is no IP address"),
        ({"closed": [{"protocol": "tcp", "ports": []}]}, "closed: protocol tcp: tcp and udp need ports"),
        (
            {"closed": [{"protocol": "4", "ports": [4]}]},
            "closed: protocol 4: tcp and udp need ports, and others have none",
        ),
        ({"closed": [{"protocol": "ipip"}]}, "closed: protocol ipip: tcp, udp, or the number of an IP protocol"),
        ({"closed": [{"protocol": "udp", "ports": [0]}]}, "closed: ports [0]: each is 1 to 65535"),
        ({"allowed": [{"source": "lan", **ETCD}]}, "allowed[0].source: 'lan' is no IP address"),
        ({"networks": ["10.244.0.0/33"]}, "pod_networks[0]: '10.244.0.0/33' has no prefix length of 0 to 32"),
        ({"interfaces": ["cni0\n"]}, "pod_interfaces[0]: cni0"),
        ({"interfaces": ['cni0" accept']}, 'pod_interfaces[0]: cni0" accept: not the name of an interface'),
    ],
)
def test_options_that_mean_nothing_are_told(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError) as error:
        table(**{"members": ["192.0.2.9"], **options})
    assert told in str(error.value)


def test_members_are_added_to_a_script_and_nothing_else_changes() -> None:
    before = table(["192.0.2.9"]).script()
    assert closed_ports.members_of(before) == ("192.0.2.9",)
    after = closed_ports.with_members(before, ["192.0.2.11", "192.0.2.9", "2001:db8::7"])
    assert after == table(["192.0.2.9", "192.0.2.11", "2001:db8::7"]).script()
    assert closed_ports.members_of(after) == ("192.0.2.9", "192.0.2.11", "2001:db8::7")
    assert closed_ports.with_members(after, []) == after
    assert closed_ports.members_of("") == ()


def host(address: str, *addresses: str) -> dict[str, Any]:
    facts = {"cluster_host": {"interfaces": {"eth0": {"addresses": [f"{address}/24", *addresses]}}}}
    return {"ansible_host": address, "ansible_facts": facts}


def test_members_send_from_all_addresses_that_are_theirs_alone() -> None:
    hosts = {
        "node1": host("192.0.2.11", "198.51.100.11/24", "172.17.0.1/16", "10.244.0.1/24", "10.0.0.2/24", "127.0.0.1/8"),
        "node2": host("192.0.2.12", "172.17.0.1/16", "169.254.3.4/16", "192.0.2.100/32", "2001:db8::12/64"),
        # Not in the run.
        "node3": {"ansible_host": "192.0.2.13"},
        "node4": {"ansible_host": "node4.example.com"},
    }
    found = member_addresses(list(hosts), hosts, ["10.244.0.0/16", "10.0.0.0/24", "fd00::/48"])
    assert found == ["192.0.2.11", "192.0.2.12", "192.0.2.13", "198.51.100.11"]


@pytest.mark.parametrize("name", declared())
def test_what_is_closed_is_what_the_role_uses_by_default(name: str) -> None:
    """Without variables, a backend declares what it does with the defaults of its role."""
    defaults = yaml.safe_load((ROLES / name / "defaults" / "main.yml").read_text())
    cluster = {"cluster_pod_cidr": "10.244.0.0/16"}
    plain = {variable: value for variable, value in defaults.items() if "{{" not in str(value)}
    assert declared()[name].firewall({**plain, **cluster}.get) == declared()[name].firewall(cluster.get)


@pytest.mark.parametrize(
    ("name", "variables", "closed"),
    [
        ("flannel", {"flannel_vxlan_port": "4790"}, [{"protocol": "udp", "ports": [4790]}]),
        ("flannel", {"flannel_backend": "udp"}, [{"protocol": "udp", "ports": [8285]}]),
        ("flannel", {"flannel_backend": "ipip"}, [{"protocol": "4"}]),
        ("calico", {"calico_encapsulation": "ipip"}, [{"protocol": "tcp", "ports": [179]}, {"protocol": "4"}]),
        ("calico", {"calico_encapsulation": "vxlan_cross_subnet"}, [{"protocol": "udp", "ports": [4789]}]),
        ("vxlan_mesh", {}, [{"protocol": "udp", "ports": [4789]}]),
        ("host_routes", {}, []),
    ],
)
def test_members_alone_use_what_carries_the_packets_of_pods(
    name: str, variables: dict[str, Any], closed: list[dict[str, Any]]
) -> None:
    assert list(declared()[name].firewall(variables.get).closed) == closed


def test_ports_of_etcd_are_those_of_its_role_by_default() -> None:
    defaults = yaml.safe_load((ROLES / "etcd" / "defaults" / "main.yml").read_text())
    etcd = declarations.declared()["etcd"]
    ports = {port.variable: port for port in etcd.ports if port.between_hosts}
    assert ports.keys() == {"etcd_client_port", "etcd_peer_port"}
    assert etcd.port_default(ports["etcd_peer_port"]) == defaults["etcd_peer_port"]
    # A fact of the cluster, which the role etcd takes its own port from.
    assert ports["etcd_client_port"].follows == "cluster_etcd_client_port"
    assert "cluster_etcd_client_port | default(2379)" in str(defaults["etcd_client_port"])
    assert etcd.port_default(ports["etcd_client_port"]) == 2379
