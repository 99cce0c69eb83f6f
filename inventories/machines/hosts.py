#!/usr/bin/env python
"""The lab of machines as an Ansible inventory: the container lab's shape, each host with a kernel of its own.

Described by the same environment variables, with other defaults:

LAB_NAME    name of the lab and of its network namespace     (default: machines)
LAB_NODES   how many machines it has                         (default: those it is up with, or 2)
LAB_SUBNET  first three octets of its network                (default: 192.168.77)

The network is in a namespace of the lab's own: nothing of it is seen on this machine, and several labs may
have the same. Machines are reached there by a connection that is made inside and handed to ssh.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT))
# What Python would leave beside the other inventory, Ansible would take for a part of it.
sys.dont_write_bytecode = True

from inventories.lab import hosts

MACHINES = CHECKOUT / "molecule" / "shared" / "machines"
IMAGE = MACHINES / "image"
COMPILED = (hosts.COMPILED / "lab_compiled.py", hosts.COMPILED / "lab_compiled.pth")
RECIPE = (IMAGE / "build", IMAGE / "configure", *COMPILED, hosts.RECIPE / "configure")
SUITE = "bookworm"
# Interfaces outside of the machines have their names, and an interface's name is 15 characters at most.
DEFAULTS = {"LAB_NAME": "machines", "LAB_SUBNET": "192.168.77", "LAB_NODES": "2", "LAB_DOMAIN": ""}


def image() -> Path:
    """Directory of the machines' image: it changes with its recipe, so a changed recipe is built anew."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "binary_cluster" / "machines"
    recipe = b"".join(part.read_bytes() for part in RECIPE)
    return cache / f"{SUITE}-{hashlib.sha256(recipe).hexdigest()[:12]}"


def inventory() -> dict[str, Any]:
    """The inventory in the form of ``ansible-inventory --list``."""
    told = hosts.inventory(DEFAULTS)
    variables = told["lab"]["vars"]
    name = variables["lab_name"]
    connect = f"ip netns exec {name} {sys.executable} {MACHINES / 'connect.py'} %h %p"
    variables |= {
        "lab_image": str(image()),
        "lab_suite": SUITE,
        "ansible_ssh_private_key_file": str(image() / "id_ed25519"),
        # Connections that are kept end with the lab, not with another one's of the same addresses.
        "ansible_control_path_dir": variables["lab_directory"],
        # In memory: what is sent is not written to an emulated disk twice.
        "ansible_remote_tmp": "/dev/shm",
    }
    variables["ansible_ssh_common_args"] += f" -o ProxyCommand='{connect}' -o ProxyUseFdpass=yes"
    return told


if __name__ == "__main__":
    json.dump({} if "--host" in sys.argv else inventory(), sys.stdout, indent=2)
