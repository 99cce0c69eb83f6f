"""The commands of the README, run in their order as they are printed, on the servers of its inventory."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shlex
import subprocess
import time
from pathlib import Path

import pytest
import readme_commands

from testing import disturbed, lab

# The addresses of the README are for documentation alone (RFC 5737); those of the lab end with the same numbers.
SUBNET = lab.address("cp-1.example.com").rpartition(".")[0]
README = readme_commands.README.read_text().replace("192.0.2", SUBNET)
# Those of a checkout are run by another test.
COMMANDS = [command for command in readme_commands.commands(README) if not command.startswith("make ")]
YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
RECAP = re.compile(r"^(\S+) +: ok=\d+ +changed=(\d+) ", re.MULTILINE)
NAME = "binary_cluster.networking"
QUESTION = "Type yes to go on"


class User:
    """A user's directory, with the collection's tarball and the README's inventory, and ansible-core to run it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        hosts, variables = YAML.findall(README)[:2]
        groups = directory / "inventories" / "example" / "group_vars"
        groups.mkdir(parents=True)
        (groups.parent / "hosts.yml").write_text(hosts)
        (groups / "all.yml").write_text(variables)
        password = directory / "password"
        password.write_text(lab.variable("cp-1.example.com", "ansible_become_password"))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "LAB_"))}
        self.environment = kept | {
            "ANSIBLE_HOME": str(directory / "home"),
            "ANSIBLE_COLLECTIONS_PATH": str(directory),
            # None beside ansible-core's own, though this Python has more.
            "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "false",
            # How the machines are reached, as it would stand in the inventory.
            "ANSIBLE_REMOTE_USER": lab.variable("cp-1.example.com", "ansible_user"),
            "ANSIBLE_PRIVATE_KEY_FILE": lab.variable("cp-1.example.com", "ansible_ssh_private_key_file"),
            "ANSIBLE_SSH_COMMON_ARGS": lab.variable("cp-1.example.com", "ansible_ssh_common_args"),
            "ANSIBLE_BECOME": "true",
            "ANSIBLE_BECOME_PASSWORD_FILE": str(password),
        }

    def run(self, command: str, **environment: str) -> str:
        """What a command prints on a terminal, where its question is answered with yes; it must succeed."""
        terminal, end = pty.openpty()
        process = subprocess.Popen(
            ["timeout", "--foreground", "600", "sh", "-c", f"umask 077; {command}"],
            cwd=self.directory,
            env={**self.environment, "NO_COLOR": "1", "COLUMNS": "200", **environment},
            stdin=end,
            stdout=end,
            stderr=end,
            preexec_fn=lambda: os.login_tty(end),  # a question is asked where there is a terminal to answer at
        )
        os.close(end)
        said = ""
        # The terminal's last reader is told so by an error.
        with contextlib.suppress(OSError):
            while part := os.read(terminal, 65536):
                said += part.decode(errors="replace")
                if QUESTION in said:
                    head, _question, rest = said.partition(QUESTION)
                    said = f"{head}{rest}"
                    time.sleep(1)  # what was typed before the question is thrown away
                    os.write(terminal, b"yes\r")
        os.close(terminal)
        said = said.replace("\r\n", "\n")
        assert process.wait() == 0, f"{command}\n{said}"
        return said

    def play(self, playbook: str, *arguments: str, **environment: str) -> str:
        """What a playbook of the collection prints."""
        words = shlex.join(["ansible-playbook", "-i", "inventories/example", f"{NAME}.{playbook}", *arguments])
        return self.run(words, **environment)


def changed(said: str) -> dict[str, int]:
    """How many tasks changed each host, or would."""
    return {host: int(number) for host, number in RECAP.findall(said)}


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> User:
    user = User(tmp_path_factory.mktemp("user"))
    user.run(f"ansible-galaxy collection build --output-path . {shlex.quote(str(lab.CHECKOUT))}")
    return user


