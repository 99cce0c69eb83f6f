"""A change reaches the gates that look at what changed, and leaves out those that do not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gates
import pytest
import reach


def reached(*paths: str) -> set[str]:
    """The gates that changes of these files reach, of those that say what they look at."""
    parts = {reach.part_of(path) for path in paths}
    return {gate.name for gate in ALL if gate.parts and not parts.isdisjoint(PARTS[gate.name])}


ALL = list(gates.gates(False, ()))
PARTS = {gate.name: set(gate.parts()) for gate in ALL if gate.parts}


def test_every_role_and_plugin_is_looked_at_by_a_gate_that_runs_it() -> None:
    running = set().union(*(parts for name, parts in PARTS.items() if name not in ("sanity", "browser")))
    # `make test` looks at everything: this is for what was left behind.
    assert set(reach.code()) - running == set()


@pytest.mark.parametrize(
    ("path", "scenarios"),
    [
        ("roles/api_load_balancer/tasks/main.yml", {"api_load_balancer"}),
        ("roles/coredns/defaults/main.yml", {"coredns"}),
        ("roles/calico/templates/bird.conf.j2", {"calico", "machines"}),
        ("roles/vxlan_mesh/tasks/main.yml", {"vxlan_mesh", "host_routes"}),
        ("molecule/seed/tests/test_seed.py", {"seed"}),
        ("molecule/shared/routed/boot.yml", {"vxlan_mesh", "host_routes"}),
        ("inventories/machines/hosts.py", {"machines"}),
    ],
)
def test_a_part_is_looked_at_by_the_scenarios_that_have_it(path: str, scenarios: set[str]) -> None:
    found = {name.removeprefix("molecule-") for name in reached(path) if name.startswith("molecule-")}
    assert found == scenarios


@pytest.mark.parametrize("path", ["site.yml", "tests/reach.py", "roles/gone.yml", "requirements-dev.txt"])
def test_what_cannot_be_followed_leaves_out_nothing(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "changed", lambda _commit: [path])
    assert gates.reached(ALL, "HEAD") == ALL


def test_what_all_have_reaches_all() -> None:
    everywhere = {name for name in PARTS if name.startswith("molecule-")}
    assert reached("plugins/module_utils/_host/files.py") >= {*everywhere, "kernel", "sanity"}
    assert reached("molecule/shared/testing/lab.py") >= everywhere


def test_a_text_for_people_reaches_no_scenario() -> None:
    assert reached("README.md", "docs/role_readmes.py") == set()


def test_processes_of_a_gate_compile_once_and_not_into_the_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(gates, "COMPILED", tmp_path / "compiled")
    source = tmp_path / "source"
    source.mkdir()
    (source / "imported.py").touch()
    environment = gates.environment(ALL[0])
    subprocess.run([sys.executable, "-c", "import imported"], cwd=source, env=environment, check=True)
    assert [path.name for path in source.iterdir()] == ["imported.py"]
    assert len(list((tmp_path / "compiled").rglob("imported.*.pyc"))) == 1
