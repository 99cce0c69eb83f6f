"""The examples of modules and roles run as they are printed: pasted by a user, each does what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testing.printed import CHECKOUT, in_container, of_module, of_modules, of_role, of_roles, uninstall
from tests.examples.chapters import (
    CHAPTERS,
    MODULES_ELSEWHERE,
    NOTHING_TO_DO,
    READERS,
    ROLES_ELSEWHERE,
    ROLES_THAT_READ,
    Chapter,
)
from tests.examples.server import docker, server

MODULES = of_modules()
ROLES = of_roles()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the playbooks are, with the collection beside them, and what they make beside their inventory."""
    made = tmp_path_factory.mktemp("project")
    (made / "collections").symlink_to(CHECKOUT / ".ansible" / "collections")
    return made


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """A server of these tests' own."""
    with server() as name:
        yield name


def inventory(container: str) -> dict[str, Any]:
    """One server in all groups, with the variables of a cluster that preflight asks for."""
    groups = ("nodes", "etcd", "coredns", "kube_control_plane")
    node = in_container(container, "192.0.2.11")
    cluster = {
        "cluster_network": "flannel",
        "cluster_pod_cidr": "10.244.0.0/16",
        "cluster_service_cidr": "10.0.0.0/24",
        "cluster_dns_domain": "cluster.local",
        "cluster_certificates_directory": "{{ inventory_dir }}-pki",
    }
    return {"all": {"vars": cluster}, **{group: {"hosts": {"node1": node}} for group in groups}}


# They run in their order, since some need what those before them have deployed.
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_examples_do_as_check_mode_says_and_change_nothing_again(host: str, chapter: Chapter, directory: Path) -> None:
    for name, content in chapter.files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(content)
    if chapter.before:
        docker("exec", "--interactive", host, "sh", "-e", data=chapter.before)
    for role in chapter.roles:
        check, run, again = of_role(directory, inventory(host), role)
        assert check == run
        assert bool(run) is (role not in ROLES_THAT_READ)
        assert again == set()
    if chapter.modules:
        changed = of_module(directory, inventory(host), "node1", chapter.modules)
        quiet = {one for one in changed if one in NOTHING_TO_DO or one.partition(":")[0] in READERS}
        assert changed == {one: (False, False, False) if one in quiet else (True, True, False) for one in changed}
    if chapter.after:
        docker("exec", "--interactive", host, "sh", "-e", data=chapter.after)
    for role in chapter.gone:
        uninstall(directory, inventory(host), "node1", role)


def test_every_example_of_a_module_runs_here_or_where_it_is_declared_to() -> None:
    here = {example for chapter in CHAPTERS for example in chapter.modules}
    there = {example for example in MODULES if example.partition(":")[0] in MODULES_ELSEWHERE}
    assert (here | there, here & there) == (set(MODULES), set())
    for example in there:
        module = example.partition(":")[0]
        # A test that names the module alone runs all its examples.
        assert re.search(f'"{module}"|"{example}"', text(MODULES_ELSEWHERE[module])), f"{example} runs nowhere"


def test_every_example_of_a_role_runs_here_or_where_it_is_declared_to() -> None:
    here = {role for chapter in CHAPTERS for role in chapter.roles}
    assert (here | set(ROLES_ELSEWHERE), here & set(ROLES_ELSEWHERE)) == (set(ROLES), set())
    for role, place in ROLES_ELSEWHERE.items():
        assert f'INVENTORY, "{role}")' in text(place), f"{role} runs nowhere"


def text(place: str) -> str:
    """A file of the checkout."""
    return (CHECKOUT / place).read_text()
