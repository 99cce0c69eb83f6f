"""The reports of a verification of a network that broke since an earlier one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from testing import lab

# UDP between probe pods, and nothing else, stops on its way into worker-2.lab.example's pods.
BREAK = (
    "nft add table ip breakage; nft 'add chain ip breakage passing { type filter hook forward priority 0; }';"
    " nft add rule ip breakage passing udp dport 18080 drop"
)
MEND = "nft delete table ip breakage"


def read(directory: Path) -> dict[str, Any]:
    return dict(json.loads((directory / "connectivity.json").read_text()))


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Where the reports are, and what Ansible said."""
    directory = tmp_path_factory.mktemp("reports")
    # The earlier report is the one that this one replaces.
    earlier = directory / "connectivity.json"
    earlier.write_text(json.dumps(lab.connectivity()))
    given = [f"verify_report_directory={directory}", f"verify_compare={earlier}"]
    given.append(f"verify_prometheus_file={directory}/pods.prom")
    lab.inside("worker-2.lab.example", BREAK)
    try:
        done = lab.playbook("verify", *(part for one in given for part in ("--extra-vars", one)))
    finally:
        lab.inside("worker-2.lab.example", MEND)
    return directory, done.stdout


def test_what_broke_since_an_earlier_report_is_worse(broken: tuple[Path, str]) -> None:
    directory, said = broken
    # A busy machine may answer later than before, too.
    broke = [change for change in read(directory)["compared"]["worse"] if change["after"]["state"] == "failed"]
    assert {change["protocol"] for change in broke} == {"udp"}
    assert "failed" not in {change["before"]["state"] for change in broke}
    others = [name for name in lab.names("nodes") if name != "worker-2.lab.example"]
    assert {(name, "worker-2.lab.example") for name in others} <= {
        (change["source"], change["target"]) for change in broke
    }
    for text in (said, (directory / "connectivity.txt").read_text()):
        # What answers later than before stands in the same line.
        worse = rf"worse: {others[0]} -> worker-2.lab.example: (.*, )?udp (\w+ )?[0-9.]+ ms -> failed"
        assert re.search(worse, text)


def test_metrics_are_written_of_a_broken_network_too(broken: tuple[Path, str]) -> None:
    lines = (broken[0] / "pods.prom").read_text().splitlines()
    assert 'pod_network_whole{backend="flannel"} 0' in lines
    assert 'pod_network_probe_success{source="cp-1",target="worker-2.lab.example",family="4",protocol="udp"} 0' in lines
    assert 'pod_network_probe_success{source="cp-1",target="worker-2.lab.example",family="4",protocol="tcp"} 1' in lines


def test_a_page_has_the_report_in_it(broken: tuple[Path, str]) -> None:
    page = (broken[0] / "connectivity.html").read_text()
    embedded = page.partition('id="report">')[2].partition("</script>")[0]
    assert json.loads(embedded) == read(broken[0])


@pytest.mark.parametrize("playbook", ["verify", "site"])
def test_an_earlier_report_that_is_none_is_refused(tmp_path: Path, playbook: str) -> None:
    done = lab.playbook(playbook, "--extra-vars", f"verify_compare={tmp_path}/none.json")
    assert done.returncode != 0
    assert f"compare: {tmp_path}/none.json: no such file or directory; give the connectivity.json" in done.stdout
    assert "changed=0" in done.stdout and not re.search(r"changed=[1-9]", done.stdout)
