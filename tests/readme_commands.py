"""The commands of the README, for the tests that run them as they are printed."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    """Lines after a prompt in a text like the README's, with those that continue them, without comments."""
    found = []
    for block in CONSOLE.findall(text):
        found += [part.strip() for part in re.split(r"^\$ ", block, flags=re.MULTILINE) if part.strip()]
    return [re.sub(r"\s+# .*", "", command) for command in found]
