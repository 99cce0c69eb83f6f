"""Roles show one pattern: the same stages in the same order, and no file that nothing uses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (CHECKOUT / "roles").iterdir())
STAGES = ("preflight", "install", "configure", "service")
FOLDERS = ("defaults", "tasks", "templates", "vars")
IMPORT = "ansible.builtin.import_tasks"
# Roles without these stages, and why.
ONE_STAGE = {"preflight": "it is the first stage of site.yml"}
# Roles whose stages have no tags of their own, and why.
UNTAGGED = {
    "certificates": "the stage that needs certificates includes it with the tags of that stage",
    "verify": "its tag is verify: a part of a verification proves nothing",
}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def stages(role: str) -> list[dict[str, Any]]:
    """The stages of a role as its main.yml lists them."""
    found: list[dict[str, Any]] = load(CHECKOUT / "roles" / role / "tasks" / "main.yml")
    return found


@pytest.mark.parametrize("role", sorted({*ROLES} - {*ONE_STAGE}))
def test_a_role_is_a_list_of_stages_in_their_order(role: str) -> None:
    assert [stage for stage in stages(role) if {*stage} - {"name", IMPORT, "tags"}] == []
    names = [Path(stage[IMPORT]).stem for stage in stages(role)]
    assert names == [stage for stage in STAGES if stage in names]
    assert names[0] == "preflight"


@pytest.mark.parametrize("role", sorted({*ROLES} - {*ONE_STAGE} - {*UNTAGGED}))
def test_a_stage_has_the_tag_of_its_role_and_name(role: str) -> None:
    tagged = {Path(stage[IMPORT]).stem: stage.get("tags", []) for stage in stages(role)[1:]}
    assert tagged
    assert [stage for stage, tags in tagged.items() if f"{role}_{stage}" not in tags] == []


def calls(value: object, role: str) -> Iterator[tuple[str, str]]:
    """The files of tasks that tasks use, each with a pattern of its role's name; of `role` where none is named."""
    for one in value if isinstance(value, list) else []:
        for part in ("tasks", "block", "rescue", "always"):
            yield from calls(one.get(part), role)
        for key in (IMPORT, "ansible.builtin.include_tasks"):
            if key in one:
                yield role, one[key]["file"] if isinstance(one[key], dict) else one[key]
        for key in ("ansible.builtin.import_role", "ansible.builtin.include_role"):
            if key in one:
                name = one[key]["name"].removeprefix("binary_cluster.networking.")
                yield re.sub(r"\{\{.*?\}\}", ".*", name), one[key].get("tasks_from", "main.yml")


CALLS = {
    call
    for path in (*CHECKOUT.glob("roles/*/tasks/*.yml"), *CHECKOUT.glob("playbooks/*.yml"))
    for call in calls(load(path), path.parts[-3])
}


@pytest.mark.parametrize("role", ROLES)
def test_no_file_of_tasks_is_called_by_nobody(role: str) -> None:
    files = sorted(path.name for path in (CHECKOUT / "roles" / role / "tasks").iterdir())
    called = {file for pattern, file in CALLS if re.fullmatch(pattern, role)}
    assert [file for file in files if file not in called | {"main.yml"}] == []


@pytest.mark.parametrize("role", ROLES)
def test_no_template_or_file_is_used_by_nobody(role: str) -> None:
    here = CHECKOUT / "roles" / role
    offered = {path.name for folder in ("templates", "files") for path in here.glob(f"{folder}/*")}
    texts = [path.read_text() for folder in FOLDERS for path in here.glob(f"{folder}/*")]
    assert [name for name in sorted(offered) if not any(name in text for text in texts)] == []


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_metadata_by_which_tools_know_it(role: str) -> None:
    found = load(CHECKOUT / "roles" / role / "meta" / "main.yml")
    assert {*found["galaxy_info"]} == {"author", "description", "license", "standalone"}
    assert all(found["galaxy_info"][key] for key in ("author", "description", "license"))
    # What a role needs of others, its tasks include, where and when they need it.
    assert found["dependencies"] == []
