"""The module cni_attachment with the CNI project's own plugins: what it takes back, and what it leaves alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.tests.kernel.sandbox import Sandbox, sandbox

FORWARDING = "/proc/sys/net/ipv4/ip_forward"
RESERVED = "/var/lib/cni/networks/pods"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Sandbox]:
    with sandbox(tmp_path) as made:
        yield made


def conflist(host: Sandbox, **more: Any) -> dict[str, str]:
    """Options of the module for a network of the plugin bridge, and one more plugin if there are settings of one."""
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
            *([more] if more else []),
        ],
    }
    path = host.scratch / "pods.conflist"
    path.write_text(json.dumps(network))
    return {"configuration": str(path), "plugins": host.plugins}


def test_an_attachment_is_made_kept_and_removed_with_its_namespace(host: Sandbox) -> None:
    options = {"netns": "demo", **conflist(host)}
    assert host.run_module("cni_attachment", options)["addresses"] == ["10.244.1.2/24"]
    assert not host.run_module("cni_attachment", options)["changed"]
    assert host.links("demo") == ["lo", "eth0"]
    gone = host.run_module("cni_attachment", {**options, "state": "absent"})
    assert (gone["changed"], host.namespaces()) == (True, [])
    assert not host.run_module("cni_attachment", {**options, "state": "absent"})["changed"]
    assert host.files("/var/lib/binary_cluster") == []


def test_an_interface_of_somebody_else_is_refused_and_not_removed(host: Sandbox) -> None:
    host.ip("netns add demo")
    host.ip("-n demo link add eth0 type veth peer name eth9")
    told = host.run_module("cni_attachment", {"netns": "demo", **conflist(host)}, failing=True)["msg"]
    assert told.startswith("demo: ADD: demo has an interface eth0 already")
    assert "ip -n demo link delete eth0" in told
    assert host.links("demo") == ["lo", "eth9", "eth0"]
    assert host.files(RESERVED) == []


def test_a_namespace_of_somebody_else_is_attached_and_left_when_the_attachment_goes(host: Sandbox) -> None:
    host.ip("netns add demo")
    options = {"netns": "demo", **conflist(host)}
    host.run_module("cni_attachment", options)
    gone = host.run_module("cni_attachment", {**options, "state": "absent"})
    assert (gone["changed"], host.namespaces(), host.links("demo")) == (True, ["demo"], ["lo"])
    assert gone["warnings"] == ["demo: the network namespace stays, because this collection did not make it"]
    assert not host.run_module("cni_attachment", {**options, "state": "absent"})["changed"]


def test_a_name_that_leads_out_of_the_directory_of_namespaces_is_refused(host: Sandbox) -> None:
    host.ip("link add eth0 type veth peer name eth9")
    name = "../../../proc/1/ns/net"
    for state in ("present", "absent"):
        told = host.run_module("cni_attachment", {"netns": name, "state": state, **conflist(host)}, failing=True)
        assert told["msg"].startswith(f"netns: {name!r}: take letters, digits and ._-")
    assert host.links() == ["lo", "eth9", "eth0"]


def test_a_failed_add_leaves_neither_namespace_nor_reservation_nor_forwarding(host: Sandbox) -> None:
    assert host.read(FORWARDING) == "0\n"
    options = {"netns": "demo", **conflist(host, type="portmap", snat="not a boolean")}
    told = host.run_module("cni_attachment", options, failing=True)["msg"]
    assert "ADD portmap: code" in told
    assert (host.namespaces(), host.read(FORWARDING)) == ([], "0\n")
    assert [name for name in host.files(RESERVED) if name.startswith("10.")] == []
    assert host.files("/var/lib/binary_cluster") == []


def test_a_failed_add_keeps_a_namespace_that_was_there_and_forwarding_that_was_on(host: Sandbox) -> None:
    host.ip("netns add demo")
    host.exec("sh", "-c", f"echo 1 > {FORWARDING}")
    options = {"netns": "demo", **conflist(host, type="portmap", snat="not a boolean")}
    host.run_module("cni_attachment", options, failing=True)
    assert (host.namespaces(), host.links("demo"), host.read(FORWARDING)) == (["demo"], ["lo"], "1\n")


def test_where_the_plugins_are_gone_the_attachment_is_removed_by_what_is_kept_of_it(host: Sandbox) -> None:
    options = {"netns": "demo", **conflist(host)}
    host.run_module("cni_attachment", options)
    assert "10.244.1.2" in host.files(RESERVED)
    (end,) = [name for name in host.links() if name.startswith("veth")]
    gone = host.run_module("cni_attachment", {**options, "state": "absent", "plugins": "/nowhere"})
    assert gone["warnings"] == ["demo: DEL bridge: there is no plugin /nowhere/bridge"]
    assert end not in host.links()
    assert (host.namespaces(), host.files("/var/lib/cni/results")) == ([], [])
    assert "10.244.1.2" not in host.files(RESERVED)


def test_an_id_under_which_another_runtime_attached_something_is_refused(host: Sandbox) -> None:
    options = {"netns": "demo", "container_id": "abc", **conflist(host)}
    host.run_module("cni_attachment", options)
    # As libcni writes it: without our own key.
    host.exec("sh", "-c", "sed -i 's/\"labels\": {}, //' /var/lib/cni/results/pods-abc-eth0")
    for state in ("present", "absent"):
        told = host.run_module("cni_attachment", {**options, "state": state}, failing=True)["msg"]
        assert "container_id: abc: /run/netns/demo is attached under it by another runtime" in told
    assert host.links("demo") == ["lo", "eth0"]


def test_an_id_of_another_namespace_is_refused(host: Sandbox) -> None:
    options = {"container_id": "abc", **conflist(host)}
    host.run_module("cni_attachment", {"netns": "one", **options})
    told = host.run_module("cni_attachment", {"netns": "two", **options}, failing=True)["msg"]
    assert "container_id: abc: /run/netns/one is attached under it; take another container_id" in told
    assert host.links("one") == ["lo", "eth0"]
