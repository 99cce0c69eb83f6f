"""Modules and services behave alike whatever environment a host starts them in, and tell errors in one way."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import module
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError
from ansible_collections.binary_cluster.networking.tests.unit.module_failures import failure

CHECKOUT = Path(__file__).resolve().parents[2]
MODULES = [path for path in (CHECKOUT / "plugins" / "modules").glob("*.py") if "def main()" in path.read_text()]
SOURCES = sorted((*(CHECKOUT / "plugins/modules").glob("*.py"), *(CHECKOUT / "plugins/module_utils").rglob("*.py")))
# The health check's own questions go over plain connections; the program that it tells of moves is the user's, and may
# need a proxy.
UNITS = [path for path in (CHECKOUT / "roles").glob("*/templates/*.service.j2") if path.name != "health.service.j2"]

# Errors that no module ends with: those who call what raises them deal with them.
INTERNAL = {
    "LinkDown": "the address is asked for on the other links",
    "StatusError": "the client of etcd tells a refusal from an etcd that is not there",
    "ProtocolError": "an OSError, as whatever else breaks a connection",
    "DnsError": "an answer that cannot be read is none",
    "RecordError": "all faults of a call are told at once",
    "ResourceError": "all faults of a call are told at once",
}


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What sudo and /etc/environment may leave."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    for name in ("https_proxy", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.setenv(name, "http://192.0.2.1:3128")
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("hostile")
def test_files_can_be_read_and_tools_are_found_and_no_proxy_is_asked(tmp_path: Path) -> None:
    module.prepare(proxies=False)
    (tmp_path / "made").mkdir()
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o755
    assert os.environ["PATH"].split(":")[:2] == ["/usr/bin", "/bin"]
    assert {"/usr/sbin", "/sbin", "/usr/local/sbin"} <= set(os.environ["PATH"].split(":"))
    assert not [name for name in os.environ if name.lower().endswith("_proxy")]


@pytest.mark.usefixtures("hostile")
def test_what_fetches_from_elsewhere_keeps_its_proxies() -> None:
    module.prepare(proxies=True)
    assert os.environ["HTTPS_PROXY"] == "http://192.0.2.1:3128"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_module_is_one(path: Path) -> None:
    text = path.read_text()
    assert "HostModule(" in text
    assert not re.search(r"\bAnsibleModule\b", text)


def test_an_error_is_told_with_its_place_and_its_remedy() -> None:
    def block() -> None:
        raise TaskError("10.244.1.0/24 is assigned twice", "nodes[1].pod_cidr", "Give each node its own")

    told = failure(block, "node1", actions=["add route"])
    assert told["msg"] == "node1: nodes[1].pod_cidr: 10.244.1.0/24 is assigned twice. Give each node its own"
    assert told["actions"] == ["add route"]


def test_a_file_that_cannot_be_read_is_no_traceback() -> None:
    assert failure(lambda: Path("/nonexistent").read_text())["msg"].endswith(
        "No such file or directory: '/nonexistent'"
    )


def test_a_wrong_value_is_no_traceback_where_a_module_says_so() -> None:
    assert failure(lambda: int("x"), "port", ValueError)["msg"].startswith("port: invalid literal")
    with pytest.raises(ValueError, match="invalid literal"):
        failure(lambda: int("x"), "port")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(CHECKOUT / "plugins")))
def test_every_error_is_one_that_modules_report(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef) and {"Exception", "ValueError", "OSError"} & {
            base.id for base in node.bases if isinstance(base, ast.Name)
        }:
            assert node.name == "TaskError" or node.name in INTERNAL, f"{node.name}: derive it from TaskError"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_errors_are_reported_in_one_place(path: Path) -> None:
    """A module says what it is about, and lists no errors that the entry point knows."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler) and node.name:
            told = ast.unparse(node.body[0])
            assert not told.startswith(("module.fail_json(", "self.module.fail_json(")), f"line {node.lineno}: {told}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_what_may_fail_is_made_where_errors_are_reported(path: Path) -> None:
    """A record, or what reads one or asks the kernel when it is made, such as Node(module)."""
    tree = ast.parse(path.read_text())
    main = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main")
    for statement in main.body:
        if not isinstance(statement, ast.With):
            made = [ast.unparse(node) for node in ast.walk(statement) if isinstance(node, ast.Call)]
            assert not [call for call in made if re.match(r"(\w+\.)?([A-Z]\w+\(module\)|Ledger\()", call)]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_no_service_asks_a_proxy(path: Path) -> None:
    dropped = re.findall(r"^UnsetEnvironment=(.*)$", path.read_text(), re.MULTILINE)
    assert set(" ".join(dropped).split()) >= {spelled for name in module.PROXIES for spelled in (name, name.upper())}
