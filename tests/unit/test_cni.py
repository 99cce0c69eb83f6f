"""What module cni_attachment takes for names and arguments, before it touches anything."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils import _cni, _netns, _spec


def attachment(**more: Any) -> _cni.Attachment:
    options: dict[str, Any] = {
        "netns": "demo", "interface": "eth0", "container": "", "arguments": {}, "capabilities": {}, "labels": {},
    }  # fmt: skip
    return _cni.attachment(**{**options, **more})


@pytest.mark.parametrize("name", ["demo", "ns-2", "a.b", "_x", "worker-2.lab.example", "a" * 255])
def test_a_namespace_is_a_file_in_the_directory_of_namespaces(name: str) -> None:
    assert attachment(netns=name).namespace == f"/run/netns/{name}"


@pytest.mark.parametrize(
    "name", ["../../../proc/1/ns/net", "/", ".", "..", "", "a/b", "-a", ".a", "demo\n", "a b", "a:2", "a" * 256]
)
def test_a_name_that_is_no_component_of_a_path_is_refused(name: str) -> None:
    with pytest.raises(_spec.SpecError, match=r"^netns: "):
        attachment(netns=name)


def test_further_probe_pods_have_a_colon_in_their_name() -> None:
    assert _netns.path("name", "probe-node1:2", ":") == "/run/netns/probe-node1:2"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("interface", "../eth0"),
        ("interface", "eth0\n"),
        ("interface", "e" * 16),
        ("interface", ""),
        ("container", "../../etc/passwd"),
        ("arguments", {"K8S_POD_NAME": "a;CNI_IFNAME=lo"}),
        ("arguments", {"a=b": "c"}),
        ("arguments", {"a;b": "c"}),
        ("arguments", {"a": "b\n"}),
        ("arguments", {"a": ""}),
    ],
)
def test_what_would_be_read_as_something_else_is_refused(option: str, value: Any) -> None:
    with pytest.raises(_spec.SpecError, match=f"^{option}"):
        attachment(**{option: value})


@pytest.mark.parametrize("change", [{"name": "../x"}, {"name": "a\n"}, {"type": "../../bin/sh"}, {"type": ""}])
def test_a_configuration_whose_names_lead_out_of_their_directories_is_refused(change: dict[str, str]) -> None:
    source = {"cniVersion": "1.0.0", "name": "pods", "type": "bridge", **change}
    with pytest.raises(_cni.CniError, match=r"^/etc/x\.conf: "):
        _cni.parse(json.dumps(source).encode(), "/etc/x.conf")
