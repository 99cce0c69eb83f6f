"""A machine under software emulation: started from a snapshot of itself, stopped by its process id.

The first start boots; what runs then is saved with its memory, and every later start resumes it. A snapshot
fits only the machine it was taken of: its name changes with the image and with everything the machine has.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

QEMU = "qemu-system-x86_64"
# NVMe disks cannot be saved, microvm hangs where several boot at once; more processors than one slow them down.
HARDWARE = (
    "-machine", "q35", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "qemu64", "-smp", "1", "-m", "1024",
    "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
)  # fmt: skip
KERNEL = "root=/dev/vda rw rootfstype=ext4 console=ttyS0 quiet mitigations=off cryptomgr.notests apparmor=0 nokaslr"
SAVED = "answering"
PROMPT = b"(qemu) "


@lru_cache(maxsize=1)
def version() -> str:
    return subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=True).stdout


@dataclass(frozen=True)
class Machine:
    """A machine of a lab. ``image`` and ``directory`` are where it starts from and where it lives."""

    name: str
    address: str
    namespace: str
    image: Path
    directory: Path

    @cached_property
    def hardware(self) -> list[str]:
        """Arguments of qemu that a snapshot depends on."""
        octets = [int(octet) for octet in self.address.split(".")]
        mac = "52:54:00:" + ":".join(f"{octet:02x}" for octet in octets[1:])
        gateway = ".".join(map(str, [*octets[:3], 1]))
        machine_id = hashlib.sha256(f"{self.name} {self.address}".encode()).hexdigest()[:32]
        kernel = (
            f"{KERNEL} net.ifnames=0 ip={self.address}::{gateway}:255.255.255.0:{self.name}:eth0:off "
            f"systemd.hostname={self.name} systemd.machine_id={machine_id} systemd.firstboot=off"
        )
        return [
            *HARDWARE,
            "-kernel", str(self.image / "vmlinuz"), "-initrd", str(self.image / "initrd"), "-append", kernel,
            "-device", "virtio-blk-pci,drive=disk",
            "-device", f"virtio-net-pci,netdev=net,mac={mac}",
        ]  # fmt: skip

    @property
    def snapshot(self) -> Path:
        """The disk and the memory of this machine when it had just booted."""
        told = hashlib.sha256("\n".join([version(), *self.hardware]).encode()).hexdigest()[:12]
        return self.image / f"{self.name}-{told}.qcow2"

    @property
    def disk(self) -> Path:
        return self.directory / f"{self.name}.qcow2"

    @property
    def pidfile(self) -> Path:
        return self.directory / f"{self.name}.pid"

    @property
    def monitor(self) -> Path:
        return self.directory / f"{self.name}.monitor"

    def pid(self) -> int:
        """Process id of this machine; 0 where it does not run."""
        with suppress(OSError, ValueError):
            pid = int(self.pidfile.read_text())
            # Another process may have got the number of one that is gone.
            if os.fsencode(self.pidfile) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return pid
        return 0

    def boot(self) -> None:
        """Start it from the image."""
        self.disk.unlink(missing_ok=True)
        base = ["-F", "raw", "-b", str(self.image / "disk.raw")]
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *base, str(self.disk)], check=True)
        self._start()

    def resume(self) -> None:
        """Start it from its snapshot."""
        shutil.copyfile(self.snapshot, self.disk)
        self._start("-loadvm", SAVED)

    def save(self) -> None:
        """Keep it as it is now for later starts, and end it."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self.monitor))
            _answer(monitor)
            for command in ("stop", f"savevm {SAVED}"):
                monitor.sendall(f"{command}\n".encode())
                if b"Error" in (told := _answer(monitor)):
                    raise RuntimeError(f"{self.name}: {command}: {told.decode(errors='replace')}")
        self.stop()
        # Under its name only when it is whole.
        part = self.snapshot.with_suffix(f".{os.getpid()}")
        shutil.copyfile(self.disk, part)
        part.rename(self.snapshot)

    def stop(self) -> None:
        """End its process, as pulling the plug does."""
        if pid := self.pid():
            os.kill(pid, signal.SIGTERM)
            # The pid file is gone earlier.
            while Path(f"/proc/{pid}").exists():
                time.sleep(0.05)

    def _start(self, *arguments: str) -> None:
        subprocess.run(
            [
                "ip", "netns", "exec", self.namespace, QEMU, *self.hardware,
                "-drive", f"file={self.disk},if=none,id=disk,cache=unsafe",
                "-netdev", f"tap,id=net,ifname={self.name},script=no,downscript=no",
                "-serial", f"file:{self.directory / self.name}.log",
                "-monitor", f"unix:{self.monitor},server=on,wait=off",
                "-pidfile", str(self.pidfile), "-daemonize", *arguments,
            ],
            check=True,
        )  # fmt: skip


def _answer(monitor: socket.socket) -> bytes:
    """What the monitor says until it takes the next command."""
    told = b""
    while not told.endswith(PROMPT):
        part = monitor.recv(65536)
        if not part:
            raise RuntimeError(f"qemu ended: {told.decode(errors='replace')}")
        told += part
    return told
