"""Kubeconfigs on the client lead to the address, those of another tool too; and back."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import yaml

from testing import lab
from testing.failover import BACKENDS, Machines

machines = Machines.of_this_lab()
SERVER = f"https://{machines.address}:6443"
DIRECTORY = "/etc/kubernetes"
KUBELET, ADMIN = f"{DIRECTORY}/kubelet.kubeconfig", f"{DIRECTORY}/admin.kubeconfig"
# As another tool wrote it, comment and all. Its server is one of the backends.
FOREIGN = f"""\
# written by another tool
apiVersion: v1
kind: Config
current-context: kubelet
preferences: {{colors: true}}
clusters:
- {{name: prod, cluster: {{server: "https://{lab.address(BACKENDS[0])}:6443", insecure-skip-tls-verify: true}}}}
- {{name: test, cluster: {{server: "https://198.51.100.1:6443"}}}}
contexts:
- {{name: kubelet, context: {{cluster: prod, user: node, namespace: kube-system}}}}
- {{name: test, context: {{cluster: test, user: node}}}}
users:
- {{name: node, user: {{client-certificate: /var/lib/kubelet/current.pem, client-key: /var/lib/kubelet/current.pem}}}}
"""
UNIT = f"[Service]\nExecStartPre=/usr/bin/grep -q 6443 {KUBELET}\nExecStart=/usr/bin/sleep infinity\n"


def write(path: str, text: str, mode: str = "0644") -> None:
    """Put a file on the client."""
    content = base64.b64encode(text.encode()).decode()
    machines.run("client", f"mkdir -p $(dirname {path}); echo {content} | base64 -d >{path}; chmod {mode} {path}")


def read(path: str) -> str:
    return machines.run("client", f"cat {path}")


def started() -> str:
    """Whether the unit runs, and since when."""
    return machines.run("client", "systemctl is-active kubelet; systemctl show kubelet --property=InvocationID")


def role(*files: dict[str, Any], options: Sequence[str] = (), **variables: Any) -> subprocess.CompletedProcess[str]:
    """Run the role with these kubeconfigs."""
    path = lab.CHECKOUT / "molecule" / "api_load_balancer" / "kubeconfig.yml"
    given = json.dumps({"kubeconfig_files": files, **variables})
    return lab.run(path, "--extra-vars", given, *options)


def changed(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether a run that succeeded changed anything."""
    assert done.returncode == 0, done.stdout + done.stderr
    return "changed=0" not in done.stdout


@pytest.fixture(autouse=True)
def foreign() -> Iterator[None]:
    """A kubeconfig that another tool wrote, and a unit that reads it; both gone afterwards."""
    write(KUBELET, FOREIGN)
    write("/run/systemd/system/kubelet.service", UNIT)
    machines.run("client", "systemctl daemon-reload && systemctl restart kubelet")
    yield
    machines.run(
        "client",
        f"systemctl stop kubelet; rm -rf {DIRECTORY} /run/systemd/system/kubelet.service; systemctl daemon-reload; "
        "systemctl reset-failed",
    )


def test_another_tools_kubeconfig_leads_to_the_address_and_keeps_the_rest_and_goes_back() -> None:
    authority = str(lab.directory() / "pki" / "api" / "ca.crt")
    kubelet = {"path": KUBELET, "authority": authority, "restart": ["kubelet"]}
    machines.run("client", f"chown daemon:daemon {KUBELET}; chmod 640 {KUBELET}")
    before = started()
    assert changed(role(kubelet, options=["--check"]))
    assert (read(KUBELET), started()) == (FOREIGN, before)
    assert changed(role(kubelet))
    made, wanted = yaml.safe_load(read(KUBELET)), yaml.safe_load(FOREIGN)
    authority_data = base64.b64encode((lab.directory() / "pki" / "api" / "ca.crt").read_bytes()).decode()
    wanted["clusters"][0]["cluster"] = {"server": SERVER, "certificate-authority-data": authority_data}
    assert made == wanted
    # Who read it still can.
    assert machines.run("client", f"stat -c '%a %U %G' {KUBELET}") == "640 daemon daemon\n"
    restarted = started()
    assert restarted != before
    assert not changed(role(kubelet))
    assert started() == restarted
    assert changed(role(kubeconfig_stage="uninstall"))
    assert read(KUBELET) == FOREIGN
    assert machines.run("client", f"stat -c '%a %U %G' {KUBELET}") == "640 daemon daemon\n"
    assert started() != restarted
    assert machines.run("client", "ls /var/lib/binary_cluster 2>/dev/null; true") == ""


def test_a_unit_is_not_restarted_where_nothing_it_connects_with_changes() -> None:
    before = started()
    # The owner changes, and the server is the same.
    server = f"https://{lab.address(BACKENDS[0])}:6443"
    owned = {"path": KUBELET, "owner": "daemon", "restart": ["kubelet"]}
    assert changed(role(owned, kubeconfig_server=server))
    assert read(KUBELET) == FOREIGN
    assert machines.run("client", f"stat -c %U {KUBELET}") == "daemon\n"
    assert started() == before
    assert changed(role(kubeconfig_stage="uninstall"))


