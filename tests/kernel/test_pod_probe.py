"""The module pod_probe and what is there under the name of its pod, and what a pod that cannot be made leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.tests.kernel.sandbox import Sandbox, sandbox


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Sandbox]:
    with sandbox(tmp_path) as made:
        yield made


def test_a_namespace_of_somebody_else_under_the_name_of_the_pod_is_left(host: Sandbox) -> None:
    host.ip("netns add probe-a")
    for state in ("ready", "removed"):
        told = host.run_module("pod_probe", {"name": "probe-a", "state": state}, failing=True)["msg"]
        assert told.startswith("probe-a: a network namespace of this name is there that this collection did not make")
    assert host.namespaces() == ["probe-a"]


def test_a_name_that_leads_out_of_the_directory_of_namespaces_is_refused(host: Sandbox) -> None:
    for module, more in (("pod_probe", {"state": "removed"}), ("pod_throughput", {"state": "stopped"})):
        told = host.run_module(module, {"name": "../../proc/1/ns/net", **more}, failing=True)["msg"]
        assert told.startswith("name: '../../proc/1/ns/net': ")


def test_a_pod_that_cannot_be_made_leaves_neither_namespace_nor_forwarding(host: Sandbox) -> None:
    network = {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isDefaultGateway": True,
                "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.1.0/24"}]]},
            },
            {"type": "portmap", "snat": "not a boolean"},
        ],
    }
    source = host.scratch / "pods.conflist"
    source.write_text(json.dumps(network))
    commands = f"mkdir -p /etc/cni/net.d /opt/cni && cp {source} /etc/cni/net.d && ln -s {host.plugins} /opt/cni/bin"
    host.exec("sh", "-c", commands)
    told = host.run_module("pod_probe", {"name": "probe-a", "state": "ready"}, failing=True)["msg"]
    assert "ADD portmap: code" in told
    assert (host.namespaces(), host.read("/proc/sys/net/ipv4/ip_forward")) == ([], "0\n")
    host.run_module("pod_probe", {"name": "probe-a", "state": "removed"})
    assert host.files("/run/binary_cluster") == host.files("/var/lib/binary_cluster") == []
