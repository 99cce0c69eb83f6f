"""Users of a real etcd with TLS: who may do what, what is made and removed, and what of others stays."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd.client import MOST_OPERATIONS
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._certificates.authority import (
    Authority,
    Request,
)
from ansible_collections.binary_cluster.networking.tests.kernel.calico_datastore import program
from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import CommandFailed, Host

URL = "https://127.0.0.1:2379"
RECORD = "/binary-cluster/etcd-users"
FLANNEL = {"name": "flannel", "permissions": [{"prefix": "/coreos.com/network/"}]}
READER = {"name": "reader", "permissions": [{"prefix": "/skydns/", "access": "read"}]}


class Etcd:
    """An etcd on a host's loopback that asks for certificates, and its clients."""

    def __init__(self, host: Host, scratch: Path) -> None:
        self.host = host
        self.pki = scratch / "pki"
        self.authority = Authority(str(self.pki), 0)
        self.authority.ensure("etcd", 3650)
        self.authority.issue(Request("pki", "server", "server", "", ("127.0.0.1",), ("server",)), 365)

    def files(self, client: str) -> dict[str, str]:
        """Paths of a client's certificate, which is made where there is none."""
        request = Request("pki", client, client)
        if self.authority.reason(request):
            self.authority.issue(request, 365)
        path = self.pki / "pki" / client
        return {"ca_cert": f"{self.pki}/ca.crt", "client_cert": f"{path}.crt", "client_key": f"{path}.key"}

    def module(self, name: str, client: str = "root", **params: Any) -> dict[str, Any]:
        """Run a module as a client."""
        modes = {mode: params.pop(mode, False) for mode in ("check", "failing")}
        return self.host.run_module(name, {"endpoints": [URL], **self.files(client), **params}, **modes)

    def ctl(self, *words: str, client: str = "root") -> str:
        """What etcdctl says to a client, be it an error."""
        files = self.files(client)
        options = [f"--endpoints={URL}", f"--cacert={files['ca_cert']}", f"--cert={files['client_cert']}"]
        try:
            return self.host.exec(program("etcd", "etcdctl"), *options, f"--key={files['client_key']}", *words)
        except CommandFailed as failed:
            return str(failed)

    def users(self) -> list[str]:
        """Names of all users."""
        return self.ctl("user", "list").split()


