"""Whose a link is where a record says nothing of links: version 0.1.0 noted none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import links
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger

# Records as version 0.1.0 left them on a node.
EARLIER: dict[str, dict[str, Any]] = {
    "flannel-node": {"firewall": {"before": []}, "networks": {"10.244.0.0/16": {}}},
    "vxlan_mesh": {"networks": {"vxlan_mesh": {}}},
}
LINKS = [{"ifname": name} for name in ("eth0", "cni0", "flannel.1", "vxlan-mesh", "vetha")]
NAMES = [str(link["ifname"]) for link in LINKS]


def ledger_of(owner: str, directory: Path, entries: dict[str, Any]) -> Ledger:
    (directory / f"{owner}.json").write_text(json.dumps(entries))
    return Ledger(owner, str(directory))


@pytest.mark.parametrize(("owner", "own"), [("flannel-node", "flannel.1"), ("vxlan_mesh", "vxlan-mesh")])
def test_links_of_an_earlier_version_are_ours(owner: str, own: str, tmp_path: Path) -> None:
    ledger = ledger_of(owner, tmp_path, EARLIER[owner])
    with pytest.raises(links.LinkError):
        links.refuse_foreign(ledger, LINKS, own)
    links.adopt(ledger, NAMES)
    links.refuse_foreign(ledger, LINKS, own)
    assert {name for name in NAMES if links.made(ledger, name)} == {"cni0", own}
    assert links.recorded(str(tmp_path), NAMES).keys() == {"cni0", own}


@pytest.mark.parametrize("entries", [{}, {"networks": {"vxlan_mesh": {}}, "links": {"cni0": {"kind": "bridge"}}}])
def test_a_host_without_a_record_and_one_whose_record_has_links_adopt_nothing(
    entries: dict[str, Any], tmp_path: Path
) -> None:
    ledger = ledger_of("vxlan_mesh", tmp_path, entries)
    links.adopt(ledger, NAMES)
    assert not any(links.made(ledger, name) for name in NAMES)
