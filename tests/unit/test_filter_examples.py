"""The examples of filters, rendered by Ansible as they are printed, give what they and the documentation say."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.template import Templar, trust_as_template

from tests.unit.role_templates import HOSTS, facts, loader

FILTERS = Path(__file__).resolve().parents[2] / "plugins" / "filter"
PROBE = {"name": "probe-node1", "port": 18080, "ips": [{"address": "10.244.0.2"}]}
OTHER = {"name": "probe-node2", "port": 18080, "ips": [{"address": "10.244.1.2"}]}
# What a play has that examples read: two hosts with facts, the second of which answered no probe and is due.
VARIABLES: dict[str, Any] = {
    "groups": {"nodes": ["node1", "node2"], "etcd": ["node1"]},
    "group_names": ["nodes"],
    "inventory_hostname": "node1",
    "ansible_play_hosts_all": ["node1", "node2", "node3"],
    "ansible_facts": {},
    "hostvars": {
        "node1": {"ansible_host": HOSTS["node1"], "ansible_facts": facts(HOSTS["node1"]), "found": {"changed": True}},
        "node2": {
            "ansible_host": HOSTS["node2"],
            "ansible_facts": facts(HOSTS["node2"]),
            "__flannel_node": {"due": "restart"},
        },
        "node3": {},
    },
    "cluster_pod_cidr": "10.244.0.0/16",
    "cluster_certificates_directory": "/srv/pki",
    "api_load_balancer_members": HOSTS,
    "coredns_zones": [{"names": ["cluster.local"], "records": [{"name": "a.cluster.local", "value": "10.0.0.9"}]}],
    "settings": {
        "addresses": ["10.0.0.2"], "clients": [], "server": "ns.dns.cluster.local", "port": 53, "cache": 30,
        "query_log": False, "status_address": "127.0.0.1", "health_port": 8180, "ready_port": 8181,
        "metrics_port": 9153, "blocks": "",
    },
    "ready": {"node1": {"pods": [PROBE]}, "node2": {"pods": [OTHER]}},
    "addresses": {"node1": "192.0.2.21", "node2": "192.0.2.22"},
    "probed": {"node1": {"outcomes": [{"source": "", "target": "probe-node2", "family": 4, "ok": False}]}},
}  # fmt: skip
TARGETS = [
    {"name": "probe-node1", "address": "10.244.0.2", "port": 18080, "node": "192.0.2.21"},
    {"name": "probe-node2", "address": "10.244.1.2", "port": 18080, "node": "192.0.2.22"},
]
PKI = "/srv/pki/etcd"
LINK = {"interface": "eth0", "mtu": 1500, "network": "192.0.2.0/24"}
EXPECTED: dict[str, Any] = {
    "calico_addresses": {
        name: {"address": address, "cidr": f"{address}/24", **LINK} for name, address in HOSTS.items()
    },
    "collected_facts": True,
    "dns_zones": ["cluster.local", "0.0.10.in-addr.arpa"],
    "etcd_client_files": {
        "ca": f"{PKI}/ca.crt",
        "certificate": f"{PKI}/node1/flannel.crt",
        "key": f"{PKI}/node1/flannel.key",
    },
    "failed_targets": {"node2": [], "node1": TARGETS[1:]},
    "installed_components": ["flannel", "etcd"],
    "member_addresses": ["192.0.2.11", "192.0.2.12"],
    "node_addresses": {"node1": "192.0.2.11"},
    "not_among": [],
    "nth_address": "10.0.0.2",
    "peer_links": [{"address": "192.0.2.12", "mac": "02:00:00:00:00:12"}],
    "pod_cidrs": [
        {"name": "node1", "address": "192.0.2.11", "pod_cidr": "10.244.0.0/24", "pod_cidr_v6": ""},
        {"name": "node2", "address": "192.0.2.12", "pod_cidr": "10.244.1.0/24", "pod_cidr_v6": ""},
    ],
    "probe_targets": TARGETS,
    "quoted": "ExecStart=/usr/bin/printf 100%%",
    "registered": {"node1": {"changed": True}},
    "restart_batches": [["node2"]],
    "whole_run": "all",
}


def documents(name: str) -> dict[str, Any]:
    """DOCUMENTATION, EXAMPLES and RETURN of a filter."""
    return {
        node.targets[0].id: yaml.safe_load(ast.literal_eval(node.value))
        for node in ast.parse((FILTERS / f"{name}.py").read_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper()
    }


def texts(value: Any) -> Iterator[str]:
    """All texts in a value."""
    if isinstance(value, str):
        yield value
    elif value:
        for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from texts(one)


def rendered(name: str) -> Any:
    """What the expression is that a filter's example uses it in."""
    (example,) = documents(name)["EXAMPLES"]
    (text,) = [text for text in texts(example) if f"binary_cluster.networking.{name}" in text]
    own = {key: trust_as_template(value) for key, value in example.get("vars", {}).items()}
    templar = Templar(loader(), variables={**VARIABLES, **own})
    return templar.template(trust_as_template(text if "{{" in text else f"{{{{ {text} }}}}"))


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_gives_what_is_expected_of_its_words(name: str) -> None:
    assert rendered(name) == EXPECTED[name]


def test_the_example_of_coredns_files_shows_the_files_of_a_zone() -> None:
    corefile, zone = rendered("coredns_files")
    assert corefile.startswith("cluster.local:53 {\n    bind 10.0.0.2\n")
    assert zone.splitlines()[-1].split() == ["a.cluster.local.", "300", "IN", "A", "10.0.0.9"]


def test_every_filter_has_an_example_that_is_rendered_here() -> None:
    assert {path.stem for path in FILTERS.glob("*.py")} == EXPECTED.keys() | {"coredns_files"}


@pytest.mark.parametrize("name", sorted(EXPECTED.keys() - {"collected_facts", "quoted"}))
def test_an_example_gives_the_documented_type(name: str) -> None:
    types = {"dict": dict, "list": list, "str": str}
    assert isinstance(rendered(name), types[documents(name)["RETURN"]["_value"]["type"]])
