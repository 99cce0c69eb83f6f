"""What network backends declare to the controller fits their roles, and nothing else knows it too."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.binary_cluster.networking.plugins.module_utils._backends import contract as host_contract
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends import contract, links
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._components import declarations
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import Inventory
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run.role_options import argument_spec

CHECKOUT = Path(__file__).resolve().parents[2]
NETWORKS = {name: component for name, component in declarations.declared().items() if component.network}
BACKENDS = contract.declared()
# Scenarios that have another name than the backend they are about.
SCENARIOS = {"flannel": "default"}
# What is of all backends on the controller, and names none of them.
COMMON = ("_preflight/ports.py", "_preflight/etcd.py", "_preflight/records.py", "_preflight/variables.py")


@pytest.mark.parametrize("name", BACKENDS)
def test_what_a_backend_declares_is_of_its_role(name: str) -> None:
    backend, options = BACKENDS[name], argument_spec(name)
    assert (CHECKOUT / "roles" / name / "tasks" / "uninstall.yml").is_file()
    variables = [*backend.cluster_wide, *(port.variable for port in backend.ports)]
    variables += [one for one in (backend.subnet_length, backend.pod_network, backend.etcd_endpoints) if one]
    assert set(variables) <= options.keys()
    for port in backend.ports:
        assert port.default == options[port.variable]["default"]
    assert bool(backend.etcd_endpoints) == ("etcd" in NETWORKS[name].needs)
    assert backend.checks
    # Of a cluster with another backend it says nothing.
    assert [fault for check in backend.checks for fault in check(Inventory({}, {}))] == []


def test_backends_are_components_that_have_no_second_declaration() -> None:
    assert NETWORKS.keys() == BACKENDS.keys()
    files = {path.parts[-3] for path in (CHECKOUT / "roles").glob("*/meta/component.yml")}
    assert not files & BACKENDS.keys()
    assert files | BACKENDS.keys() == declarations.declared().keys()


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_has_its_four_places(name: str) -> None:
    scenario = SCENARIOS.get(name, name)
    assert (CHECKOUT / "roles" / name / "meta" / "argument_specs.yml").is_file()
    assert (CHECKOUT / "molecule" / scenario / "molecule.yml").is_file()
    half = importlib.import_module(f"{host_contract.__name__.rpartition('.')[0]}.{name}").HOST_BACKEND
    assert issubclass(half, host_contract.HostBackend)
    assert half.name == name


@pytest.mark.parametrize("name", BACKENDS)
def test_the_link_that_packets_leave_by_is_declared(name: str) -> None:
    half = importlib.import_module(f"{host_contract.__name__.rpartition('.')[0]}.{name}").HOST_BACKEND
    peer = host_contract.Node("node2", "198.51.100.12", "10.244.1.0/24")
    path = half({"encapsulation": "vxlan", "Backend": {"Type": "vxlan"}}, lambda _address: False).expected_path(peer)
    if path is not None and path.device:
        assert re.fullmatch(BACKENDS[name].links, path.device)
        assert path.remote == peer.address


@pytest.mark.parametrize(
    ("address", "near"), [("192.0.2.9", True), ("198.51.100.9", False), ("203.0.113.9", False), ("203.0.113.1", True)]
)
def test_a_node_is_near_where_the_narrowest_route_has_no_gateway(address: str, near: bool) -> None:
    routes: list[dict[str, Any]] = [
        {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"},
        {"dst": "192.0.2.0/24", "dev": "eth0"},
        {"dst": "203.0.113.0/24", "nexthops": [{"gateway": "192.0.2.1"}, {"gateway": "192.0.2.2"}]},
        {"dst": "203.0.113.1", "dev": "eth1"},
        {"type": "unreachable", "dst": "198.51.100.0/24"},
    ]
    assert host_contract.on_link(routes)(address) is near


@pytest.mark.parametrize("name", BACKENDS)
def test_no_check_that_all_backends_share_names_one(name: str) -> None:
    for path in COMMON:
        text = (CHECKOUT / "plugins" / "plugin_utils" / path).read_text()
        assert not re.search(rf"[\"'_]{name}[\"'_]", text), path


@pytest.mark.parametrize(
    "name", ["flannel.1", "flannel-v6.1", "cali1f2", "vxlan.calico", "tunl0", "vxlan-mesh", "cni0"]
)
def test_a_link_of_a_backend_is_known_as_one(name: str) -> None:
    assert links.is_own(name)


@pytest.mark.parametrize("name", ["eth0", "vxlan1", "docker0", "my-flannel"])
def test_a_link_of_somebody_else_is_none_of_a_backend(name: str) -> None:
    assert not links.is_own(name)


def test_playbooks_read_the_declarations_through_a_lookup() -> None:
    found = {one["name"]: one for one in looked_up("in_use=false") if one["network"]}
    assert found.keys() == BACKENDS.keys()
    flannel = found["flannel"]
    assert flannel["binaries"] == ["cni-plugins", "flannel-cni-plugin", "flanneld"]
    assert "etcd" in flannel["needs"]
    assert flannel["links"] == "flannel.*"
    assert "etcd" not in found["host_routes"]["needs"]
    # It depends on variables, which may be wrong where a backend is not in use.
    assert "firewall" not in flannel


def test_what_depends_on_variables_is_looked_up_by_name() -> None:
    given = {"calico_encapsulation": "{{ 'no' ~ 'ne' }}", "cluster_pod_cidr": "10.244.0.0/16", "peer": "192.0.2.9"}
    peers = [{"address": trust_as_template("{{ peer }}")}]
    (found,) = looked_up("'calico', in_use=false, firewall=true", calico_bgp_peers=peers, **given)
    bgp = {"protocol": "tcp", "ports": [179]}
    assert found["packages"] == ["calico", "bird"]
    assert found["firewall"] == {
        "networks": ["10.244.0.0/16"], "closed": [bgp], "interfaces": [], "allowed": [{"source": "192.0.2.9", **bgp}]
    }  # fmt: skip
    (found,) = looked_up("'calico', in_use=false")
    assert found["packages"] == ["calico"]
    with pytest.raises(AnsibleError, match=r"cilium: there is no such component; known are .*calico, .*flannel, "):
        looked_up("'cilium'")


@pytest.mark.parametrize("name", BACKENDS)
def test_what_the_firewall_of_a_backend_needs_is_lists_that_templates_can_add(name: str) -> None:
    (found,) = looked_up(f"'{name}', in_use=false, firewall=true", cluster_pod_cidr="10.244.0.0/16")
    assert {key for key, value in found["firewall"].items() if not isinstance(value, list)} == set()


def test_a_variable_made_of_one_that_is_missing_counts_as_missing() -> None:
    given = {"flannel_network": "{{ pods_of_others }}", "cluster_pod_cidr": "10.244.0.0/16"}
    (found,) = looked_up("'flannel', in_use=false, firewall=true", **given)
    assert found["firewall"]["networks"] == ["10.244.0.0/16"]


def looked_up(arguments: str, **variables: Any) -> Any:
    """What the lookup returns for the text of its arguments, with the variables of a host."""
    given = {key: trust_as_template(value) if isinstance(value, str) else value for key, value in variables.items()}
    templar = Templar(loader=DataLoader(), variables=given)
    return templar.template(trust_as_template(f"{{{{ query('binary_cluster.networking.components', {arguments}) }}}}"))


@pytest.mark.parametrize("name", BACKENDS)
def test_what_a_backend_installs_is_in_the_manifest(name: str) -> None:
    manifest = yaml.safe_load((CHECKOUT / "roles" / "binaries" / "vars" / "main.yml").read_text())
    sets = {one["name"] for one in manifest["_binaries_packages"]}
    assert set(BACKENDS[name].binaries) <= manifest["_binaries_manifest"].keys()
    assert {one.name for one in BACKENDS[name].packages} <= sets
