"""Run ansible-test sanity on this checkout, uncommitted changes included.

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
WORK = CHECKOUT / ".cache" / "sanity"
COPY = WORK / "ansible_collections" / "binary_cluster" / "networking"
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


def copy() -> None:
    """Copy the checkout to where ansible-test wants it."""
    shutil.rmtree(COPY, ignore_errors=True)
    for name in files():
        source, target = CHECKOUT / name, COPY / name
        if not os.path.lexists(source):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)
    subprocess.run(["git", "init", "--quiet"], cwd=COPY, check=True)
    subprocess.run(["git", "add", "--all"], cwd=COPY, check=True)


def test(home: Path) -> int:
    """Run ansible-test; put its get-pip in place where it says which version it wants."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = ["ansible-test", "sanity", "--python", version, "--color", "no", "-v"]
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    source = Path(ansible_test.__file__).parent / "_internal" / "python_requirements.py"
    for pip in re.findall(r"pip='([0-9.]+)'", source.read_text()):
        (cache / f"get_pip_{pip.replace('.', '_')}.py").write_text(GET_PIP)
    return subprocess.run(command, cwd=COPY, env={**os.environ, "HOME": str(home)}, check=False).returncode


if __name__ == "__main__":
    copy()
    sys.exit(test(WORK / "home"))
