#!/usr/bin/env python
"""The container lab as an Ansible inventory.

The lab is described by environment variables, so that one description serves the demo,
every molecule scenario and the benchmarks:

LAB_NAME    name of the lab, prefix of its containers        (default: lab)
LAB_NODES   how many nodes it has, 1 to 30                   (default: those it is up with, or 3)
LAB_HOSTS   names of its hosts, where they are not cp-1...   (groups then come from a file beside)
LAB_SUBNET  first three octets of its network                (default: 192.168.213)
LAB_SUITE   Debian release: bullseye, bookworm or trixie     (default: bookworm)
LAB_IPV6    1 for hosts whose kernel has IPv6 switched on    (default: as the engine has it, which is off)
LAB_PYTHON  path of the hosts' Python   (default: Ansible looks for it in each run, as for that of a server)
LAB_CACHE   directory where the hosts' Python keeps what it compiles of modules, for hosts that have processes for
            modules started (default: it keeps nothing, and sudo starts each, as on a server)

`lab_up` makes a container of every host of this inventory. They are reached as servers are:
OpenSSH, an unprivileged account, sudo.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
RECIPE = CHECKOUT / "molecule" / "shared" / "image"
COMPILED = CHECKOUT / "molecule" / "shared" / "compiled"
STARTED = CHECKOUT / "molecule" / "shared" / "started"
DEFAULTS = {"LAB_NAME": "lab", "LAB_SUBNET": "192.168.213", "LAB_NODES": "3", "LAB_DOMAIN": ".lab.example"}


def host_names(recorded: dict[str, Any], defaults: Mapping[str, str]) -> list[str]:
    """Names of the hosts of this lab, in the order of their addresses: such as servers have, with hyphens and dots."""
    if os.environ.get("LAB_HOSTS"):
        return os.environ["LAB_HOSTS"].split()
    nodes = int(os.environ.get("LAB_NODES") or recorded.get("nodes", defaults["LAB_NODES"]))
    if not 1 <= nodes <= 30:
        sys.exit(f"LAB_NODES: {nodes}: a lab has 1 to 30 nodes")
    return ["cp-1", *(f"worker-{number}{defaults['LAB_DOMAIN']}" for number in range(2, nodes + 1))]


def image(suite: str) -> str:
    """Name of the lab image: it changes with its recipe, so a changed recipe is built anew."""
    recipe = b"".join((RECIPE / part).read_bytes() for part in ("build", "configure"))
    return f"binary-cluster-lab:{suite}-{hashlib.sha256(recipe).hexdigest()[:12]}"


def volumes(sockets: Path) -> list[str]:
    """What the containers have besides their image."""
    if not os.environ.get("LAB_CACHE"):
        return []
    return [
        f"{COMPILED}:/opt/lab:ro",
        f"{COMPILED}/lab_compiled.pth:/usr/lib/python3/dist-packages/lab_compiled.pth:ro",
        f"{os.environ['LAB_CACHE']}:/var/cache/compiled:rw",
        f"{STARTED}:/opt/started:ro",
        f"{STARTED}/started.service:/usr/lib/systemd/system/started.service:ro",
        f"{STARTED}/wanted.conf:/usr/lib/systemd/system/multi-user.target.d/started.conf:ro",
        f"{sysconfig.get_path('purelib')}/ansible:/opt/controller/ansible:ro",
        f"{sockets}:/opt/sockets:rw",
    ]


def inventory(defaults: Mapping[str, str]) -> dict[str, Any]:
    """The inventory in the form of ``ansible-inventory --list``."""
    name = os.environ.get("LAB_NAME") or defaults["LAB_NAME"]
    directory = CHECKOUT / ".lab" / name
    record = directory / "lab.json"
    recorded = json.loads(record.read_text()) if record.exists() else {}
    subnet = os.environ.get("LAB_SUBNET") or recorded.get("subnet", defaults["LAB_SUBNET"])
    suite = os.environ.get("LAB_SUITE") or recorded.get("suite", "bookworm")
    names = host_names(recorded, defaults)
    known_hosts = directory / "known_hosts"
    groups: dict[str, Any] = {
        "_meta": {
            "hostvars": {
                host: {"ansible_host": f"{subnet}.{10 + number}"} for number, host in enumerate(names, start=1)
            }
        },
        # Not `all`: its variables would reach localhost too.
        "lab": {
            "hosts": names,
            "vars": {
                "lab_name": name,
                "lab_directory": str(directory),
                "lab_subnet": subnet,
                "lab_suite": suite,
                "lab_image": image(suite),
                "lab_sysctls": {"net.ipv6.conf.all.disable_ipv6": "0"} if os.environ.get("LAB_IPV6") else {},
                "lab_volumes": volumes(directory / "sockets"),
                "ansible_user": "ops",
                "ansible_become": True,
                "ansible_ssh_private_key_file": str(directory / "id_ed25519"),
                "ansible_ssh_common_args": (f"-o UserKnownHostsFile={known_hosts} -o StrictHostKeyChecking=accept-new"),
            },
        },
    }
    if os.environ.get("LAB_PYTHON"):
        groups["lab"]["vars"]["ansible_python_interpreter"] = os.environ["LAB_PYTHON"]
    if not os.environ.get("LAB_HOSTS"):
        groups["nodes"] = {"hosts": names}
        groups["etcd"] = {"hosts": names[:3] if len(names) >= 3 else names[:1]}
    return groups


if __name__ == "__main__":
    json.dump({} if "--host" in sys.argv else inventory(DEFAULTS), sys.stdout, indent=2)
