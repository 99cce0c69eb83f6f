"""Real runs of ansible-playbook by the unit tests, on this checkout and without a host that is asked."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.forked import run_ansible

COLLECTIONS = Path(__file__).resolve().parents[2] / ".ansible" / "collections"


def run_playbook(
    directory: Path, *arguments: str, collections: Path = COLLECTIONS, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A run in a directory, with what it printed; ``collections`` is where Ansible finds this one."""
    whole = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections), "NO_COLOR": "1", **(environment or {})}
    return run_ansible("ansible-playbook", arguments, directory, whole)
