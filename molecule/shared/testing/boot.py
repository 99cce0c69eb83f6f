"""A machine of the lab boots without Ansible."""

from __future__ import annotations

import subprocess

import yaml

from testing import lab

# What others have on a host: a boot takes it away, and the test of residue looks for it.
FOREIGN = lab.CHECKOUT / "molecule" / "shared" / "tasks" / "foreign.yml"


def behind_a_router() -> str:
    """What a server in the lab with a router has from its own boot, and a container from the preparation."""
    return f"ip route add {lab.variable('cp-1', 'far_node')} via {lab.address('router')}; mount -t bpf bpf /sys/fs/bpf"


def boot(host: str, *units: str, before: str = "true") -> None:
    """Restart a host, and wait until its units run; ``before`` makes what its boot would on a server."""
    subprocess.run(["docker", "restart", lab.container(host)], capture_output=True, check=True)
    (foreign,) = yaml.safe_load(FOREIGN.read_text())
    lab.inside(host, f"{before}\n{foreign['ansible.builtin.shell']['cmd']}")
    running = f"systemctl is-active --quiet {' '.join(units)}"
    lab.inside(
        host, f"for try in $(seq 300); do {running} && exit 0; sleep 0.1; done; systemctl status {units[0]}; exit 1"
    )
