"""Bring up, or take away, the lab of machines that inventories/machines describes.

usage: PYTHONPATH=molecule/shared python -m machines image|up|down

Each is safe to repeat, and says what it does; it says nothing where there is nothing to do.
"""

from __future__ import annotations

import fcntl
import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machines.qemu import Machine

CHECKOUT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent
BRIDGE = "lab"
# Seconds in which a machine boots, or resumes, beside others on a busy host.
PATIENCE = 180


@dataclass(frozen=True)
class Lab:
    """The lab that the environment describes."""

    variables: dict[str, Any]
    machines: list[Machine]

    @property
    def name(self) -> str:
        return str(self.variables["lab_name"])

    @property
    def directory(self) -> Path:
        return Path(self.variables["lab_directory"])

    @property
    def image(self) -> Path:
        return Path(self.variables["lab_image"])


def described() -> Lab:
    told = json.loads(
        subprocess.run([CHECKOUT / "inventories/machines/hosts.py"], capture_output=True, check=True).stdout
    )
    variables = told["lab"]["vars"]
    return Lab(
        variables,
        [
            Machine(
                name,
                told["_meta"]["hostvars"][name]["ansible_host"],
                variables["lab_name"],
                Path(variables["lab_image"]),
                Path(variables["lab_directory"]),
            )
            for name in told["lab"]["hosts"]
        ],
    )


def say(text: str) -> None:
    print(text, flush=True)


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True).stdout


def ssh(lab: Lab, machine: Machine, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command on a machine, as Ansible would."""
    options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-i", lab.variables["ansible_ssh_private_key_file"]]
    target = f"{lab.variables['ansible_user']}@{machine.address}"
    return subprocess.run(
        ["ssh", *shlex.split(lab.variables["ansible_ssh_common_args"]), *options, target, command],
        capture_output=True,
        text=True,
        check=False,
    )


def answered(lab: Lab, machine: Machine, command: str) -> None:
    """Run a command as soon as a machine answers."""
    began = time.monotonic()
    while (done := ssh(lab, machine, command)).returncode != 0:
        if not machine.pid() or time.monotonic() - began > PATIENCE:
            console = (lab.directory / f"{machine.name}.log").read_text(errors="replace")
            sys.exit(f"{machine.name}: no answer: {done.stderr.strip()}\nits console:\n{console[-2000:]}")
        time.sleep(0.2)


def image(lab: Lab) -> None:
    """The image is in the cache."""
    lab.image.parent.mkdir(parents=True, exist_ok=True)
    with (lab.image.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if lab.image.exists():
            return
        say(f"building the machines' image in {lab.image}, about a minute")
        part = lab.image.with_name(f"{lab.image.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        subprocess.run([HERE / "image" / "build", lab.variables["lab_suite"], part], check=True)
        part.rename(lab.image)


def network(lab: Lab) -> None:
    """A namespace with a bridge, into which every machine's interface is plugged."""
    if lab.name not in ip("netns", "list").split():
        say(f"network namespace {lab.name}")
        ip("netns", "add", lab.name)
    links = [link["ifname"] for link in json.loads(ip("-n", lab.name, "-json", "link", "show"))]
    if BRIDGE not in links:
        ip("-n", lab.name, "link", "set", "lo", "up")
        ip("-n", lab.name, "link", "add", BRIDGE, "type", "bridge")
        ip("-n", lab.name, "address", "add", f"{lab.variables['lab_subnet']}.1/24", "dev", BRIDGE)
        ip("-n", lab.name, "link", "set", BRIDGE, "up")
    for machine in lab.machines:
        if machine.name not in links:
            ip("-n", lab.name, "tuntap", "add", machine.name, "mode", "tap")
            ip("-n", lab.name, "link", "set", machine.name, "master", BRIDGE, "up")


def up(lab: Lab) -> None:
    """Every machine runs and answers."""
    image(lab)
    missing = [machine for machine in lab.machines if not machine.pid()]
    if not missing:
        return
    lab.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    shape = {"nodes": len(lab.machines), "subnet": lab.variables["lab_subnet"]}
    (lab.directory / "lab.json").write_text(json.dumps(shape))
    network(lab)
    began = time.monotonic()
    unsaved = [machine for machine in missing if not machine.snapshot.exists()]
    for machine in unsaved:
        say(f"{machine.name} boots, once: later starts resume it")
        machine.boot()
    for machine in unsaved:
        answered(lab, machine, "systemctl is-system-running --wait")
        machine.save()
        say(f"{machine.name} is saved after {time.monotonic() - began:.1f} s")
    for machine in missing:
        machine.resume()
    for machine in missing:
        # The system's clock stood still since it was saved; the machine's own did not.
        answered(lab, machine, "sudo date --set=@$(cat /sys/class/rtc/rtc0/since_epoch)")
        say(f"{machine.name} answers after {time.monotonic() - began:.1f} s")


def down(lab: Lab) -> None:
    """Nothing of the lab is left but the image and the snapshots, which are a cache."""
    for path in lab.directory.glob("*") if lab.directory.exists() else ():
        if path.is_socket() and path.suffix != ".monitor":
            # A connection that Ansible keeps holds the network namespace.
            subprocess.run(["ssh", "-o", f"ControlPath={path}", "-O", "exit", "lab"], capture_output=True, check=False)
    for machine in lab.machines:
        if machine.pid():
            say(f"{machine.name} ends")
            machine.stop()
    if lab.name in ip("netns", "list").split():
        say(f"network namespace {lab.name} is removed")
        ip("netns", "delete", lab.name)
    if lab.directory.exists():
        say(f"{lab.directory} is removed")
        shutil.rmtree(lab.directory)


COMMANDS: dict[str, Callable[[Lab], None]] = {"image": image, "up": up, "down": down}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]](described())
