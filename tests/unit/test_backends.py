"""What network backends declare to the controller fits their roles, and nothing else knows it too."""

from __future__ import annotations

import importlib
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.binary_cluster.networking.plugins.module_utils._backends import contract as host_contract
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends import contract, links
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import Inventory
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run.role_options import argument_spec

CHECKOUT = Path(__file__).resolve().parents[2]
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
    assert backend.checks
    # Of a cluster with another backend it says nothing.
    assert [fault for check in backend.checks for fault in check(Inventory({}, {}))] == []


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
    found = looked_up("")
    assert found.keys() == BACKENDS.keys()
    binaries = ["cni-plugins", "flannel-cni-plugin", "flanneld"]
    assert found["flannel"] == {"binaries": binaries, "etcd": True, "links": "flannel.*"}
    assert found["host_routes"]["etcd"] is False


def test_what_depends_on_variables_is_looked_up_by_name() -> None:
    given = {"calico_encapsulation": "{{ 'no' ~ 'ne' }}", "cluster_pod_cidr": "10.244.0.0/16", "peer": "192.0.2.9"}
    found = looked_up("calico", calico_bgp_peers=[{"address": trust_as_template("{{ peer }}")}], **given)
    bgp = {"protocol": "tcp", "ports": [179]}
    assert list(found) == ["calico"]
    assert found["calico"]["packages"] == ["calico", "bird"]
    assert found["calico"]["firewall"] == {
        "networks": ["10.244.0.0/16"], "closed": [bgp], "interfaces": [], "allowed": [{"source": "192.0.2.9", **bgp}]
    }  # fmt: skip
    assert looked_up("calico")["calico"]["packages"] == ["calico"]
    with pytest.raises(AnsibleError, match=r"^.*cilium is not a network backend\. Take one of calico, flannel, "):
        looked_up("cilium")


def looked_up(name: str, **variables: Any) -> Any:
    """What the lookup returns for a name, or for none."""
    given = {key: trust_as_template(value) if isinstance(value, str) else value for key, value in variables.items()}
    templar = Templar(loader=DataLoader(), variables=given)
    terms = f", '{name}'" if name else ""
    return templar.template(trust_as_template(f"{{{{ lookup('binary_cluster.networking.network_backends'{terms}) }}}}"))


@pytest.mark.parametrize("name", BACKENDS)
def test_what_a_backend_installs_is_in_the_manifest(name: str) -> None:
    manifest = yaml.safe_load((CHECKOUT / "roles" / "binaries" / "vars" / "main.yml").read_text())
    sets = {one["name"] for one in manifest["_binaries_packages"]}
    assert set(BACKENDS[name].binaries) <= manifest["_binaries_manifest"].keys()
    for encapsulation in ("vxlan", "ipip"):
        assert set(BACKENDS[name].packages(partial(_given, encapsulation))) <= sets


def _given(encapsulation: str, variable: str, default: Any) -> Any:
    return encapsulation if variable.endswith("_encapsulation") else default
