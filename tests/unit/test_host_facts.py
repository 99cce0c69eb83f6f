"""What module host_facts makes of a host: its IPv6, its install records, its distribution and its Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger
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


@pytest.mark.parametrize(
    ("text", "name", "families"),
    [
        ('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n', "Debian GNU/Linux 12 (bookworm)", ["debian"]),
        ('NAME=\'Rocky Linux\'\nID="rocky"\nID_LIKE="rhel fedora"\n', "Rocky Linux", ["rocky", "rhel", "fedora"]),
        ("# nothing\n", "", [""]),
    ],
)
def test_the_distribution_is_told_with_those_it_is_like(
    tmp_path: Path, text: str, name: str, families: list[str]
) -> None:
    (tmp_path / "os-release").write_text(text)
    assert host_facts.distribution(str(tmp_path / "os-release")) == {"name": name, "families": families}
    assert host_facts.distribution(str(tmp_path / "none")) == {"name": "", "families": [""]}


def program(path: Path, code: int) -> str:
    path.write_text(f"#!/bin/sh\nexit {code}\n")
    path.chmod(0o755)
    return str(path)


def test_services_get_the_distributions_python_and_that_of_the_modules_where_it_is_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = SimpleNamespace(run_command=lambda words: (subprocess.run(words, check=False).returncode, "", ""))
    new, old, own = program(tmp_path / "new", 0), program(tmp_path / "old", 1), program(tmp_path / "own", 1)
    linked = tmp_path / "python3"
    linked.symlink_to(own)
    none = str(tmp_path / "none")
    monkeypatch.setattr(host_facts, "HIDDEN", ("/home/",))
    assert host_facts.unit_python(module, new, own) == new
    assert host_facts.unit_python(module, old, own) == own
    assert host_facts.unit_python(module, none, own) == own
    assert host_facts.unit_python(module, str(linked), own) == str(linked), "it is the modules' own, which runs"
    assert host_facts.unit_python(module, none, "") == ""


def test_a_python_that_services_do_not_see_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = SimpleNamespace(run_command=lambda _words: (0, "", ""))
    (tmp_path / "home").mkdir()
    hidden = program(tmp_path / "home" / "python3", 0)
    linked = tmp_path / "python3"
    linked.symlink_to(hidden)
    monkeypatch.setattr(host_facts, "HIDDEN", (f"{tmp_path}/home/",))
    assert host_facts.unit_python(module, hidden, str(linked)) == ""
    assert host_facts.unit_python(module, hidden, sys.executable) == sys.executable