@pytest.fixture
def etcd(host: Host, tmp_path: Path) -> Iterator[Etcd]:
    made = Etcd(host, tmp_path)
    key = f"{made.pki}/pki/server"
    command = [
        "ip", "netns", "exec", host.name, program("etcd", "etcd"), f"--data-dir={tmp_path / 'etcd'}",
        "--unsafe-no-fsync", f"--listen-client-urls={URL}", f"--advertise-client-urls={URL}", f"--cert-file={key}.crt",
        f"--key-file={key}.key", f"--trusted-ca-file={made.pki}/ca.crt", "--client-cert-auth",
        "--enable-grpc-gateway=false",
    ]  # fmt: skip
    with (tmp_path / "etcd.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            for _attempt in range(100):
                with contextlib.suppress(CommandFailed):
                    made.module("etcd_info")
                    break
                time.sleep(0.1)
            yield made
        finally:
            process.terminate()
            process.wait(timeout=20)


def test_a_client_reads_and_writes_its_own_keys_only(etcd: Etcd) -> None:
    assert etcd.module("etcd_users", users=[FLANNEL, READER])["changed"]
    wanted = {"keys": [{"key": "/coreos.com/network/config", "value": "x" * 200_000}]}
    assert [etcd.module("etcd_key", "flannel", **wanted)["changed"] for _run in range(2)] == [True, False]
    for client, key in (("flannel", "/registry/x"), ("reader", "/skydns/x"), ("stranger", "/skydns/x")):
        refused = etcd.module("etcd_key", client, keys=[{"key": key, "value": "x"}], failing=True)
        assert "permission denied" in refused["msg"]
    assert "permission denied" not in etcd.ctl("get", "/skydns/x", client="reader")
    for words in (("snapshot", "save", str(etcd.pki / "stolen")), ("user", "list"), ("auth", "disable")):
        assert "permission denied" in etcd.ctl(*words, client="flannel")
    assert "permission denied" in etcd.ctl("get", RECORD, client="flannel")
    assert etcd.module("etcd_info")["healthy"]


@pytest.mark.parametrize(
    ("client", "name", "wanted"),
    [
        ("reader", "etcd_key", {"keys": [{"key": "/skydns/x", "value": "x"}]}),
        ("reader", "etcd_key", {"keys": [{"key": "/skydns/there"}], "state": "absent"}),
        # Its own one is not changed without the other.
        ("both", "etcd_key", {"keys": [{"key": "/own/x", "value": "x"}, {"key": "/skydns/x", "value": "x"}]}),
        ("both", "etcd_key", {"keys": [{"key": "/registry/x", "value": "x"}]}),
        ("stranger", "etcd_key", {"keys": [{"key": "/skydns/x", "value": "x"}]}),
        ("reader", "dns_record", {"records": [{"name": "x.test", "value": "192.0.2.1"}]}),
        ("flannel", "dns_record", {"records": [{"name": "x.test", "value": "192.0.2.1"}]}),
    ],
)
def test_check_mode_reports_what_the_run_is_refused(etcd: Etcd, client: str, name: str, wanted: dict[str, Any]) -> None:
    both = {"name": "both", "permissions": [{"prefix": "/own/"}, {"prefix": "/skydns/", "access": "read"}]}
    etcd.module("etcd_users", users=[FLANNEL, READER, both])
    etcd.module("etcd_key", keys=[{"key": "/skydns/there", "value": "1"}])
    before = etcd.ctl("get", "--prefix", "")
    assert "/skydns/there" in before and RECORD in before
    told = [etcd.module(name, client, **wanted, check=check, failing=True)["msg"] for check in (True, False)]
    assert told[0] == told[1] and "permission denied" in told[0]
    assert etcd.ctl("get", "--prefix", "") == before
    # What the run grants before is not missed.
    assert etcd.module(name, client, **wanted, check=True, pending=True)["changed"]


def test_check_mode_writes_nothing_of_what_is_granted(etcd: Etcd) -> None:
    etcd.module("etcd_users", users=[FLANNEL])
    wanted = [{"key": f"/coreos.com/network/{number}", "value": "x"} for number in range(3)]
    assert etcd.module("etcd_key", "flannel", keys=wanted, check=True)["changed"]
    assert etcd.ctl("get", "--prefix", "/coreos.com/") == ""
    records = [{"name": f"{number}.test", "value": "192.0.2.1"} for number in range(MOST_OPERATIONS + 1)]
    assert etcd.module("dns_record", records=records, check=True)["added"]
    assert etcd.ctl("get", "--prefix", "/skydns/") == ""
    assert etcd.module("dns_record", records=records)["added"]
    assert not etcd.module("dns_record", records=records)["changed"]


def test_users_are_announced_made_once_changed_and_removed_with_all_that_was_recorded(etcd: Etcd) -> None:
    announced = etcd.module("etcd_users", users=[FLANNEL, READER], check=True)
    assert etcd.users() == []
    made = etcd.module("etcd_users", users=[FLANNEL, READER])
    assert made["actions"] == announced["actions"] and made["actions"][-1] == "enable authentication"
    assert not etcd.module("etcd_users", users=[FLANNEL, READER])["changed"]
    moved = {"name": "flannel", "permissions": [{"prefix": "/other/"}]}
    assert etcd.module("etcd_users", users=[moved])["actions"] == [
        "grant readwrite of /other/* to role flannel",
        "revoke /coreos.com/network/* from role flannel",
        "remove user reader",
        "remove role reader",
    ]
    assert not etcd.module("etcd_users", users=[moved])["changed"]
    assert etcd.module("etcd_users", state="disabled")["actions"][0] == "disable authentication"
    assert not etcd.module("etcd_users", state="disabled")["changed"]
    assert etcd.users() == [] and etcd.ctl("role", "list") == "" and etcd.ctl("get", RECORD) == ""


def test_users_of_others_stay_and_are_used_where_they_suffice(etcd: Etcd) -> None:
    for words in (
        ("user", "add", "root", "--no-password"), ("user", "grant-role", "root", "root"), ("auth", "enable"),
        ("user", "add", "flannel", "--no-password"), ("role", "add", "flannel"), ("role", "add", "auditors"),
        ("user", "grant-role", "flannel", "flannel"),
    ):  # fmt: skip
        etcd.ctl(*words)
    refused = etcd.module("etcd_users", users=[READER, FLANNEL], failing=True)
    assert "role flannel: it is not of this collection" in refused["msg"] and etcd.users() == ["flannel", "root"]
    etcd.ctl("role", "grant-permission", "--prefix=true", "flannel", "readwrite", "/coreos.com/network/")
    assert etcd.module("etcd_users", users=[READER, FLANNEL])["changed"]
    assert etcd.module("etcd_users", state="disabled")["actions"] == ["remove user reader", "remove role reader"]
    assert etcd.users() == ["flannel", "root"] and "auditors" in etcd.ctl("role", "list")
    assert "permission denied" in etcd.ctl("get", "/registry/x", client="flannel")


@pytest.mark.parametrize("user", [{**FLANNEL, "name": "root"}, {"name": "all", "permissions": [{"prefix": ""}]}])
def test_a_user_that_could_do_everything_is_refused(etcd: Etcd, user: dict[str, Any]) -> None:
    assert etcd.module("etcd_users", users=[user], failing=True)["msg"].startswith("users: ")
    assert etcd.users() == []


def test_an_etcd_that_the_run_has_yet_to_make_is_announced(host: Host) -> None:
    for bootstrap in (True, False):
        announced = host.run_module("etcd_users", {"users": [FLANNEL], "bootstrap": bootstrap}, check=True)
        assert announced["changed"] is bootstrap
