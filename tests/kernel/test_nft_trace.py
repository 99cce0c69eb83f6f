"""The table that marks packets for tracing, when the process that made it is killed."""

from __future__ import annotations

import json
import time

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import nft_trace
from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import PYTHON, Host, run

MAKE = """
import os, signal, subprocess, sys
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import nft_trace

def run(command, data=None):
    done = subprocess.run(command, input=data, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr

with nft_trace.tracing(run, ["10.0.0.1", "fd00::1"], ["192.0.2.11"], [8472], 2) as tracer:
    assert tracer
    print(run(["nft", "list", "table", "inet", nft_trace.TABLE])[1], flush=True)
    if sys.argv[1] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
"""


def trace(host: Host, how: str) -> str:
    """Trace as a module does; what the table was like meanwhile."""
    return host.exec("env", f"PYTHONPATH={host.module_path()}", PYTHON, "-c", MAKE, how, check=how != "killed")


def members(host: Host) -> list[str]:
    """Addresses that are marked."""
    told = json.loads(host.exec("nft", "--json", "list", "table", "inet", nft_trace.TABLE))["nftables"]
    return [str(one["elem"]["val"]) for entry in told if "set" in entry for one in entry["set"].get("elem", ())]


@pytest.fixture
def killed(host: Host) -> Host:
    """A host on which tracing was killed."""
    assert "10.0.0.1" in trace(host, "killed")
    return host


def tables(host: Host) -> str:
    return host.exec("nft", "list", "tables")


def test_a_table_whose_process_was_killed_marks_nothing_after_its_time(killed: Host) -> None:
    assert nft_trace.TABLE in tables(killed)
    until = time.monotonic() + 20
    while members(killed) and time.monotonic() < until:
        time.sleep(0.2)
    assert members(killed) == []


def test_the_next_tracing_takes_the_table_over_and_removes_it(killed: Host) -> None:
    assert trace(killed, "complete").count("elements = { 10.0.0.1") == 1
    assert nft_trace.TABLE not in tables(killed)


def test_the_next_run_sweeps_the_table_and_no_other(killed: Host) -> None:
    killed.exec("nft", "add table inet somebody; add table ip binary_cluster_trace")

    def inside(command: list[str]) -> tuple[int, str, str]:
        return 0, run("ip", "netns", "exec", killed.name, *command), ""

    nft_trace.sweep(inside)
    assert sorted(tables(killed).splitlines()) == ["table inet somebody", "table ip binary_cluster_trace"]
    nft_trace.sweep(inside)
