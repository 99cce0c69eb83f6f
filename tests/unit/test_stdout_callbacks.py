"""A run is printed by Ansible's stdout callback, and nothing of the collection stands beside it: real runs."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from tests.unit.ansible_runs import run_playbook

CHECKOUT = Path(__file__).resolve().parents[2]
# A verification of one node and a comparison of no host: as the plays end, without hosts.
PLAYBOOK = """
- name: Reports
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Connectivity
      binary_cluster.networking.connectivity_report:
        backend: flannel
        addresses: {node1: 192.0.2.11}
        ready:
          node1:
            pods:
              - name: pod1
                address: 10.244.1.2
                subnet: 10.244.1.0/24
                network: 10.244.0.0/16
                ips: [{address: 10.244.1.2, subnet: 10.244.1.0/24, network: 10.244.0.0/16}]
        probed: "{{ {'node1': {'outcomes': []}} if whole | default(true) | bool else {} }}"
        protocols: [icmp]
        started: "2026-03-01T12:00:00+00:00"
        directory: report
        template: TEMPLATE
      ignore_errors: "{{ not (whole | default(true) | bool) }}"
    - name: Drift
      binary_cluster.networking.drift_report:
        hosts: []
        started: "2026-03-01T12:00:00+00:00"
        directory: report
"""
MATRIX = "flannel: 1 nodes, 0 pairs, 0 probes, all passed"
DRIFT = "0 hosts, no difference"
TABLE = "host-tasks  changed"
# A callback with a form of its own: one JSON document.
DOCUMENT = '''
DOCUMENTATION = """
name: document
type: stdout
short_description: Results as one document
description: Prints all results at the end.
"""
import json
from ansible.plugins.callback import CallbackBase, strip_internal_keys


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "document"
    results = {}

    def v2_runner_on_ok(self, result):
        self.results[result._task.name] = strip_internal_keys(result._result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.v2_runner_on_ok(result)

    def v2_playbook_on_stats(self, stats):
        self._display.display(json.dumps(self.results, default=str))
'''


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where a run is started."""
    template = CHECKOUT / "roles/verify/files/connectivity.html"
    (tmp_path / "play.yml").write_text(PLAYBOOK.replace("TEMPLATE", str(template)))
    (tmp_path / "ansible.cfg").touch()
    (tmp_path / "callbacks").mkdir()
    (tmp_path / "callbacks/document.py").write_text(DOCUMENT)
    return tmp_path


def run(
    directory: Path, callback: str, whole: bool = True, succeeds: bool = True, **environment: str
) -> tuple[str, str]:
    """Standard output and error of a run."""
    done = run_playbook(
        directory,
        *("play.yml", "-i", "localhost,", "-e", f"whole={whole}"),
        environment={
            "ANSIBLE_CONFIG": str(directory / "ansible.cfg"),
            "ANSIBLE_CALLBACK_PLUGINS": str(directory / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "binary_cluster.networking.run_report",
            "BINARY_CLUSTER_RUN_REPORT": str(directory / "report"),
            "ANSIBLE_HOME": str(directory / "home"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_STDOUT_CALLBACK": callback,
            **environment,
        },
    )
    assert (done.returncode == 0) is succeeds, done.stdout + done.stderr
    assert (directory / "report/run.json").is_file()
    return done.stdout, done.stderr


def test_the_document_of_another_callback_is_all_that_is_printed(directory: Path) -> None:
    out, errors = run(directory, "document")
    results = json.loads(out)
    assert MATRIX in results["Connectivity"]["text"]
    assert DRIFT in results["Drift"]["text"]
    assert MATRIX not in errors and DRIFT not in errors and TABLE not in errors


def test_another_callback_has_what_is_wrong_and_the_matrix(directory: Path) -> None:
    out, _errors = run(directory, "document", whole=False)
    result = json.loads(out)["Connectivity"]
    assert "the pod network is not whole" in result["msg"]
    assert "node1 " in result["text"] and "report: report/connectivity.html" in result["text"]


@pytest.mark.skipif(not find_spec("ansible_collections.ansible.posix"), reason="not part of ansible-core")
def test_the_json_callback_prints_json(directory: Path) -> None:
    tasks = json.loads(run(directory, "ansible.posix.json")[0])["plays"][0]["tasks"]
    assert [MATRIX in json.dumps(task["hosts"]) for task in tasks] == [True, False]


def test_the_default_callback_with_yaml_prints_the_matrix_in_the_result(directory: Path) -> None:
    out, errors = run(directory, "ansible.builtin.default", ANSIBLE_CALLBACK_RESULT_FORMAT="yaml")
    told = out[out.index("TASK [Connectivity]") : out.index("TASK [Drift]")]
    result = yaml.safe_load(told.partition("ok: [localhost] =>")[2])
    assert out.count(MATRIX) == 1 and MATRIX in result["text"]
    assert MATRIX not in errors


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("callback", ["default", "ansible.builtin.default"])
def test_the_default_callback_has_lines_of_the_matrix_beside_it(directory: Path, callback: str, whole: bool) -> None:
    out, _errors = run(directory, callback, whole=whole)
    assert "\nreport: report/connectivity.html\n" in out
    assert f"\n{DRIFT}\n" in out
    assert TABLE in out, "the table of the callback run_report"
    assert '"text"' not in out


def test_plugins_print_in_one_place_alone() -> None:
    """Whatever prints asks for the stdout callback first."""
    found = {
        path.name
        for kind in ("action", "callback", "filter", "plugin_utils")
        for path in (CHECKOUT / "plugins" / kind).rglob("*.py")
        if re.search(r"\bDisplay\b|_display\b|\bprint\(|sys\.std(out|err)", path.read_text())
    }
    assert found == {"terminal.py", "run_report.py"}


def test_a_verification_of_no_pair_is_an_error(directory: Path) -> None:
    play = directory / "play.yml"
    addresses = "addresses: {node1: 192.0.2.11}"
    play.write_text(play.read_text().replace(addresses, f"{addresses}\n        elsewhere: [node2, node3]"))
    out, _errors = run(directory, "document", succeeds=False)
    found = json.loads(out)["Connectivity"]
    assert found["msg"].startswith("no pair of nodes was verified: node1 is alone in this run, without node2, node3; ")
