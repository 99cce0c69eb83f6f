"""What module host_facts makes of a host's IPv6: who lives by advertisements, and where it is switched off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._ledger import Ledger
from ansible_collections.binary_cluster.networking.plugins.modules import host_facts

ROUTES: list[dict[str, Any]] = [
    {"dst": "default", "gateway": "fe80::1", "dev": "eth0", "protocol": "ra"},
    {"dst": "2001:db8::/64", "dev": "eth1", "protocol": "kernel"},
    {"dst": "::/0", "protocol": "ra", "nexthops": [{"dev": "eth2"}, {"dev": "eth3"}]},
]


def interfaces(root: Path, setting: str, **values: int) -> str:
    for name, value in values.items():
        (root / name).mkdir(exist_ok=True)
        (root / name / setting).write_text(f"{value}\n")
    return str(root)


def test_only_interfaces_that_live_by_advertisements_are_to_keep_taking_them(tmp_path: Path) -> None:
    root = interfaces(tmp_path, "accept_ra", eth0=1, eth1=1, eth2=0, eth3=1)
    assert host_facts.advertised(ROUTES, ["eth0", "eth1", "eth2", "eth3", "lo"], root) == ["eth0", "eth3"]


def test_one_that_was_told_to_take_them_always_keeps_that_when_its_routes_have_run_out(tmp_path: Path) -> None:
    root = interfaces(tmp_path, "accept_ra", eth0=2, eth1=1)
    assert host_facts.advertised([], ["eth0", "eth1"], root) == ["eth0"]


def test_where_ipv6_is_off_is_told_by_the_kernels_names(tmp_path: Path) -> None:
    root = interfaces(tmp_path, "disable_ipv6", all=0, default=1, eth0=0, eth1=1)
    assert host_facts.ipv6_off(root) == ["default", "eth1"]
    assert host_facts.ipv6_off(str(tmp_path / "none")) == ["all"]


def test_install_records_tell_owners_data_and_damage(tmp_path: Path) -> None:
    records, data = tmp_path / "records", tmp_path / "data"
    (data / "member").mkdir(parents=True)
    empty = tmp_path / "empty"
    (empty / "lost+found").mkdir(parents=True)
    ledger = Ledger("etcd", str(records))
    ledger.record_all("paths", {str(data): {"purge": True}, str(empty): {"purge": True}, "/etc/etcd/etcd.env": {}})
    Ledger("flanneld", str(records)).record("paths", "/etc/flannel/network.json", {})
    (records / "calico.json").write_text('{"paths": {')
    found = host_facts.installed(str(records))
    assert found["owners"] == ["calico", "etcd", "flanneld"]
    assert found["data_directories"] == {"etcd": {str(data): str(data)}}
    assert list(found["damaged_records"]) == ["calico"]
    assert "the install record is cut or not JSON" in found["damaged_records"]["calico"]
