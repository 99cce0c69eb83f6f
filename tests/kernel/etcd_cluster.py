"""Members of etcd on the loopback of a host: real processes and the real module, under a stand-in for systemd.

The stand-in is the one thing that is not real here. It knows the few words of systemctl and journalctl that the module
says, starts etcd from the member's environment files under the condition that the role's unit has, and restarts
nothing by itself. The real unit is tested in molecule/etcd.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import process as etcd_process
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._certificates import (
    authority as certificates_authority,
)
from ansible_collections.binary_cluster.networking.tests.kernel.calico_datastore import program
from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import CommandFailed, Host

# Common name of the members' certificates for each other.
PEER = "etcd-peer"
SYSTEMCTL = """#!{python}
import json, os, signal, subprocess, sys, time

base, etcd = {base!r}, {etcd!r}
words = [word for word in sys.argv[1:] if not word.startswith("--")]
state = {{"pid": 0, "invocation": 0}}
if os.path.exists(base + "/unit.json"):
    state = json.load(open(base + "/unit.json"))

def alive():
    try:
        return open("/proc/%d/stat" % state["pid"]).read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

def led():
    log = open(base + "/log").read() if os.path.exists(base + "/log") else ""
    return alive() and "ready to serve client requests" in log

def stop():
    if alive():
        os.kill(state["pid"], signal.SIGTERM)
        until = time.time() + 5
        while alive() and time.time() < until:
            time.sleep(0.02)
        if alive():
            os.kill(state["pid"], signal.SIGKILL)
    state["pid"] = 0

def start():
    files = [base + "/etcd.env", base + "/bootstrap.env"]
    if alive() or not (os.path.isdir(base + "/data/member") or os.path.exists(files[1])):
        return
    lines = [line.strip() for file in files if os.path.exists(file) for line in open(file)]
    state["invocation"] += 1
    with open(base + "/log", "w") as log:
        environment = dict(line.split("=", 1) for line in lines if line)
        state["pid"] = subprocess.Popen(
            [etcd, "--unsafe-no-fsync"], env=environment, stdout=log, stderr=log, start_new_session=True
        ).pid

if words[0] == "show":
    active = "active" if led() else "activating" if alive() else "inactive"
    print("LoadState=loaded\\nActiveState=%s\\nMainPID=%d" % (active, state["pid"] if alive() else 0))
    print("InvocationID=%s" % (state["invocation"] or ""))
    sys.exit()
if words[0] == "is-active":
    print("active" if led() else "activating" if alive() else "inactive")
    sys.exit()
if words[0] in ("stop", "restart"):
    stop()
if words[0] in ("start", "restart"):
    start()
json.dump(state, open(base + "/unit.json", "w"))
"""
JOURNALCTL = """#!/bin/sh
tail -n {read} {base}/log
"""


class Member:
    """A member: its directory, its addresses and ports, and its configuration."""

    def __init__(self, host: Host, directory: Path, number: int) -> None:
        self.host = host
        self.name = f"member{number}"
        self.base = directory / self.name
        self.address = f"127.0.0.{10 + number}"
        self.client_port, self.peer_port = 2379, 2380
        self.peer_scheme = "http"
        self.settings: dict[str, str] = {}
        (self.base / "bin").mkdir(parents=True)
        for file, text in (("systemctl", SYSTEMCTL), ("journalctl", JOURNALCTL)):
            path = self.base / "bin" / file
            words = {"python": sys.executable, "base": str(self.base), "etcd": program("etcd", "etcd")}
            path.write_text(text.format(**words, read=etcd_process.READ))
            path.chmod(0o700)
        (self.base / "client.crt").touch()
        (self.base / "data").mkdir()
        self.configure()

    @property
    def wanted(self) -> dict[str, str]:
        """The member as the inventory has it."""
        return {"name": self.name, "peer_url": self.peer_url, "client_url": self.url(self.client_port)}

    @property
    def peer_url(self) -> str:
        """Where the other members reach it."""
        return f"{self.peer_scheme}://{self.address}:{self.peer_port}"

    @property
    def data(self) -> Path:
        """Where its data is, if it holds any."""
        return self.base / "data" / "member"

    def url(self, port: int) -> str:
        """A URL at its address."""
        return f"http://{self.address}:{port}"

    def configure(self, **settings: str) -> None:
        """Write the configuration, with further settings."""
        self.settings.update(settings)
        peer, client = self.peer_url, self.url(self.client_port)
        written = {
            "ETCD_NAME": self.name,
            "ETCD_DATA_DIR": str(self.base / "data"),
            "ETCD_LISTEN_PEER_URLS": peer,
            "ETCD_INITIAL_ADVERTISE_PEER_URLS": peer,
            "ETCD_LISTEN_CLIENT_URLS": client,
            "ETCD_ADVERTISE_CLIENT_URLS": client,
            **self.settings,
        }
        (self.base / "etcd.env").write_text("".join(f"{name}={value}\n" for name, value in written.items()))

    def certify(self, authority: Path, days: int = 10, common_name: str = PEER, trusted: Path | None = None) -> None:
        """Serve the other members under TLS; ``days`` below 0 are of a certificate that has expired.

        It trusts the authority that signed its certificate, or another one.
        """
        certificates_authority.Authority(str(authority), 0).ensure(authority.name, 30)
        now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=min(0, days * 2))
        # etcd looks where a client comes from, which is 127.0.0.1 on the loopback.
        names, usages = (self.address, "127.0.0.1"), ("server", "client")
        request = certificates_authority.Request(self.name, "peer", common_name, names=names, usages=usages)
        certificates_authority.Authority(str(authority), 0, now).issue(request, abs(days))
        self.peer_scheme = "https"
        files = {
            "ETCD_PEER_CERT_FILE": f"{authority / request.path}.crt",
            "ETCD_PEER_KEY_FILE": f"{authority / request.path}.key",
            "ETCD_PEER_TRUSTED_CA_FILE": str((trusted or authority) / "ca.crt"),
        }
        self.configure(**files, ETCD_PEER_CLIENT_CERT_AUTH="true", ETCD_PEER_CERT_ALLOWED_CN=PEER)

    def systemctl(self, operation: str) -> None:
        """What an operator does by hand."""
        self.host.exec(str(self.base / "bin" / "systemctl"), operation, "etcd")

    def take_data_of(self, other: Member) -> None:
        """Hold a copy of another member's data instead of its own."""
        self.host.exec("rm", "-rf", str(self.data))
        self.host.exec("cp", "-a", str(other.data), str(self.data))

    def ctl(self, *words: str) -> str:
        """Run etcdctl against this member."""
        return self.host.exec(program("etcd", "etcdctl"), f"--endpoints={self.url(self.client_port)}", *words)

    def put(self, key: str, value: str) -> None:
        """Write a key through the quorum."""
        self.ctl("put", key, value)

    def listed(self) -> dict[str, list[str]]:
        """Peer URLs of the members that vote, by name."""
        found = json.loads(self.ctl("member", "list", "-w", "json"))["members"]
        return {one.get("name", ""): one["peerURLs"] for one in found if not one.get("isLearner")}


