"""The backend that docs/architecture.md adds as an example is added as it says, and keeps the contract of all."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
DOCUMENT = (CHECKOUT / "docs" / "architecture.md").read_text()
FILE = re.compile(r"^`([\w/.]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TESTS = re.compile(r"^pytest (.*?)^```$", re.MULTILINE | re.DOTALL)
PLACES = (
    "plugins/plugin_utils/_backends/static_gre.py", "plugins/module_utils/_backends/static_gre.py",
    "roles/static_gre/", "molecule/static_gre/",
)  # fmt: skip
COPIED = ("molecule", "playbooks", "plugins", "roles", "tests", "meta", "ansible.cfg", "galaxy.yml", "pyproject.toml")
# How many tests of the contract there are for a backend, and one for all.
LEAST = 10


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """A copy of the collection with the files of the document."""
    copy = tmp_path / "networking"
    copy.mkdir()
    for name in COPIED:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".cache"))
        else:
            shutil.copy(source, copy / name)
    for path, content in FILE.findall(DOCUMENT):
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_text(content)
    link = copy / ".ansible" / "collections" / "ansible_collections" / "binary_cluster" / "networking"
    link.parent.mkdir(parents=True)
    link.symlink_to(copy)
    return copy


def test_the_example_has_files_in_the_four_places_and_nowhere_else() -> None:
    paths = [path for path, _content in FILE.findall(DOCUMENT)]
    assert all(path.startswith(PLACES) for path in paths)
    assert [place for place in PLACES if not any(path.startswith(place) for path in paths)] == []


def test_the_example_keeps_the_contract_of_all_backends(collection: Path) -> None:
    (command,) = TESTS.findall(DOCUMENT)
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "ANSIBLE_CONFIG")}
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *shlex.split(command.replace("\\\n", " "))]
    done = subprocess.run(words, cwd=collection, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    (passed,) = re.findall(r"^(?:.* )?(\d+) passed", done.stdout, re.MULTILINE)
    assert int(passed) >= LEAST
