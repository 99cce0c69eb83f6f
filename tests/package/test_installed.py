"""The collection as a user has it: built, installed into an empty directory, used from there."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
NAME = "binary_cluster.networking"
PLUGINS = {
    kind: sorted(
        f"{NAME}.{path.stem}" for path in (CHECKOUT / "plugins" / folder).glob("*.py") if not path.stem.startswith("_")
    )
    for kind, folder in (("module", "modules"), ("filter", "filter"), ("callback", "callback"), ("lookup", "lookup"))
}
ROLES = sorted(path.name for path in (CHECKOUT / "roles").iterdir())


def run(collections: Path, *command: str) -> str:
    """Output of a command that knows nothing of the checkout."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment |= {"ANSIBLE_COLLECTIONS_PATH": str(collections), "HOME": str(collections)}
    done = subprocess.run(
        command, cwd=collections, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty directory into which the built tarball was installed."""
    built, collections = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("collections")
    run(collections, "ansible-galaxy", "collection", "build", "--output-path", str(built), str(CHECKOUT))
    (tarball,) = built.glob("binary_cluster-networking-*.tar.gz")
    run(collections, "ansible-galaxy", "collection", "install", "--offline", "-p", str(collections), str(tarball))
    return collections


def test_the_tarball_holds_what_users_need_and_nothing_else(collections: Path) -> None:
    installed = collections / "ansible_collections" / "binary_cluster" / "networking"
    assert {path.name for path in installed.iterdir()} == {
        "CHANGELOG.rst",
        "CODE_OF_CONDUCT.md",
        "CONTRIBUTING.md",
        "FILES.json",
        "LICENSE",
        "MANIFEST.json",
        "README.md",
        "changelogs",
        "docs",
        "inventories",
        "meta",
        "playbooks",
        "plugins",
        "requirements.yml",
        "roles",
        "site.yml",
    }
    assert sorted(path.name for path in (installed / "roles").iterdir()) == ROLES
    assert [path.name for path in (installed / "inventories").iterdir()] == ["example"]
    playbooks = {path.stem for path in (installed / "playbooks").glob("*.yml")}
    assert playbooks == {path.stem for path in (CHECKOUT / "playbooks").glob("*.yml")} - {"lab_up", "lab_down"}


def test_every_playbook_is_found_by_its_full_name(collections: Path) -> None:
    installed = collections / "ansible_collections" / "binary_cluster" / "networking"
    for path in sorted((installed / "playbooks").glob("*.yml")):
        inventory = str(installed / "inventories" / "example")
        run(collections, "ansible-playbook", "--syntax-check", "-i", inventory, f"{NAME}.{path.stem}")


@pytest.mark.parametrize("kind", PLUGINS)
def test_every_plugin_is_documented(collections: Path, kind: str) -> None:
    documented = json.loads(run(collections, "ansible-doc", "--type", kind, "--json", *PLUGINS[kind]))
    for name, parts in documented.items():
        assert parts["doc"]["short_description"], name
        if kind != "callback":
            assert parts["examples"] and parts["return"], name
    assert sorted(documented) == PLUGINS[kind]


@pytest.mark.parametrize("role", ROLES)
def test_the_arguments_of_a_role_are_its_defaults(collections: Path, role: str) -> None:
    documented = json.loads(run(collections, "ansible-doc", "--type", "role", "--json", f"{NAME}.{role}"))
    options = documented[f"{NAME}.{role}"]["entry_points"]["main"].get("options", {})
    told = {name: option["default"] for name, option in options.items() if "default" in option}
    path = CHECKOUT / "roles" / role / "defaults" / "main.yml"
    defaults = (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}
    # Ansible evaluates what is told even where the variable is set: a template may stand in the defaults alone.
    assert told == {name: value for name, value in defaults.items() if name in told or "{{" not in str(value)}
    assert defaults.keys() <= options.keys()


def test_every_module_takes_the_defaults_of_the_action_group() -> None:
    groups = yaml.safe_load((CHECKOUT / "meta" / "runtime.yml").read_text())["action_groups"]
    assert sorted(f"{NAME}.{name}" for name in groups["networking"]) == PLUGINS["module"]


def test_readmes_and_metadata_of_the_roles_are_current() -> None:
    done = subprocess.run(
        ["python", "docs/role_readmes.py", "--check"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_readme_lists_every_role_and_playbook() -> None:
    readme = (CHECKOUT / "README.md").read_text()
    assert [role for role in ROLES if f"[{role}](roles/{role})" not in readme] == []
    playbooks = {path.stem for path in (CHECKOUT / "playbooks").glob("*.yml")} - {"lab_up", "lab_down"}
    assert [name for name in playbooks if f"| `{name}` |" not in readme] == []
