"""docs/architecture.md is about what is there, and its picture is drawn from it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends import contract

CHECKOUT = Path(__file__).resolve().parents[2]
DOCUMENT = (CHECKOUT / "docs" / "architecture.md").read_text()
PICTURE = CHECKOUT / "docs" / "architecture.svg"
# A path of the collection in a text; of what is shared, the folder may be left out.
PATH = re.compile(r"`((?:docs|molecule|playbooks|plugins|roles|tests|module_utils|_\w+)/[\w./]+)`")


def test_the_picture_is_current() -> None:
    command = [sys.executable, "docs/architecture_picture.py", "--check"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_picture_has_every_backend_and_nothing_outside_of_its_edges() -> None:
    drawn = ElementTree.fromstring(PICTURE.read_text())
    _x, _y, width, height = map(float, drawn.attrib["viewBox"].split())
    words = [one.text for one in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert contract.declared().keys() <= set(words)
    for box in drawn.iter("{http://www.w3.org/2000/svg}rect"):
        assert float(box.attrib.get("x", 0)) + float(box.attrib["width"]) <= width
        assert float(box.attrib.get("y", 0)) + float(box.attrib["height"]) <= height


def test_the_files_that_the_walks_name_are_there() -> None:
    walks = DOCUMENT.partition("## Add a network backend")[0]
    named = PATH.findall(walks)
    assert len(named) > 15
    roots = ("", "plugins/", "plugins/module_utils/")
    assert [path for path in named if not any((CHECKOUT / f"{root}{path}").exists() for root in roots)] == []
