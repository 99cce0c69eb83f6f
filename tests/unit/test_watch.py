"""What a node makes of its own tables, and of who answers."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.binary_cluster.networking.plugins.module_utils._probe import path_monitor

NODE2, NODE3 = path_monitor.Peer("node2", "192.0.2.12"), path_monitor.Peer("node3", "192.0.2.13")
PEERS = (NODE2, NODE3)
# A tunnel to node2, a plain route to node3, and this node's own pods.
WHOLE = path_monitor.Tables(
    routes={
        "10.244.1.0/24": {"dst": "10.244.1.0/24", "dev": "cni0"},
        "10.244.2.0/24": {"dst": "10.244.2.0/24", "gateway": "10.244.2.0", "dev": "flannel.1"},
        "10.244.3.0/24": {"dst": "10.244.3.0/24", "gateway": "192.0.2.13", "dev": "eth0"},
    },
    neighbours={("flannel.1", "10.244.2.0"): "02:00:00:00:00:02"},
    fdb={("flannel.1", "02:00:00:00:00:02"): "192.0.2.12"},
    forwarding=True,
)
KNOWN = {
    "node2": path_monitor.Known("10.244.2.0/24", ["10.244.2.0"]),
    "node3": path_monitor.Known("10.244.3.0/24", ["10.244.3.1"]),
}
NOBODY: frozenset[str] = frozenset()


def without(name: str, key: object) -> path_monitor.Tables:
    left: dict[str, Any] = {name: {one: value for one, value in getattr(WHOLE, name).items() if one != key}}
    return dataclasses.replace(WHOLE, **left)


def test_pod_networks_are_learnt_from_whole_entries_and_kept_when_they_break() -> None:
    known: dict[str, path_monitor.Known] = {}
    path_monitor.learn(WHOLE, PEERS, known)
    assert {name: one.subnet for name, one in known.items()} == {"node2": "10.244.2.0/24", "node3": "10.244.3.0/24"}
    path_monitor.learn(without("neighbours", ("flannel.1", "10.244.2.0")), PEERS, known)
    path_monitor.learn(without("routes", "10.244.3.0/24"), PEERS, known)
    assert known["node2"].subnet == "10.244.2.0/24" and known["node3"].subnet == "10.244.3.0/24"


def test_a_node_that_has_another_pod_network_now_is_learnt_anew() -> None:
    known = {"node3": path_monitor.Known("10.244.9.0/24", ["10.244.9.1"]), "node2": KNOWN["node2"]}
    path_monitor.learn(WHOLE, PEERS, known)
    assert known["node3"] == path_monitor.Known("10.244.3.0/24", [])


def test_a_whole_network_has_no_fault() -> None:
    assert path_monitor.judge(WHOLE, PEERS, KNOWN, NOBODY) == {}


@pytest.mark.parametrize(
    ("tables", "node", "told"),
    [
        (without("routes", "10.244.2.0/24"), "node2", "there is no route to 10.244.2.0/24, the pods of node2"),
        (without("neighbours", ("flannel.1", "10.244.2.0")), "node2", "does not know the MAC of 10.244.2.0"),
        (without("fdb", ("flannel.1", "02:00:00:00:00:02")), "node2", "leads to 10.244.2.0, not to 192.0.2.12"),
        (
            dataclasses.replace(WHOLE, fdb={("flannel.1", "02:00:00:00:00:02"): "192.0.2.99"}),
            "node2",
            "flannel.1 sends packets for node2 to 192.0.2.99, not to 192.0.2.12",
        ),
        (
            dataclasses.replace(
                WHOLE, routes={**WHOLE.routes, "10.244.3.0/24": {"gateway": "192.0.2.1", "dev": "eth0"}}
            ),
            "node3",
            "leads to 192.0.2.1, not to 192.0.2.13",
        ),
        (
            dataclasses.replace(WHOLE, routes={**WHOLE.routes, "10.244.3.0/24": {"type": "blackhole"}}),
            "node3",
            "there is no route to 10.244.3.0/24",
        ),
    ],
)
def test_a_broken_entry_is_named(tables: path_monitor.Tables, node: str, told: str) -> None:
    faults = path_monitor.judge(tables, PEERS, KNOWN, NOBODY)
    assert list(faults) == [node] and told in faults[node]


def test_forwarding_is_this_node_s_own_fault() -> None:
    faults = path_monitor.judge(dataclasses.replace(WHOLE, forwarding=False), PEERS, KNOWN, NOBODY)
    assert list(faults) == [""] and "forwarding is off" in faults[""]


def test_a_machine_that_is_silent_explains_its_pods() -> None:
    silent = frozenset({"192.0.2.12", "10.244.2.0", "10.244.2.1"})
    faults = path_monitor.judge(without("routes", "10.244.2.0/24"), PEERS, KNOWN, silent)
    assert faults == {"node2": "node2 (192.0.2.12) does not answer, pods or not"}


def test_a_network_that_filters_icmp_between_machines_is_no_fault_where_pods_answer() -> None:
    assert path_monitor.judge(WHOLE, PEERS, KNOWN, frozenset({"192.0.2.12", "10.244.2.1"})) == {}


def test_only_what_has_answered_before_has_to_answer() -> None:
    assert path_monitor.judge(WHOLE, PEERS, KNOWN, frozenset({"10.244.2.1", "10.244.3.0"})) == {}
    faults = path_monitor.judge(WHOLE, PEERS, KNOWN, frozenset({"10.244.3.1"}))
    assert list(faults) == ["node3"] and "10.244.3.1 in the pod network of node3 do not answer" in faults["node3"]


def test_a_node_whose_pods_no_route_ever_led_to_is_told() -> None:
    known = {"node2": path_monitor.Known(), "node3": KNOWN["node3"]}
    faults = path_monitor.judge(without("routes", "10.244.2.0/24"), PEERS, known, NOBODY)
    assert faults == {"node2": "no route leads to the pods of node2"}


def test_a_route_by_bgp_to_one_node_does_not_hide_that_there_is_none_to_another() -> None:
    bird = {"gateway": NODE2.address, "dev": "eth0", "protocol": "bird"}
    tables = path_monitor.Tables({"10.244.2.0/24": bird}, {}, {}, forwarding=True, network="10.244.0.0/16")
    known: dict[str, path_monitor.Known] = {}
    path_monitor.learn(tables, PEERS, known)
    assert path_monitor.judge(tables, PEERS, known, NOBODY) == {"node3": "no route leads to the pods of node3"}


def test_the_program_on_a_node_has_all_that_it_imports(tmp_path: Path) -> None:
    role = Path(__file__).resolve().parents[2] / "roles" / "verify"
    variables = yaml.safe_load((role / "vars" / "main.yml").read_text())
    library = variables["_verify_watch_library"]

    def within(path: str) -> Path:
        path = path.replace("{{ _verify_watch_modules }}", variables["_verify_watch_modules"])
        return tmp_path / path.replace("{{ _verify_watch_library }}", library).removeprefix(f"{library}/")

    for directory in variables["_verify_watch_directories"][1:]:
        if not directory["path"].startswith("/var"):
            within(directory["path"]).mkdir()
    for file in variables["_verify_watch_files"]:
        if name := re.search(r"'([^']+\.py)'", file["content"]):
            source = role / name[1].lstrip("/") if name[1].startswith("/") else role / "files" / name[1]
            within(file["path"]).write_text(source.read_text())
    # Without the packages of this Python, as on a node.
    program = [sys.executable, "-S", "-c", "import watch"]
    done = subprocess.run(program, cwd=tmp_path, env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
