"""A server to run examples on: a container with systemd, and the documented addresses of examples around it."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from images import CHECKOUT, on_top_of_the_lab

HERE = Path(__file__).resolve().parent
# As in playbooks/lab_up.yml: what systemd needs in a container, and not more. Its networks are its own.
OPTIONS = (
    "--rm", "--network=none", "--hostname=node1", "--cap-add=NET_ADMIN", "--cap-add=NET_RAW", "--cap-add=SYS_ADMIN",
    "--cap-add=SYS_PTRACE", "--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined",
    "--cgroupns=host", "--device=/dev/net/tun", "--tmpfs=/run", "--tmpfs=/run/lock", "--tmpfs=/tmp",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw", "--stop-signal=SIGRTMIN+3", "--memory=2g", "--pids-limit=2000",
)  # fmt: skip
# Its Python keeps what it compiles of a task's sources, as in the lab.
COMPILED = CHECKOUT / "molecule" / "shared" / "compiled"
KEPT = CHECKOUT / ".cache" / "compiled"
MOUNTS = (
    f"--volume={COMPILED}:/opt/lab:ro",
    f"--volume={COMPILED}/lab_compiled.pth:/usr/lib/python3/dist-packages/lab_compiled.pth:ro",
    f"--volume={KEPT}:/var/cache/compiled:rw",
)
SECONDS = 60
# After so many it ends even if nobody is left to end it.
LONGEST = 1200
# Everybody else whom examples name is the far end of the server's only link: other nodes, and a pod on one of them.
NETWORK = """
set -e
ip netns add others
ip link add enp1s0 type veth peer name far netns others
ip -n others link set lo up
ip -n others address add 10.244.7.2/32 dev lo
for address in 192.0.2.1/24 192.0.2.12/24 192.0.2.13/24 192.0.2.22/24 192.0.2.50/24; do
    ip -n others address add $address dev far
done
ip -n others link set far up
for address in 192.0.2.11/24 192.0.2.21/24; do ip address add $address dev enp1s0; done
ip link set enp1s0 up
ip route add default via 192.0.2.1
# The pod answers UDP from its own address.
ip -n others route add 10.244.0.0/16 via 192.0.2.11 src 10.244.7.2
"""


def docker(*words: str, data: str = "") -> str:
    """What docker says. Raises AssertionError where it fails."""
    done = subprocess.run(["docker", *words], input=data, text=True, capture_output=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


@contextmanager
def server() -> Iterator[str]:
    """A server that has booted; the name of its container."""
    name = f"examples-{uuid.uuid4().hex[:8]}"
    KEPT.mkdir(parents=True, exist_ok=True)
    docker("run", "--detach", "--name", name, *OPTIONS, *MOUNTS, on_top_of_the_lab(HERE))
    try:
        until = time.monotonic() + SECONDS
        while subprocess.run(["docker", "exec", name, "systemctl", "is-active", "--quiet", "multi-user.target"],
                             check=False).returncode:  # fmt: skip
            assert time.monotonic() < until, "the container does not boot"
            time.sleep(0.2)
        docker("exec", name, "systemd-run", "--quiet", f"--on-active={LONGEST}", "systemctl", "poweroff")
        docker("exec", "--interactive", name, "sh", data=NETWORK)
        yield name
    finally:
        docker("rm", "--force", name)