def test_a_unit_that_does_not_run_is_not_started() -> None:
    machines.run("client", "systemctl stop kubelet")
    assert changed(role({"path": KUBELET, "restart": ["kubelet"]}))
    assert started().startswith("inactive")
    assert changed(role(kubeconfig_stage="uninstall"))


def test_a_unit_that_does_not_come_up_has_its_kubeconfig_back() -> None:
    machines.run("client", f"sed -i 's/-q 6443/-q colors.*{lab.address(BACKENDS[0])}/; s/-q/-qz/' "
                 "/run/systemd/system/kubelet.service && systemctl daemon-reload")  # fmt: skip
    done = role({"path": KUBELET, "restart": ["kubelet"]})
    assert done.returncode != 0
    assert "systemctl restart kubelet" in done.stdout + done.stderr
    assert read(KUBELET) == FOREIGN
    assert started().startswith("active")


def test_a_new_kubeconfig_is_all_that_a_client_needs() -> None:
    pki = lab.directory() / "pki" / "api"
    admin = {
        "path": ADMIN, "authority": str(pki / "ca.crt"),
        "certificate": str(pki / "api" / "server.crt"), "key": str(pki / "api" / "server.key"),
    }  # fmt: skip
    assert changed(role(admin))
    assert machines.run("client", f"stat -c '%a %U' {ADMIN}") == "600 root\n"
    config = yaml.safe_load(read(ADMIN))
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    tls = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    pair = lab.directory() / "pair.pem"
    pair.write_bytes(b"".join(base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key")))
    tls.load_cert_chain(pair)
    host, _colon, port = cluster["server"].removeprefix("https://").rpartition(":")
    with socket.create_connection((host, int(port)), 5) as plain, tls.wrap_socket(plain, server_hostname=host) as link:
        link.sendall(b"GET /readyz HTTP/1.1\r\nHost: api\r\n\r\n")
        assert link.recv(4096).startswith(b"HTTP/1.1 200")
    assert changed(role(kubeconfig_stage="uninstall"))
    assert machines.run("client", f"ls {DIRECTORY}") == "kubelet.kubeconfig\n"


def test_nothing_is_changed_while_one_of_them_has_a_fault_and_all_faults_are_told() -> None:
    write(f"{DIRECTORY}/broken", "- no\n- kubeconfig\n")
    done = role({"path": KUBELET}, {"path": f"{DIRECTORY}/broken"}, {"path": ADMIN})
    assert done.returncode != 0
    told = done.stdout + done.stderr
    assert f"{DIRECTORY}/broken: not a kubeconfig; move it away, or name another path" in told
    assert f"{ADMIN}: user default has no credentials there; give it a certificate and key, or a token" in told
    assert read(KUBELET) == FOREIGN


def playbook(name: str, vip: str) -> tuple[int, str]:
    """Exit code and output of a playbook of the collection for the client, with this address of the API."""
    given = {"kubeconfig_files": [{"path": KUBELET, "restart": ["kubelet"]}], "cluster_api_vip": vip}
    report = f"drift_report_directory={lab.REPORTS}"
    done = lab.playbook(name, "--limit", "client", "--extra-vars", json.dumps(given), "--extra-vars", report)
    return done.returncode, done.stdout + done.stderr


def test_site_drift_and_teardown_see_to_kubeconfigs() -> None:
    code, told = playbook("drift", machines.address)
    assert (code, KUBELET in told) == (2, True), told
    code, told = playbook("site", machines.address)
    assert code == 0, told
    assert SERVER in read(KUBELET)
    code, told = playbook("drift", machines.address)
    assert code == 0, told
    # The address moves: the kubeconfigs differ, and follow.
    code, told = playbook("drift", "192.0.2.99")
    assert (code, KUBELET in told) == (2, True), told
    code, told = playbook("site", "192.0.2.99")
    assert code == 0, told
    assert "https://192.0.2.99:6443" in read(KUBELET)
    # Teardown needs neither the variables nor a group.
    done = lab.playbook("teardown", "--limit", "client", "--extra-vars", "teardown_confirmed=true")
    assert done.returncode == 0, done.stdout + done.stderr
    assert read(KUBELET) == FOREIGN
    assert machines.run("client", "ls /var/lib/binary_cluster 2>/dev/null; true") == ""


def test_a_token_is_shown_by_no_run() -> None:
    done = role({"path": ADMIN, "token": "s3cr3t-x"}, options=["--diff", "-vvv"])
    assert changed(done)
    assert "s3cr3t-x" in read(ADMIN)
    assert "s3cr3t" not in done.stdout + done.stderr
    assert changed(role(kubeconfig_stage="uninstall"))
