"""Real runs of ansible-playbook by the unit tests, on this checkout and without a host that is asked."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tests.forked import Forks, Request

CHECKOUT = Path(__file__).resolve().parents[2]
COLLECTIONS = CHECKOUT / ".ansible" / "collections"
PLAYBOOK = "ansible.cli.playbook"
# What a run imports in any case and what reads no configuration: that is read by each run for itself.
IMPORTED = (
    "ansible.config.manager", "ansible.utils.collection_loader", "ansible.vars.hostvars", "concurrent.futures.thread",
    "cryptography.hazmat.primitives.asymmetric.ed25519", "cryptography.hazmat.primitives.ciphers.algorithms",
    "jinja2.nativetypes", "jinja2.sandbox", "multiprocessing.queues", "packaging.requirements", "tarfile", "zipfile",
)  # fmt: skip


@cache
def forks() -> Forks:
    """The process that runs are copies of."""
    return Forks(IMPORTED)


atexit.register(forks.cache_clear)


def run_playbook(
    directory: Path, *arguments: str, collections: Path = COLLECTIONS, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A run in a directory, with what it printed; ``collections`` is where Ansible finds this one."""
    whole = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections), "NO_COLOR": "1", **(environment or {})}
    program = Path(sys.executable).parent / "ansible-playbook"
    return forks().start(Request(PLAYBOOK, [str(program), *arguments], str(directory), whole)).wait()
