"""What network backends declare to the controller fits their roles, and nothing else knows it too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends import contract, links
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import Inventory
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run.role_options import argument_spec

CHECKOUT = Path(__file__).resolve().parents[2]
NETWORKS = yaml.safe_load((CHECKOUT / "roles/preflight/vars/main.yml").read_text())["_preflight_networks"]
BACKENDS = contract.declared()
# What is of all backends on the controller, and names none of them.
COMMON = ("_preflight/ports.py", "_preflight/etcd.py", "_preflight/records.py", "_preflight/variables.py")


def test_every_network_backend_declares_itself() -> None:
    assert BACKENDS.keys() == NETWORKS.keys()


@pytest.mark.parametrize("name", BACKENDS)
def test_what_a_backend_declares_is_of_its_role(name: str) -> None:
    backend, options = BACKENDS[name], argument_spec(name)
    assert (CHECKOUT / "roles" / name / "tasks" / "uninstall.yml").is_file()
    variables = [*backend.cluster_wide, *(port.variable for port in backend.ports)]
    variables += [one for one in (backend.subnet_length, backend.pod_network, backend.etcd_endpoints) if one]
    assert set(variables) <= options.keys()
    for port in backend.ports:
        assert port.default == options[port.variable]["default"]
    assert bool(backend.etcd_endpoints) == NETWORKS[name]["etcd"]
    assert backend.checks
    # Of a cluster with another backend it says nothing.
    assert [fault for check in backend.checks for fault in check(Inventory({}, {}))] == []


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
