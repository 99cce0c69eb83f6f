"""Every file of a report can be read, whatever hosts said: written by the actions, read by strict parsers."""

from __future__ import annotations

import functools
import html.parser
import json
import re
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.binary_cluster.networking.plugins.action import connectivity_report, drift_report
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._rendering import printable
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import terminal
from hypothesis import given, settings, strategies as st

TEMPLATE = Path(__file__).resolve().parents[2] / "roles/verify/files/connectivity.html"
# A log line may have any byte; bytes that are no UTF-8 come as surrogates.
LINES = st.one_of(
    st.text(st.characters(codec=None, exclude_categories=()), max_size=30),
    st.text(st.sampled_from("\0\x01\x1b\x7f\x85\u2028\ud800\udcff\ufffe\ufdd0\r\n\t\\\"'<>&]-!/{} a"), max_size=30),
    st.sampled_from(["]]>", "</script><!--", "{{ report }}", "\\", "\x1b[2J\x1b]0;title\x07", "&#0;", "\\n"]),
)
# prometheus.io/docs/instrumenting/exposition_formats: a label's value has \\, \" and \n as escapes, and no line feed.
LABEL = r'[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"'
METRIC = re.compile(
    rf"# HELP [a-z_]+ [^\n]+|# TYPE [a-z_]+ gauge|[a-z_]+(?:\{{{LABEL}(?:,{LABEL})*\}})? -?[0-9.e+-]+", re.ASCII
)
# No file has these as they are; a terminal obeys some of them.
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


class Script(html.parser.HTMLParser):
    """Takes the report out of its page, as a browser does."""

    def __init__(self) -> None:
        super().__init__()
        self.within = False
        self.data = ""
        self.elements: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.within = dict(attrs).get("id") == "report"

    def handle_endtag(self, tag: str) -> None:
        self.within = False

    def handle_data(self, data: str) -> None:
        self.data += data if self.within else ""


def act(action: Any, arguments: dict[str, Any], variables: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Result of an action and what it prints. Ansible's own part of an action is the edge here."""
    task = SimpleNamespace(args=arguments, check_mode=False)
    one = action.__new__(action)
    one._task = task
    told: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ActionBase, "run", lambda *_words: {})
        patch.setattr(terminal, "show", lambda _result, text: told.append(text))
        return one.run(None, variables), "\n".join(told)


def written(directory: Path, line: str, name: str) -> tuple[dict[str, Any], str]:
    """Files of a verification whose nodes, targets and causes are such text."""
    node = f"node{name}"
    of = {"subnet": "10.244.1.0/24", "address": "10.244.1.2", "network": "10.244.0.0/16"}
    pod = {"name": "pod1", **of, "ips": [of]}
    outcome = {
        "source": "pod1", "target": "10.0.0.1:443", "protocol": "outside", "family": 4, "ok": False, "rtt_ms": None,
        "mtu": None, "tries": 3, "cause": line, "source_seen": None,
    }  # fmt: skip
    arguments = {
        "backend": f"flannel{name}",
        "addresses": {node: "192.0.2.11", "other": "192.0.2.12"},
        "ready": {node: {"pods": [pod]}, "other": {"failed": True, "msg": line}},
        "probed": {node: {"outcomes": [outcome, {**outcome, "target": line}]}},
        "throughput": {
            node: {
                "throughput": {
                    "target": line, "pods_mbit_s": 1.0, "hosts_mbit_s": 2.0, "pods_rtt_ms": 1.0, "hosts_rtt_ms": 2.0
                }
            }
        },
        "protocols": ["icmp"],
        "started": "2026-03-01T12:00:00+00:00",
        "directory": str(directory),
        "template": str(TEMPLATE),
        "prometheus_file": str(directory / "pods.prom"),
    }  # fmt: skip
    return act(connectivity_report.ActionModule, arguments, {})


@functools.cache
def elements() -> list[str]:
    """Elements of the page without a report."""
    page = Script()
    page.feed(TEMPLATE.read_text(encoding="utf-8"))
    return page.elements


@settings(max_examples=150, deadline=None)
@given(line=LINES, name=LINES)
def test_all_forms_of_a_verification_are_read_by_strict_parsers(line: str, name: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        result, told = written(directory, line, name)
        files = {path.suffix: path.read_bytes().decode("utf-8") for path in directory.iterdir()}
    assert sorted(files) == [".html", ".json", ".prom", ".txt", ".xml"]
    report = json.loads(files[".json"])
    failed = [pair for pair in report["pairs"] if not pair["ok"]]

    suite = ET.fromstring(files[".xml"])
    cases = suite.findall("testcase")
    assert len(cases) == len(report["pairs"])
    messages = [case.find("failure").get("message") for case in cases]  # type: ignore[union-attr]
    assert messages == [pair["cause"] or "failed" for pair in failed]

    lines = files[".prom"].split("\n")
    assert lines.pop() == "" and [line for line in lines if not METRIC.fullmatch(line)] == []

    page = Script()
    page.feed(files[".html"])
    page.close()
    assert json.loads(page.data) == report
    assert page.elements == elements()

    for text in (*files.values(), told, result["msg"]):
        assert not UNPRINTABLE.search(text)


@settings(max_examples=100, deadline=None)
@given(line=LINES)
def test_all_forms_of_a_comparison_are_read_by_strict_parsers(line: str) -> None:
    found = {"changed": True, "diff": [{"before": line, "after": f"{line}x", "after_header": line}], "actions": []}
    with tempfile.TemporaryDirectory() as place:
        contacts = {"node1": {"ping": "pong"}, "node2": {"unreachable": True, "msg": line}}
        arguments: dict[str, Any] = {
            "hosts": [*contacts],
            "contacts": contacts,
            "started": "2026-03",
            "directory": place,
        }
        hostvars = {"node1": {"__etcd_files": found}, "node2": {}, "localhost": {}}
        result, told = act(drift_report.ActionModule, arguments, {"hostvars": hostvars})
        report = json.loads((Path(place) / "drift.json").read_bytes().decode("utf-8"))
    assert result["failed"] and report["differences"][0]["what"] == printable.cleaned(line)
    assert not UNPRINTABLE.search(told) and not UNPRINTABLE.search(result["msg"])


@given(line=LINES)
def test_what_can_be_printed_stays_as_it_is(line: str) -> None:
    cleaned = printable.cleaned(line)
    assert cleaned == printable.cleaned(cleaned)
    assert cleaned == line or UNPRINTABLE.search(line) or re.search("[\U0001fffe-\U0010ffff]", line)


def test_a_terminal_is_shown_what_would_control_it() -> None:
    said = {"log": ["\x1b[2Jfailed\r\n", "żółw 網路"], "port": 443, "ok": None}
    assert printable.cleaned(said) == {"log": ["\\x1b[2Jfailed\\r\n", "żółw 網路"], "port": 443, "ok": None}