class Cluster:
    """Some members, and the inventory that has them."""

    def __init__(self, host: Host, directory: Path) -> None:
        self.host = host
        self.directory = directory
        self.all: list[Member] = []

    def add(self, count: int) -> list[Member]:
        """Further members, which are not started."""
        added = [Member(self.host, self.directory, len(self.all) + 1 + number) for number in range(count)]
        self.all += added
        return added

    def module(
        self,
        member: Member,
        inventory: Sequence[Member],
        state: str,
        failing: bool = False,
        check: bool = False,
        **params: Any,
    ) -> dict[str, Any]:
        """Run the module on a member."""
        certificates = dict.fromkeys(("ca_cert", "client_cert", "client_key"), str(member.base / "client.crt"))
        return self.host.run_module(
            "etcd_member",
            {
                "name": member.name,
                "members": [one.wanted for one in inventory],
                "state": state,
                "data_directory": str(member.base / "data"),
                "bootstrap_file": str(member.base / "bootstrap.env"),
                "timeout": 30,
                **certificates,
                **params,
            },
            check=check,
            failing=failing,
            path=str(member.base / "bin"),
        )

    def founded(self, count: int) -> list[Member]:
        """Members that bootstrap a cluster: each is told at once, as Ansible does."""
        members = self.add(count)
        self.bootstrap(members)
        return members

    def bootstrap(self, members: Sequence[Member]) -> None:
        """Let members bootstrap a cluster. The stand-in starts them; what the module makes of it is asked later."""
        cluster = ",".join(f"{one.name}={one.peer_url}" for one in members)
        for one in members:
            (one.base / "bootstrap.env").write_text(f"ETCD_INITIAL_CLUSTER={cluster}\n")
            one.systemctl("start")
        for one in members:
            until = time.monotonic() + 30
            while time.monotonic() < until:
                with contextlib.suppress(CommandFailed):
                    one.ctl("endpoint", "health", "--command-timeout=1s")
                    break
                time.sleep(0.1)
            (one.base / "bootstrap.env").unlink()

    def stop(self) -> None:
        """End all processes."""
        for one in self.all:
            one.systemctl("stop")


@contextlib.contextmanager
def cluster(host: Host, directory: Path) -> Iterator[Cluster]:
    """A cluster whose processes are gone afterwards."""
    made = Cluster(host, directory)
    try:
        yield made
    finally:
        made.stop()


class Client:
    """A client that fails over between endpoints while something is changed, and counts the tries that failed."""

    PROGRAM = """
import json, sys, time, urllib.request
endpoints, tries, failed = sys.argv[1:], 0, 0
body = json.dumps({"key": "Y2xpZW50", "value": "MQ=="}).encode()
print("begun", flush=True)
import select
while not select.select([sys.stdin], [], [], 0.03)[0]:
    tries += 1
    for endpoint in endpoints:
        try:
            urllib.request.urlopen(urllib.request.Request(endpoint + "/v3/kv/put", body), timeout=3).read()
            break
        except OSError:
            continue
    else:
        failed += 1
print(json.dumps([tries, failed]))
"""

    def __init__(self, host: Host, endpoints: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", host.name, sys.executable, "-c", self.PROGRAM, *endpoints],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        self.process.stdout.readline()

    def end(self) -> tuple[int, int]:
        """Tries, and those that no endpoint served."""
        out, _err = self.process.communicate("\n", timeout=20)
        tries, failed = json.loads(out)
        return tries, failed
