"""The examples in the documentation of modules do what they say."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import Host

MODULES = Path(__file__).resolve().parents[2] / "plugins" / "modules"
PREFIX = "binary_cluster.networking."


def examples(module: str) -> list[dict[str, Any]]:
    """Tasks of a module's EXAMPLES."""
    tree = ast.parse((MODULES / f"{module}.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "EXAMPLES":
            return list(yaml.safe_load(ast.literal_eval(node.value)))
    raise AssertionError(f"{module} has no examples")


@pytest.mark.parametrize("module", ["vxlan", "vxlan_info", "host_routes"])
def test_examples_run_in_their_order_and_change_nothing_when_run_again(host: Host, module: str) -> None:
    host.ip("link add br0 up type bridge")
    host.ip("link add cni0 up type bridge")
    tasks = examples(module)
    assert tasks
    for task in tasks:
        (name,) = [key for key in task if key.startswith(PREFIX)]
        assert task["name"]
        params = task[name] or {}
        first = host.run_module(name[len(PREFIX) :], params)
        assert first["changed"] is not module.endswith("_info"), task["name"]
        assert host.run_module(name[len(PREFIX) :], params)["changed"] is False, task["name"]