def test_every_command_of_the_readme_works_in_its_order(user: User) -> None:
    said: dict[str, str] = {}
    for command in COMMANDS:
        step = command.replace("/srv/bundle", str(user.directory / "bundle"))
        if step.startswith("ansible-galaxy collection install"):
            step += " --offline -p ."
        said[command] = user.run(step)
    check, site = (
        said[f"ansible-playbook -i inventories/example {NAME}.site{mode}"] for mode in (" --check --diff", "")
    )
    assert changed(check) == changed(site)
    assert all(changed(site).values())
    assert "no difference" in said[f"ansible-playbook -i inventories/example {NAME}.drift"]
    assert all(changed(said[f"ansible-playbook -i inventories/example {NAME}.teardown"]).values())


@pytest.mark.parametrize(
    ("forks", "environment"),
    [
        ("1", {"ANSIBLE_STRATEGY": "free"}),
        ("5", {"ANSIBLE_STRATEGY": "host_pinned", "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml"}),
    ],
)
def test_a_second_run_changes_nothing(user: User, forks: str, environment: dict[str, str]) -> None:
    said = user.play("site", "--forks", forks, **environment)
    assert set(changed(said).values()) == {0}, said
    assert "2 nodes, 2 pairs" in said


def test_ansible_runner_runs_a_playbook_and_ends_as_it_does(user: User) -> None:
    project = user.directory / "runner" / "project"
    project.mkdir(parents=True)
    (project / "site.yml").write_text(f"- ansible.builtin.import_playbook: {NAME}.site\n")
    # Where the inventory is, its certificates are beside.
    run = f"ansible-runner run runner -p site.yml --inventory {user.directory}/inventories/example"
    user.run(f"{run} --ident unchanged")
    # Events are what controllers as AWX show. Runner prints no text that a task shows beside its result.
    events = [
        json.loads(event.read_text())
        for event in (project.parent / "artifacts" / "unchanged" / "job_events").glob("*.json")
    ]
    (recap,) = (event["event_data"] for event in events if event["event"] == "playbook_on_stats")
    assert not recap["changed"] and not recap["failures"], recap
    assert "2 nodes, 2 pairs" in json.dumps(events)
    said = user.run(f"! {run} --ident refused --cmdline '-e cluster_network=other'")
    assert "cluster_network" in said and "other" in said, said


def test_services_that_set_the_network_up_again_harm_no_pod(user: User) -> None:
    again = "networkctl reload && networkctl reconfigure eth0 && netplan apply && systemctl restart systemd-networkd"
    for host in ("worker-1.example.com", "worker-2.example.com"):
        lab.inside(host, again)
    assert "all passed" in user.play("verify")


def test_routes_are_back_after_netplan_applied_its_configuration(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    network = ("-e", "cluster_network=host_routes")
    user.play("site", *network, "-e", "cluster_network_switch=true")
    monkeypatch.setattr(disturbed, "HOST", "worker-2.example.com")
    disturbed.comes_back("host_routes", lambda: disturbed.reconfigure("netplan apply"))
    assert "all passed" in user.play("verify", *network)


def test_tables_that_are_gone_by_hand_are_reported_and_are_back_with_the_documented_commands(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disturbed, "HOST", "worker-2.example.com")
    commands = ("systemctl reload host_routes", "systemctl reload binary-cluster-firewall")

    def gone() -> None:
        # As after flush ruleset, without what others have on the host.
        lab.inside(disturbed.HOST, "nft -f -", "delete table inet host_routes\ndelete table inet binary_cluster\n")
        said = user.run(f"! ansible-playbook -i inventories/example {NAME}.drift -e cluster_network=host_routes")
        for table in ("host_routes", "binary_cluster"):
            assert re.search(rf"^{disturbed.HOST} +\S+ +.*table inet {table}$", said, re.MULTILINE), said
        lab.inside(disturbed.HOST, " && ".join(commands))

    for role, command in zip(("host_routes", "cluster_firewall"), commands):
        assert f"`{command}`" in (lab.CHECKOUT / "roles" / role / "README.md").read_text()
    disturbed.comes_back("host_routes", gone)
