"""Which parts of the collection a gate reaches, and so which gates a change can reach.

A part is what changes together: a role, a plugin, a playbook, a scenario's folder. Parts are followed by the names
in their texts: a role or plugin by its full name, Python by its imports, a playbook or folder by its path. Of
``site``'s plays those count that a scenario's inventory has hosts for. What is followed wrongly runs a gate more, so
a name is taken for a reference where that is in doubt. What decides over a change is the whole of the gates.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import forked
import yaml

CHECKOUT = Path(__file__).resolve().parents[1]
# A change to one of these can change what any gate says.
EVERYTHING = (
    "tests/forked.py",
    "tests/gates.py",
    "tests/prepared.py",
    "tests/prepared_client.py",
    "tests/reach.py",
    "tests/run_ansible_test.py",
    "site.yml",
    "Makefile",
    "ansible.cfg",
    "galaxy.yml",
    "pyproject.toml",
    "requirements",
    "meta",
    ".config",
    ".ci",
)
# Groups whose hosts a play of the collection is for.
GROUPS = ("nodes", "etcd", "coredns", "api_load_balancer")
NETWORKS = ("calico", "flannel", "host_routes", "vxlan_mesh")

FULL_NAME = re.compile(r"binary_cluster\.networking\.(\w+)")
TEMPLATED_NAME = re.compile(r"binary_cluster\.networking\.\{\{")
IMPORT = re.compile(r"^\s*(?:from|import) .*", re.MULTILINE)
# What modules and plugins share, in packages: from ...module_utils._host import files, (systemd as ...), or a path.
SHARED_CODE = re.compile(r"\b(\w+_utils)[./](_\w+)(?:[./](\w+)| import (\([^)]*\)|.*))")
PLAYBOOK = re.compile(r"""(?:playbooks?/|vars/|playbook\(["']|import_playbook: )(\w+)""")
QUOTED = re.compile(r"""["'](\w+)["']""")
CODE = ("plugins/", "molecule/shared/")
SHARED = re.compile(r"shared/(\w+)")
INVENTORY = re.compile(r"inventories/(\w+)")


def changed(reference: str) -> list[str]:
    """Files that differ from a commit, those included that git does not know yet, and both names of a renamed one."""
    commands = (
        ["git", "diff", "--name-only", "--no-renames", "-z", reference],
        ["git", "ls-files", "--others", "--exclude-standard", "-z"],
    )
    said = [subprocess.run(one, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout for one in commands]
    return sorted({name for text in said for name in text.split("\0") if name})


def part_of(path: str) -> str:
    """The part that a file belongs to."""
    pieces = path.split("/")
    depth = {"roles": 2, "molecule": 3 if pieces[1:2] == ["shared"] else 2, "tests": 2, "inventories": 2}
    return "/".join(pieces[: depth.get(pieces[0], len(pieces))])


@cache
def files() -> dict[str, list[Path]]:
    """The files of each part that git knows or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    said = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    found: dict[str, list[Path]] = {}
    for name in said.splitlines():
        if (CHECKOUT / name).is_file():
            found.setdefault(part_of(name), []).append(CHECKOUT / name)
    return found


@cache
def text(part: str) -> str:
    """What a part does, as text: neither what its documentation says nor what it says to people."""
    return "\n".join(
        _code(path) for path in files().get(part, ()) if path.name != "argument_specs.yml" and path.suffix != ".md"
    )


def _code(path: Path) -> str:
    """A file without its documentation, but for the fragments that this names."""
    whole = path.read_text(errors="replace")
    if path.is_symlink():
        whole += f"\n{path.resolve().relative_to(CHECKOUT)}"
    documentation = re.findall(r'^(?:DOCUMENTATION|EXAMPLES|RETURN) = r?""".*?"""', whole, re.MULTILINE | re.DOTALL)
    for one in documentation:
        whole = whole.replace(one, "\n".join(re.findall(r"binary_cluster\.networking\._\w+", one)))
    return re.sub(r"^\s*#.*", "", whole, flags=re.MULTILINE)


@cache
def called(name: str) -> tuple[str, ...]:
    """Parts that have a name: a role, plugins, a playbook, a folder that scenarios share."""
    exact = (
        f"roles/{name}",
        f"playbooks/{name}.yml",
        f"playbooks/vars/{name}.yml",
        f"molecule/shared/{name}",
        f"molecule/shared/{name}.yml",
    )
    plugin = re.compile(rf"plugins/\w+/{name}\.py")
    return tuple(part for part in files() if part in exact or plugin.fullmatch(part))


@cache
def named(words: str) -> frozenset[str]:
    """Parts that a text names."""
    names = {*FULL_NAME.findall(words), *PLAYBOOK.findall(words), *SHARED.findall(words)}
    # A name that is made of variables is that of a network backend.
    names |= set(NETWORKS) if TEMPLATED_NAME.search(words) else set()
    code = {word for line in IMPORT.findall(words) for word in re.findall(r"\w+", line)}
    # Tests call modules by their name alone.
    code |= set(QUOTED.findall(words))
    paths = {
        f"plugins/{kind}/{package}/{name}.py"
        for kind, package, one, several in SHARED_CODE.findall(words)
        for name in ([one] if one else re.findall(r"\w+", several))
    }
    found = {part for name in names for part in called(name)}
    found |= paths & files().keys()
    found |= {f"inventories/{name}" for name in INVENTORY.findall(words)} & files().keys()
    return frozenset(found | {part for name in code for part in called(name) if part.startswith(CODE)})


@cache
def named_in_plays(part: str, groups: frozenset[str]) -> frozenset[str]:
    """Parts that a playbook names in the plays that have hosts."""
    found: set[str] = set()
    for play in yaml.load(text(part), yaml.CSafeLoader):
        wanted = set(re.findall(r"\w+", str(play.get("hosts", "")))) & set(GROUPS)
        if not wanted or wanted & groups:
            found |= named(json.dumps(play))
    return frozenset(found)


def inventory(environment: Mapping[str, str]) -> tuple[frozenset[str], frozenset[str]]:
    """Groups that have hosts in an inventory, and the network backends that its variables name."""
    where = environment.get("LAB_INVENTORY", "inventories/lab")
    whole = {**os.environ, **environment}
    done = forked.run_ansible("ansible-inventory", ["--inventory", where, "--list"], CHECKOUT, whole)
    done.check_returncode()
    told = json.loads(done.stdout)
    networks = {one.get("cluster_network") for one in told["_meta"]["hostvars"].values()}
    return frozenset(name for name in GROUPS if told.get(name)), frozenset(networks & set(NETWORKS))


def reach(begin: Iterable[str], groups: frozenset[str], networks: frozenset[str]) -> set[str]:
    """All parts that can be got to from some, without the roles for hosts or networks that there are none of."""
    without = {f"roles/{name}" for name in {*GROUPS, *NETWORKS} - groups - networks}
    seen: set[str] = set()
    waiting = list(begin)
    while waiting:
        part = waiting.pop()
        if part not in seen:
            seen.add(part)
            playbook = re.fullmatch(r"playbooks/\w+\.yml", part)
            further = named_in_plays(part, groups) if playbook else named(text(part))
            if part.startswith("plugins/") and "import_module(" in text(part):
                further |= {other for other in files() if Path(other).parent == Path(part).parent}
            waiting += further - without
    return seen


def of(part: str) -> set[str]:
    """All parts that one reaches."""
    return reach([part], frozenset(GROUPS), frozenset(NETWORKS))


def code() -> list[str]:
    """All plugins and roles, whose files are Python too."""
    return [part for part in files() if part.startswith(("plugins/", "roles/"))]


def of_scenario(folder: str, environment: Mapping[str, str]) -> set[str]:
    """All parts that a scenario of molecule's reaches."""
    own = f"molecule/{folder}"
    settings = yaml.load((CHECKOUT / own / "molecule.yml").read_text(), yaml.CSafeLoader)
    given = {"LAB_NAME": folder, **settings.get("ansible", {}).get("env", {}), **environment}
    groups, networks = inventory(
        {name: str(value).replace("${MOLECULE_SCENARIO_DIRECTORY}", own) for name, value in given.items()}
    )
    spoken = {name for name in NETWORKS if re.search(rf"\b(?:to_)?{name}\b", text(own))}
    # The folders there that not every scenario uses are named by those that do.
    of_some = {f"molecule/shared/{name}" for name in ("routed", "machines")}
    shared = {part for part in files() if part.startswith("molecule/shared/")} - of_some
    return reach([own, "playbooks/site.yml", "inventories/lab", *shared], groups, networks | spoken)
