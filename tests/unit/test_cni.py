"""What module cni_attachment takes for names and arguments, before it touches anything."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._cni import (
    network as cni_network,
    remains as cni_remains,
    runtime as cni_runtime,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import netns
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import validation


def attachment(**more: Any) -> cni_network.Attachment:
    options: dict[str, Any] = {
        "netns": "demo", "interface": "eth0", "container": "", "arguments": {}, "capabilities": {}, "labels": {},
    }  # fmt: skip
    return cni_network.attachment(**{**options, **more})


@pytest.mark.parametrize("name", ["demo", "ns-2", "a.b", "_x", "worker-2.lab.example", "a" * 255])
def test_a_namespace_is_a_file_in_the_directory_of_namespaces(name: str) -> None:
    assert attachment(netns=name).namespace == f"/run/netns/{name}"


@pytest.mark.parametrize(
    "name", ["../../../proc/1/ns/net", "/", ".", "..", "", "a/b", "-a", ".a", "demo\n", "a b", "a:2", "a" * 256]
)
def test_a_name_that_is_no_component_of_a_path_is_refused(name: str) -> None:
    with pytest.raises(validation.SpecError, match=r"^netns: "):
        attachment(netns=name)


def test_further_probe_pods_have_a_colon_in_their_name() -> None:
    assert netns.path("name", "probe-node1:2", ":") == "/run/netns/probe-node1:2"


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
    with pytest.raises(validation.SpecError, match=f"^{option}"):
        attachment(**{option: value})


@pytest.mark.parametrize("change", [{"name": "../x"}, {"name": "a\n"}, {"type": "../../bin/sh"}, {"type": ""}])
def test_a_configuration_whose_names_lead_out_of_their_directories_is_refused(change: dict[str, str]) -> None:
    source = {"cniVersion": "1.0.0", "name": "pods", "type": "bridge", **change}
    with pytest.raises(cni_network.CniError, match=r"^/etc/x\.conf: "):
        cni_network.parse(json.dumps(source).encode(), "/etc/x.conf")


# --- what is kept of attachments, and what is left of them where a plugin is gone -------------------------------------

CONFIGURATION = {"cniVersion": "0.4.0", "name": "flannel", "plugins": [{"type": "flannel"}]}


def keep(cache: Path, network: str, container: str, **more: Any) -> Path:
    """An attachment in the cache, as libcni writes it."""
    kept = {
        "containerId": container,
        "ifName": "eth0",
        "networkName": network,
        "netns": f"/run/netns/{container}",
        "config": base64.b64encode(json.dumps({**CONFIGURATION, "name": network}).encode()).decode(),
        "result": {"ips": [{"address": "10.244.1.2/24"}]},
        **more,
    }
    path = cache / f"{network}-{container}-eth0"
    path.write_text(json.dumps(kept))
    return path


def gone(*_command: Any, **_more: Any) -> tuple[int, str, str]:
    """Stands in for `ip` on a host whose namespaces are gone."""
    return 1, "", "no such namespace"


@pytest.fixture
def runtime(tmp_path: Path) -> cni_runtime.Runtime:
    return cni_runtime.Runtime(gone, plugins=str(tmp_path / "none"), cache=str(tmp_path))


def test_a_network_has_its_own_attachments_and_not_those_of_one_whose_name_begins_like_it(
    runtime: cni_runtime.Runtime, tmp_path: Path
) -> None:
    keep(tmp_path, "flannel", "a")
    keep(tmp_path, "flannel-other", "b")
    assert [one.container_id for one in runtime.attachments("flannel")] == ["a"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"containerId": "a"}'])
def test_a_file_that_is_damaged_does_not_keep_a_node_from_leaving(
    runtime: cni_runtime.Runtime, tmp_path: Path, text: str
) -> None:
    (tmp_path / "flannel-a-eth0").write_text(text)
    assert runtime.leave("flannel", False, print) == []


def test_a_node_leaves_with_a_warning_where_neither_plugin_nor_configuration_is_left(
    runtime: cni_runtime.Runtime, tmp_path: Path
) -> None:
    kept = [keep(tmp_path, "flannel", "a"), keep(tmp_path, "flannel", "b", config="no base64")]
    warnings: list[str] = []
    assert runtime.leave("flannel", True, warnings.append) == ["detach /run/netns/a", "detach /run/netns/b"]
    assert warnings == [] and all(path.exists() for path in kept)
    assert runtime.leave("flannel", False, warnings.append) == ["detach /run/netns/a", "detach /run/netns/b"]
    assert warnings[0] == f"/run/netns/a: DEL flannel: there is no plugin {tmp_path}/none/flannel"
    assert not any(path.exists() for path in kept)


def test_reservations_of_the_container_go_and_those_of_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cni_remains, "RESERVATIONS", str(tmp_path))
    directory = tmp_path / "flannel"
    directory.mkdir()
    for address, holder in {"10.244.1.2": "a\r\neth0", "10.244.1.3": "b\r\neth0"}.items():
        (directory / address).write_text(holder)
    result = {"ips": [{"address": "10.244.1.2/24"}, {"address": "10.244.1.3/24"}, {"address": "../x"}]}
    kept = {"containerId": "a", "ifName": "eth0", "netns": "/run/netns/a", "result": result}
    assert cni_remains.remove(gone, "flannel", CONFIGURATION["plugins"], kept) == []  # type: ignore[arg-type]
    assert [path.name for path in directory.iterdir()] == ["10.244.1.3"]


def test_addresses_of_another_ipam_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cni_remains, "RESERVATIONS", str(tmp_path))
    result = {"ips": [{"address": "10.244.1.2/32"}]}
    kept = {"containerId": "a", "ifName": "eth0", "netns": "/run/netns/a", "result": result}
    told = cni_remains.remove(gone, "calico", [{"type": "calico", "ipam": {"type": "calico-ipam"}}], kept)
    assert told == ["10.244.1.2 may stay reserved: only reservations of host-local are known here"]
