"""Settings of the kernel are given back, also where some of them are gone or cannot be written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import file_entry
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger
from ansible_collections.binary_cluster.networking.plugins.modules import node_kernel


class Module:
    """What the functions need of an AnsibleModule."""

    check_mode = False

    def __init__(self, **params: Any) -> None:
        self.params = {"name": "node", "modules": {}, "sysctls": {}, "unmanaged": [], **params}
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def run_command(self, _words: list[str]) -> tuple[int, str, str]:
        return 0, "[]", ""


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two settings; the kernel is the edge, and these are files."""
    root = tmp_path / "sys"
    root.mkdir()
    (root / "net.ipv4.ip_forward").write_text("0\n")
    (root / "net.bridge.call").write_text("0\n")
    monkeypatch.setattr(node_kernel, "path_of", lambda name: str(root / name))
    monkeypatch.setattr(
        node_kernel, "entries", lambda name, modules, sysctls: [file_entry.Entry(str(tmp_path / "etc/sysctl.conf"))]
    )
    return root


@pytest.fixture
def ledger(tmp_path: Path, kernel: Path) -> Ledger:
    ledger = Ledger("node", str(tmp_path / "records"))
    module: Any = Module(sysctls={"net.ipv4.ip_forward": 1, "net.bridge.call": 1})
    node_kernel.install(module, ledger)
    return ledger


def test_settings_are_given_back(kernel: Path, ledger: Ledger, tmp_path: Path) -> None:
    assert (kernel / "net.bridge.call").read_text() == "1"
    module: Any = Module()
    node_kernel.remove(module, ledger)
    assert {path.name: path.read_text().strip() for path in kernel.iterdir()} == {
        "net.ipv4.ip_forward": "0",
        "net.bridge.call": "0",
    }
    assert not ledger.entries
    assert not (tmp_path / "etc").exists()


def test_a_setting_that_the_kernel_has_no_more_is_told_and_forgotten(kernel: Path, ledger: Ledger) -> None:
    (kernel / "net.bridge.call").unlink()
    module: Any = Module()
    node_kernel.remove(module, ledger)
    assert module.warnings == ["sysctl net.bridge.call is not given back: the kernel has no such setting any more"]
    assert (kernel / "net.ipv4.ip_forward").read_text() == "0"
    assert not ledger.entries


def test_a_run_gets_past_a_setting_that_is_no_longer_wanted_and_gone(kernel: Path, ledger: Ledger) -> None:
    (kernel / "net.bridge.call").unlink()
    module: Any = Module(sysctls={"net.ipv4.ip_forward": 1})
    node_kernel.install(module, ledger)
    assert ledger.names(node_kernel.SYSCTLS) == ["net.ipv4.ip_forward"]


def test_what_cannot_be_given_back_stays_noted_and_the_rest_goes(
    kernel: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = node_kernel.write

    def refuse(name: str, value: str) -> None:
        if name == "net.ipv4.ip_forward":
            raise node_kernel.KernelError(f"sysctl {name}: the kernel refuses {value}: Read-only file system")
        real(name, value)

    monkeypatch.setattr(node_kernel, "write", refuse)
    module: Any = Module()
    with pytest.raises(node_kernel.KernelError, match=r"net\.ipv4\.ip_forward: the kernel refuses 0: Read-only"):
        node_kernel.remove(module, ledger)
    assert (kernel / "net.bridge.call").read_text() == "0"
    assert not (tmp_path / "etc").exists()
    assert ledger.entries == {node_kernel.SYSCTLS: {"net.ipv4.ip_forward": ["0", "1"]}}


def test_the_first_value_survives_a_change_of_the_wanted_one(kernel: Path, ledger: Ledger) -> None:
    module: Any = Module(sysctls={"net.ipv4.ip_forward": 2, "net.bridge.call": 1})
    node_kernel.install(module, ledger)
    assert ledger.before(node_kernel.SYSCTLS, "net.ipv4.ip_forward") == ["0", "2"]
