"""Run ansible-test sanity or integration on this checkout, uncommitted changes included.

usage: run_ansible_test.py sanity|integration [target ...]

Targets of integration run in a throw-away network namespace: what they make touches nothing of the machine.

ansible-test wants a real ``ansible_collections/<namespace>/<name>`` directory under git, so the files
are copied to one. It also wants to download get-pip from a host that may not be reachable; the file it
looks for first is put there, and does the same with what Python carries.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import ansible_test

CHECKOUT = Path(__file__).resolve().parents[1]
WORK = CHECKOUT / ".cache" / "ansible-test"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
COMMANDS = {
    "sanity": ("ansible-test", "sanity", "-v"),
    "integration": ("unshare", "--net", "ansible-test", "integration", "--local", "--allow-destructive"),
}
GET_PIP = """import ensurepip, subprocess, sys
ensurepip.bootstrap()
wanted = [word for word in sys.argv[1:] if "==" in word]
if wanted:
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", *wanted])
"""


def files() -> list[str]:
    """Files that git tracks or would track."""
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in done.stdout.split("\0") if name]


def copy(collection: Path) -> None:
    """Copy the checkout to where ansible-test wants it."""
    shutil.rmtree(collection, ignore_errors=True)
    for name in files():
        source, target = CHECKOUT / name, collection / name
        if not os.path.lexists(source):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)
    subprocess.run(["git", "init", "--quiet"], cwd=collection, check=True)
    subprocess.run(["git", "add", "--all"], cwd=collection, check=True)


def provide_pip(home: Path) -> None:
    """Put get-pip where ansible-test looks for it, in the versions that it says it wants."""
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    source = Path(ansible_test.__file__).parent / "_internal" / "python_requirements.py"
    for pip in re.findall(r"pip='([0-9.]+)'", source.read_text()):
        (cache / f"get_pip_{pip.replace('.', '_')}.py").write_text(GET_PIP)


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    # A copy for each command, so that both may run at a time.
    collection = WORK / sys.argv[1] / "ansible_collections" / "binary_cluster" / "networking"
    home = WORK / "home"
    copy(collection)
    provide_pip(home)
    command = [*COMMANDS[sys.argv[1]], "--python", PYTHON, "--color", "no", *sys.argv[2:]]
    return subprocess.run(command, cwd=collection, env={**os.environ, "HOME": str(home)}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
