"""Modules that came with a role leave the kernel with it, unless somebody else wants them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import kernel_modules
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger("node", str(tmp_path / "ledger"))
    kernel_modules.note(ledger, "br_netfilter")
    return ledger


def released(ledger: Ledger, links: Sequence[Mapping[str, Any]] = (), own: Sequence[str] = ()) -> list[list[str]]:
    """Commands that releasing runs; the kernel itself is the edge here, and is emulated elsewhere."""
    ran: list[list[str]] = []

    def run(command: list[str]) -> tuple[int, str, str]:
        ran.append(command)
        return 0, "", ""

    kernel_modules.release(run, ledger, kernel_modules.noted(ledger), links, own)
    return ran


def asks(monkeypatch: pytest.MonkeyPatch, path: Path, text: str) -> None:
    path.write_text(text)
    names = kernel_modules.asked_for((str(path),))
    monkeypatch.setattr(kernel_modules, "asked_for", lambda: names)


def test_a_module_that_came_with_the_role_is_removed_and_forgotten(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asks(monkeypatch, tmp_path / "other.conf", "# br_netfilter\n; br_netfilter\n\noverlay\n")
    assert released(ledger) == [["rmmod", "br_netfilter"]]
    assert kernel_modules.noted(ledger) == []


def test_a_module_that_another_file_asks_for_stays_however_it_spells_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asks(monkeypatch, tmp_path / "k8s.conf", "overlay\n br-netfilter \n")
    assert released(ledger) == []
    assert kernel_modules.noted(ledger) == []


def tunnel(name: str) -> dict[str, Any]:
    """A link as `ip -details -json` shows it."""
    return {"ifname": name, "linkinfo": {"info_kind": "ipip"}}


@pytest.mark.parametrize(
    ("names", "stays"), [(["tunl0"], False), (["tunl0", "ours"], False), (["tunl0", "ours", "theirs"], True)]
)
def test_a_module_stays_where_somebody_else_has_a_link_that_it_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], stays: bool
) -> None:
    ledger = Ledger("node", str(tmp_path / "ledger"))
    kernel_modules.note(ledger, "ipip")
    asks(monkeypatch, tmp_path / "none.conf", "")
    links = [{"ifname": "lo"}, *map(tunnel, names)]
    assert released(ledger, links, own=["ours"]) == ([] if stays else [["rmmod", "ipip"]])
    assert kernel_modules.noted(ledger) == []
