"""Images on top of the lab's, for what tests need beside it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


def on_top_of_the_lab(directory: Path) -> str:
    """Name of the image that a directory's Dockerfile describes, built where it is not there."""
    environment = {**os.environ, "LAB_SUITE": "bookworm"}
    listed = subprocess.run(
        [CHECKOUT / "inventories/lab/hosts.py"], env=environment, capture_output=True, check=True, text=True
    ).stdout
    base = json.loads(listed)["lab"]["vars"]["lab_image"]
    recipe = (directory / "Dockerfile").read_bytes() + base.encode()
    name = f"{base.partition(':')[0]}:{directory.name}-{hashlib.sha256(recipe).hexdigest()[:12]}"
    if not _exists(name):
        if not _exists(base):
            subprocess.run([CHECKOUT / "molecule/shared/image/build", "bookworm", base], check=True)
        command = ["docker", "build", "--quiet", "--tag", name, "--build-arg", f"LAB_IMAGE={base}", str(directory)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return name


def _exists(name: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode == 0
