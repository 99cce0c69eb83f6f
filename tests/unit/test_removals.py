"""Nothing is removed but in a few places, each of which asks first whether it is ours.

The sources are read, and whatever in them can remove a path, link, namespace, package, account, member or key of
etcd, or a part of a firewall is looked up in :data:`HOMES`. A new one belongs into one of these places, through
``Ledger.require``; a place that is new has to say here how it knows that what it removes is ours.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
# Functions that remove a path, by the module that they are in.
FUNCTIONS = {"os": {"unlink", "remove", "rmdir", "removedirs"}, "shutil": {"rmtree"}}
# Methods of pathlib.
METHODS = {"unlink", "rmdir"}
# Words with which commands and requests begin, in one text or one after the other in a list. Within a text they are
# advice for a reader.
WORDS = {
    "link": re.compile(r"^(ip (-\S+ (\S+ )?)*)?link del(ete)?\b"),
    "namespace": re.compile(r"^(ip (-\S+ )*)?netns del(ete)?\b"),
    "account": re.compile(r"^(userdel|groupdel|deluser|delgroup)\b"),
    "package": re.compile(r"^(dpkg (--purge|--remove|-P|-r)|apt(-get)? (remove|purge|autoremove|autopurge))\b"),
    "member": re.compile(r"^/\S+/member/remove\b|^(etcdctl )?member remove\b"),
    "key": re.compile(r"deleterange|request_delete_range", re.IGNORECASE),
    "firewall": re.compile(r"^(nft )?delete (table|chain)\b|^ipset destroy\b"),
    "route": re.compile(r"^(ip (-\S+ )*)?route (del(ete)?|flush)\b"),
    "kernel module": re.compile(r"^(rmmod|modprobe -r)\b"),
    "resource": re.compile(r"^delete node\b"),
}
# Where something of a kind is removed, and how that place knows that it is ours.
HOMES = {
    "module_utils/_host/install_record.py": {"path": "its own files, in its own directory"},
    "module_utils/_host/files.py": {"path": "asks the record: Ledger.require(), and plan() for what is in a directory"},
    "module_utils/_host/file_writing.py": {
        "path": "partial files under names that are its own alone, and directories that the record of all owners lists"
    },
    "module_utils/_host/accounts.py": {"account": "asks the record: Ledger.require()"},
    "module_utils/_host/packages.py": {
        "package": "asks the record: Ledger.require()",
        "path": "the file of its own transaction, in the record's directory",
    },
    "module_utils/_host/kernel_modules.py": {
        "kernel module": "takes names from the record, and spares what others use"
    },
    "module_utils/_host/dry_run.py": {"path": "a temporary directory of its own"},
    "module_utils/_cni/network.py": {
        "path": "directories in which the network's own plugins and daemons keep its state"
    },
    "module_utils/_cni/runtime.py": {"path": "the cache of an attachment, after its DEL"},
    "module_utils/_cni/remains.py": {
        "path": "reservations that bear the name of the attachment",
        "link": "the interface that the attachment was given",
    },
    "module_utils/_host/netns.py": {"namespace": "the record of attachments shows it as made here"},
    "module_utils/_host/links.py": {"link": "asks the record: removal(), made()"},
    "module_utils/_etcd/client.py": {
        "member": "the caller judges, in _etcd/cluster.py",
        "key": "the caller passes keys of its own prefix or owner",
    },
    "module_utils/_etcd/messages.py": {
        "member": "the form of requests, of which it sends none",
        "key": "the form of requests, of which it sends none",
    },
    "module_utils/_etcd/joining.py": {"path": "data that this very call began"},
    "module_utils/_etcd/process.py": {"path": "the file with which it starts a member for the first time, in /run"},
    "module_utils/_host/run_lock.py": {"path": "a lock of its own, in /run"},
    "module_utils/_probe/engine.py": {"path": "its own program, in a directory of its own in /run"},
    "module_utils/_firewall/closed_ports.py": {"firewall": "its own table, which it writes again"},
    "module_utils/_firewall/daemon_rules.py": {
        "firewall": "chains and tables with the daemon's prefix that were not there before"
    },
    "module_utils/_kernel/trace_instance.py": {
        "path": "instances of the tracer with a name of its own, which nobody has open"
    },
    "module_utils/_kernel/nft_trace.py": {"firewall": "its own table, which has a name of its own"},
    "module_utils/_routing/masquerade.py": {"firewall": "its own table, which bears its comment"},
    "module_utils/_routing/routes.py": {"route": "routes with the protocol number of the collection"},
    "module_utils/_plan/changes.py": {"link": "carries out what a plan says, and decides nothing"},
    "module_utils/_vxlan/link.py": {
        "link": "devices that a task of module vxlan names; routed_node plans for its own only where the record has it"
    },
    "modules/calico_ipam.py": {"resource": "a node that the user names as lost"},
    "modules/calico_node.py": {
        "route": "routes with Calico's protocol number",
        "firewall": "Calico's own sets, by their names",
        "resource": "this node",
    },
    "modules/cluster_firewall.py": {"firewall": "its own table, where the record has it"},
    "module_utils/_backends/flannel_node.py": {"route": "routes of flannel's networks in the record"},
}
SOURCES = sorted((*(PLUGINS / "modules").glob("*.py"), *(PLUGINS / "module_utils").rglob("*.py")))


def texts(tree: ast.AST) -> Iterator[str]:
    """Texts of a source, lists of texts as one, with what is not known when it is written left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        elif isinstance(node, (ast.List, ast.Tuple)):
            yield " ".join(_word(one) for one in node.elts)
        elif isinstance(node, ast.Call):
            yield " ".join(_word(one) for one in node.args)


