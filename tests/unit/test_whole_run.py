"""Options of ansible-playbook that leave out checks are refused before the first task: real runs, without a host."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.unit.ansible_runs import run_playbook

CHECKOUT = Path(__file__).resolve().parents[2]


def play(
    playbook: str, *options: str, inventory: tuple[str, ...] = ("--inventory", "host1,")
) -> subprocess.CompletedProcess[str]:
    """A run of a playbook on an inventory whose host is never asked."""
    return run_playbook(CHECKOUT, *inventory, f"binary_cluster.networking.{playbook}", *options)


@pytest.mark.parametrize(
    ("playbook", "options", "told"),
    [
        (
            "site",
            ("--start-at-task", "Install and start the member"),
            "--start-at-task 'Install and start the member': ",
        ),
        ("drift", ("--start-at-task", "Report the differences"), "--start-at-task "),
        ("verify", ("--start-at-task", "*probe*"), "--start-at-task '*probe*': "),
        ("teardown", ("--start-at-task", "Remove*"), "--start-at-task 'Remove*': "),
        ("site", ("--step",), "--step: "),
        ("teardown", ("--step",), "--step: "),
        ("site", ("--skip-tags", "network,preflight"), "--skip-tags preflight: "),
        ("drift", ("--skip-tags", "always"), "--skip-tags always: "),
        ("verify", ("--skip-tags", "always"), "--skip-tags always: "),
        ("site", ("--skip-tags", "tagged"), "--skip-tags tagged: "),
    ],
)
def test_a_run_that_leaves_out_checks_is_refused(playbook: str, options: tuple[str, ...], told: str) -> None:
    done = play(playbook, *options)
    assert done.returncode != 0
    assert told in done.stderr
    assert "Nothing was changed. Run the playbook without it" in done.stderr
    assert "TASK [" not in done.stdout


@pytest.mark.parametrize("playbook", ["site", "drift", "verify", "teardown"])
def test_a_run_without_an_inventory_says_so(playbook: str, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("")
    done = play(playbook, "--inventory", str(tmp_path / "hosts"), inventory=())
    assert done.returncode != 0
    assert "The inventory has no host" in done.stdout + done.stderr
    assert "Name it with -i" in done.stdout + done.stderr


def test_a_run_that_leaves_out_parts_of_the_site_is_not_refused() -> None:
    done = play("site", "--skip-tags", "verify,dns", "--tags", "network")
    assert "TASK [Refuse an inventory without hosts]" in done.stdout
    assert "The inventory has no host in any of the groups nodes, etcd, coredns" in done.stdout + done.stderr
