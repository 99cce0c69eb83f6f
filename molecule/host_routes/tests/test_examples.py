"""The example of role verify runs as it is printed."""

from __future__ import annotations

import json
from pathlib import Path

from testing import lab, printed

NODES = {name: printed.in_container(lab.container(name), lab.address(name)) for name in lab.names("nodes")}
INVENTORY = {"nodes": {"hosts": NODES, "vars": {"cluster_network": "host_routes"}}}


def test_the_role_writes_a_report_on_all_pairs_and_changes_no_host(tmp_path: Path) -> None:
    assert printed.of_role(tmp_path, INVENTORY, "verify") == [set(), set(), set()]
    report = json.loads((tmp_path / "reports" / "pods" / "connectivity.json").read_text())
    assert report["ok"]
    assert {pair["protocol"] for pair in report["pairs"]} == {"icmp", "http"}
    assert {(pair["source"], pair["target"]) for pair in report["pairs"]} == {
        (source, target) for source in NODES for target in NODES if source != target
    }
