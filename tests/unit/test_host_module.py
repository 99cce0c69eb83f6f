"""Modules and services behave alike whatever environment a host starts them in."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import module

CHECKOUT = Path(__file__).resolve().parents[2]
MODULES = [path for path in (CHECKOUT / "plugins" / "modules").glob("*.py") if "def main()" in path.read_text()]
# The health check's own questions go over plain connections; the program that it tells of moves is the user's, and may
# need a proxy.
UNITS = [path for path in (CHECKOUT / "roles").glob("*/templates/*.service.j2") if path.name != "health.service.j2"]


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


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_no_service_asks_a_proxy(path: Path) -> None:
    dropped = re.findall(r"^UnsetEnvironment=(.*)$", path.read_text(), re.MULTILINE)
    assert set(" ".join(dropped).split()) >= {spelled for name in module.PROXIES for spelled in (name, name.upper())}