def _word(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "…"


def documentation(tree: ast.Module) -> set[str]:
    """Texts that are shown to readers: docstrings, and a module's documentation."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and (
            told := ast.get_docstring(node, clean=False)
        ):
            found.add(told)
        if isinstance(node, ast.Assign) and {"DOCUMENTATION", "EXAMPLES", "RETURN"} & {
            target.id for target in node.targets if isinstance(target, ast.Name)
        }:
            found.update(texts(node))
    return found


def removals(source: str) -> set[str]:
    """Kinds of things that a source can remove."""
    tree = ast.parse(source)
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            module = node.value.id if isinstance(node.value, ast.Name) else ""
            if node.attr in FUNCTIONS.get(module, METHODS):
                found.add("path")
        elif isinstance(node, ast.ImportFrom) and FUNCTIONS.get(node.module or "", set()) & {
            name.name for name in node.names
        }:
            found.add("path")
    shown = documentation(tree)
    for text in set(texts(tree)) - shown:
        found.update(kind for kind, pattern in WORDS.items() if pattern.search(text))
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PLUGINS)))
def test_things_are_removed_only_where_somebody_asks_whose_they_are(path: Path) -> None:
    name = str(path.relative_to(PLUGINS))
    assert removals(path.read_text()) <= HOMES.get(name, {}).keys(), f"{name}: see HOMES"


@pytest.mark.parametrize("name", HOMES)
def test_every_home_is_one(name: str) -> None:
    """What is no longer removed there is no longer allowed there."""
    assert removals((PLUGINS / name).read_text()) == HOMES[name].keys()


@pytest.mark.parametrize("name", ["accounts", "files", "packages"])
def test_homes_that_ask_the_record_do(name: str) -> None:
    assert ".require(" in (PLUGINS / "module_utils" / "_host" / f"{name}.py").read_text()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PLUGINS)))
def test_a_module_opens_a_record_so_that_a_damaged_one_is_no_traceback(path: Path) -> None:
    source = path.read_text()
    if path.parent.name == "modules" and re.search(r"\bLedger\(", source):
        assert "with module.reporting(" in source


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("path", "import os\nos.remove('/x')"),
        ("path", "import os\n(os.rmdir if x else os.unlink)(path)"),
        ("path", "from shutil import rmtree"),
        ("path", "Path('/x').unlink()"),
        ("link", "kernel.change([f'link delete dev {name}'])"),
        ("link", "run(['ip', 'link', 'del', name])"),
        ("namespace", "run(['ip', 'netns', 'delete', name])"),
        ("account", "run(['userdel', name])"),
        ("package", "run(['dpkg', '--purge', *names])"),
        ("package", "run('apt-get remove x')"),
        ("member", "self.call('/v3/cluster/member/remove', {})"),
        ("key", "self.call('/v3/kv/deleterange', {})"),
        ("firewall", "run(['nft', 'delete', 'table', family, table])"),
        ("firewall", "run(['ipset', 'destroy', name])"),
    ],
)
def test_the_guard_sees_what_it_is_to_see(kind: str, source: str) -> None:
    assert removals(source) == {kind}


def test_the_guard_does_not_take_documentation_for_commands() -> None:
    assert not removals('"""Says ip link delete, and userdel."""\nRETURN = r"""link delete dev x"""\nx.remove(y)\n')
