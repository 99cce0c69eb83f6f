"""A container runtime in small, with one pod: it is attached to whatever network the node has now, and
pings the pod of another node all the time. What it saw is written when it is told to stop.

usage: pod.py ADDRESS_OF_OTHER_NODE RESULT
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

POD = "outage"
PORT = 18099
PLUGINS = "/opt/cni/bin"
# Gaps that count, in seconds. Each try starts two programs and waits 0.2 s for each of two answers, which on a machine
# with twenty processes to run took up to 0.8 s where no route had changed.
COUNTED = 1.0


def run(*command: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


class Pod:
    """The pod, its address and the network it is attached to."""

    def __init__(self) -> None:
        self.address = ""
        self.network = b""

    def follow(self) -> None:
        """Attach the pod where the node's network is another one than the pod's."""
        found = sorted(Path("/etc/cni/net.d").glob("*.conflist"))
        if not found:
            return
        text = found[0].read_bytes()
        if text == self.network:
            return
        run("ip", "-n", POD, "link", "delete", "eth0")
        network, result = json.loads(text), None
        for plugin in network["plugins"]:
            settings = {**plugin, "name": network["name"], "cniVersion": network["cniVersion"]}
            if result:
                settings["prevResult"] = result
            variables = {
                "CNI_COMMAND": "ADD", "CNI_CONTAINERID": f"{POD}-{time.time_ns()}", "CNI_IFNAME": "eth0",
                "CNI_NETNS": f"/run/netns/{POD}", "CNI_PATH": PLUGINS,
            }  # fmt: skip
            program = f"{PLUGINS}/{plugin['type']}"
            try:
                done = run(program, input=json.dumps(settings), env={**os.environ, **variables})
            except OSError:
                return  # the plugins are on their way
            if done.returncode != 0:
                return
            result = json.loads(done.stdout)
        assert result
        self.address, self.network = result["ips"][0]["address"].partition("/")[0], text


def answer(pod: Pod) -> None:
    """Tell others the pod's address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("0.0.0.0", PORT))
        while True:
            _data, sender = listener.recvfrom(16)
            listener.sendto(pod.address.encode(), sender)


def address_at(node: str) -> str:
    """Address of the pod of another node; empty where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.2)
        try:
            asker.sendto(b"?", (node, PORT))
            return asker.recv(64).decode()
        except OSError:
            return ""


def main() -> None:
    node, result = sys.argv[1:]
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    run("ip", "netns", "add", POD)
    pod = Pod()
    threading.Thread(target=answer, args=(pod,), daemon=True).start()
    gaps: list[float] = []
    answered, last = 0, 0.0
    while not stopped.is_set():
        pod.follow()
        other = address_at(node)
        if other and run("ip", "netns", "exec", POD, "ping", "-n", "-q", "-c1", "-W0.2", other).returncode == 0:
            now = time.monotonic()
            if last and now - last > COUNTED:
                gaps.append(round(now - last, 2))
            answered, last = answered + 1, now
        time.sleep(0.05)
    done = run("ip", "netns", "delete", POD)
    assert done.returncode == 0, done.stderr
    Path(result).write_text(json.dumps({"answered": answered, "gaps": gaps}), encoding="utf-8")


if __name__ == "__main__":
    main()
