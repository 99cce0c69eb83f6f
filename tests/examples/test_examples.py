"""The examples of modules and roles run as they are printed: pasted by a user, each does what it says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.examples.chapters import CHAPTERS, KERNEL, NOT_RUN, NOTHING_TO_DO, READERS, ROLES_THAT_READ, Chapter
from tests.examples.printed import CHECKOUT, PREFIX, TIMES, Outcome, of_modules, of_roles, play, three_times
from tests.examples.server import docker, server

MODULES = of_modules()
ROLES = of_roles()
# Once in check mode, once, and once more.
WORDS: tuple[tuple[str, ...], ...] = (("--check",), (), ())


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
    node = {
        "ansible_connection": "community.docker.docker",
        "ansible_docker_host": container,
        "ansible_host": "192.0.2.11",
        "ansible_pipelining": True,
        "ansible_python_interpreter": "/usr/bin/python3",
    }
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
        once = [succeeded(play(directory, inventory(host), ROLES[role], *words)) for words in WORDS]
        check, run, again = [sorted({one.name for one in outcomes if one.changed}) for outcomes in once]
        assert check == run
        assert bool(run) is (role not in ROLES_THAT_READ)
        assert again == []
    if chapter.modules:
        changed = changes(directory, host, chapter.modules)
        quiet = {one for one in changed if one in NOTHING_TO_DO or one.partition(":")[0] in READERS}
        assert changed == {one: (False, False, False) if one in quiet else (True, True, False) for one in changed}
    for role in chapter.gone:
        uninstall = {"ansible.builtin.include_role": {"name": f"{PREFIX}{role}", "tasks_from": "uninstall.yml"}}
        succeeded(play(directory, inventory(host), [of_tasks([{"name": "Uninstall", **uninstall}])]))


def changes(directory: Path, host: str, modules: Sequence[str]) -> dict[str, tuple[bool, ...]]:
    """Whether examples of modules report a change in check mode, in the run, and in the run after that."""
    tasks = [task for example in modules for task in three_times(MODULES[example])]
    outcomes = succeeded(play(directory, inventory(host), [of_tasks(tasks)]))
    assert [one.name for one in outcomes] == [task["name"] for task in tasks]
    return {
        example: tuple(one.changed for one in outcomes[at * len(TIMES) : (at + 1) * len(TIMES)])
        for at, example in enumerate(modules)
    }


def of_tasks(tasks: list[dict[str, Any]]) -> dict[str, Any]:
    """A play of the server."""
    return {"hosts": "node1", "gather_facts": False, "tasks": tasks}


def succeeded(outcomes: list[Outcome]) -> list[Outcome]:
    """The outcomes, none of which is a failure."""
    assert [f"{one.name}: {one.message}" for one in outcomes if one.failed] == []
    return outcomes


def test_every_example_runs_here_or_in_the_tests_of_the_kernel_or_has_a_reason() -> None:
    modules = [example for chapter in CHAPTERS for example in chapter.modules]
    assert len(modules) == len(set(modules))
    assert {one for one in MODULES if one.partition(":")[0] not in KERNEL | NOT_RUN.keys()} == set(modules)
    roles = [role for chapter in CHAPTERS for role in chapter.roles]
    assert sorted(roles) == sorted(ROLES.keys() - NOT_RUN.keys())
