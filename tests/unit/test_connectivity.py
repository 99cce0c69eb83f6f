"""The connectivity report: states, comparison, metrics, and its forms for people and machines."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.binary_cluster.networking.plugins.action import preflight
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._report import (
    html as report_html,
    junit as report_junit,
    matrix as report_matrix,
    prometheus,
    state as report_state,
)

from tests.browser import reports

REFUSED = "give the connectivity.json of an earlier verification"


def states(report: dict[str, Any], source: str, target: str) -> dict[str, str]:
    found = {(probe["source"], probe["target"], probe["protocol"]): probe["state"] for probe in report["pairs"]}
    return {protocol: found[source, target, protocol] for protocol in reports.PROTOCOLS}


def changed(source: str = "node1", target: str = "node2", protocols: tuple[str, ...] = ("tcp",), **to: Any) -> Any:
    """A whole network, one of whose pairs is changed."""
    report = reports.whole(3)
    reports.change(report, source, target, protocols, **to)
    return reports.finished(report)


# --- states ----------------------------------------------------------------------------


def test_every_kind_of_fault_has_its_state() -> None:
    report = reports.broken(3)
    assert set(states(report, "node1", "node2").values()) == {"failed"}
    assert states(report, "node1", "node3")["mtu"] == "mtu"
    assert states(report, "node2", "node3")["udp"] == "flaky"
    assert states(report, "node3", "node1") == {**dict.fromkeys(reports.PROTOCOLS, "ok"), "tcp": "slow", "http": "slow"}
    assert set(states(report, "node2", "node1").values()) == {"ok"}


def test_slow_is_both_long_and_unusual() -> None:
    assert states(changed(rtt_ms=9.9), "node1", "node2")["tcp"] == "ok", "unusual, but not long"
    assert states(changed(rtt_ms=10.1), "node1", "node2")["tcp"] == "slow"
    far = reports.whole(3)
    for probe in far["pairs"]:
        probe["rtt_ms"] = probe["rtt_ms"] and 40.0
    assert {probe["state"] for probe in reports.finished(far)["pairs"]} == {"ok"}, "long, but usual"


def test_what_lets_no_packet_through_is_no_mtu_fault() -> None:
    report = changed(protocols=("mtu",), ok=False, mtu=None)
    assert states(report, "node1", "node2")["mtu"] == "failed"


def test_a_pair_is_as_bad_as_its_worst_probe() -> None:
    probes = [{"state": state} for state in ("ok", "mtu", "slow")]
    assert report_state.worst(probes) == "mtu"
    assert report_state.worst([]) == "ok"


# --- comparison ------------------------------------------------------------------------


def test_a_report_compared_with_itself_has_no_changes() -> None:
    report = reports.broken(3)
    compared = report_state.compare(report, copy.deepcopy(report))
    assert compared["worse"] == compared["better"] == compared["new"] == compared["gone"] == []


def test_what_is_worse_one_way_is_better_the_other() -> None:
    whole, broken = reports.whole(3), reports.broken(3)
    worse = report_state.compare(whole, broken)
    better = report_state.compare(broken, whole)
    assert not worse["better"] and not better["worse"]
    assert len(worse["worse"]) == len(better["better"]) == 11
    first = worse["worse"][0]
    assert (first["source"], first["target"], first["protocol"]) == ("node1", "node2", "icmp")
    assert first["before"]["state"] == "ok" and first["after"] == {"state": "failed", "rtt_ms": None, "mtu": None}


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ({"rtt_ms": 0.4}, {"rtt_ms": 1.9}, ""),
        ({"rtt_ms": 0.4}, {"rtt_ms": 30.0}, "worse"),
        ({"rtt_ms": 9.0}, {"rtt_ms": 14.5}, ""),
        ({"rtt_ms": 0.4}, {"tries": 2}, "worse"),
        ({"mtu": 1450}, {"mtu": 1400}, "worse"),
        ({"mtu": 1400}, {"mtu": 1450}, "better"),
        ({"ok": False, "rtt_ms": None}, {"rtt_ms": 0.4}, "better"),
    ],
)
def test_a_change_is_judged(before: dict[str, Any], after: dict[str, Any], what: str) -> None:
    compared = report_state.compare(changed(**before), changed(**after))
    assert [name for name in ("worse", "better") if compared[name]] == ([what] if what else [])


def test_nodes_that_came_and_went_are_named_and_their_pairs_left_out() -> None:
    compared = report_state.compare(reports.whole(2), reports.whole(3))
    assert (compared["new"], compared["gone"]) == (["node3"], [])
    assert report_state.compare(reports.whole(3), reports.whole(2))["gone"] == ["node3"]


def test_a_comparison_is_told_a_line_a_pair() -> None:
    lines = list(report_state.changes(report_state.compare(reports.whole(2), reports.broken(3))))
    assert lines[0] == "since 2026-03-01T12:00:00+00:00: 6 worse, 0 better"
    assert lines[1] == "new: node3"
    assert lines[2].startswith("worse: node1 -> node2: icmp ") and lines[2].endswith("mtu 1450 bytes -> failed")
    assert lines[3].startswith("worse: node2 -> node2: own ") and len(lines) == 4


def test_an_earlier_report_is_read_and_judged_as_of_today(tmp_path: Path) -> None:
    earlier = reports.broken(3)
    for probe in earlier["pairs"]:
        del probe["state"]
    (tmp_path / "connectivity.json").write_text(json.dumps(earlier))
    assert states(report_state.read(tmp_path / "connectivity.json"), "node1", "node3")["mtu"] == "mtu"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, f"no such file or directory; {REFUSED}"),
        ("{", f"not a report; {REFUSED}"),
        ("[]", f"not a report; {REFUSED}"),
        ('{"started": "", "nodes": [], "pairs": [{}]}', f"not a report; {REFUSED}"),
    ],
)
def test_what_is_no_earlier_report_is_refused(tmp_path: Path, content: str | None, fault: str) -> None:
    path = tmp_path / "earlier.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError) as refused:
        report_state.read(path)
    assert str(refused.value) == fault


def test_preflight_refuses_paths_that_the_report_cannot_use(tmp_path: Path) -> None:
    good = tmp_path / "connectivity.json"
    good.write_text(json.dumps(reports.whole(2)))
    bad = {"verify_compare": "/nowhere.json", "verify_prometheus_file": "/var/lib/metrics/pods.txt"}
    assert [str(fault) for fault in preflight.report_paths([bad, bad, {}])] == [
        f"verify_compare: /nowhere.json: no such file or directory; {REFUSED}",
        "verify_prometheus_file: /var/lib/metrics/pods.txt: its name must end in .prom, or the collector of "
        "node_exporter does not read it",
    ]
    assert preflight.report_paths([{"verify_compare": str(good), "verify_prometheus_file": "pods.prom"}]) == []


# --- forms -----------------------------------------------------------------------------


def test_the_matrix_of_a_few_nodes_has_figures() -> None:
    rows = [line.split("  ") for line in report_matrix.matrix(reports.broken(3)).splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells[1] == ["node1", "ok", "DOWN", "MTU"]
    assert cells[2][2] == "OWN", "a node and itself"
    assert cells[2][3].startswith("flaky 0.")
    assert cells[3][1:3] == ["slow 180 ms", "HTTP"]


def test_the_matrix_of_many_nodes_has_signs_and_says_what_they_mean() -> None:
    lines = report_matrix.matrix(reports.broken(30)).splitlines()
    assert lines[1].split()[2:6] == [".", "X", "M", "."]
    assert lines[2].split()[2:6] == [".", "X", "~", "."]
    assert lines[3].split()[2:6] == ["s", "X", ".", "."]
    assert lines[-1] == "s slow, ~ flaky, M mtu, X failed"
    assert "slow" not in report_matrix.matrix(reports.whole(30))


def test_the_summary_counts_what_is_amiss_without_having_failed() -> None:
    assert report_matrix.summary(reports.broken(3)).endswith(
        " 3 nodes, 6 pairs, 36 probes, 8 FAILED, in 1.2 s; 1 flaky, 2 slow"
    )
    assert report_matrix.summary(reports.whole(3)).endswith(" 36 probes, all passed, in 1.2 s")


def test_junit_has_a_case_for_every_probe() -> None:
    suite = ElementTree.fromstring(report_junit.junit(reports.broken(3)))
    assert len(suite.findall("testcase")) == 36
    failed = suite.findall("testcase/failure")
    assert len(failed) == int(suite.attrib["failures"]) == 8
    assert reports.HOSTILE in [failure.attrib["message"] for failure in failed]


def test_nothing_in_a_report_ends_its_place_in_the_page() -> None:
    template = (
        '<title>{{ summary }}</title><pre>{{ matrix }}</pre><script type="application/json">{{ report }}</script>'
    )
    report = reports.broken(3)
    report["backend"] = "{{ report }}</title>"
    page = report_html.page(template, report)
    assert page.count("</script>") == page.count("</title>") == 1
    assert "<!--" not in page
    embedded = page.partition('json">')[2].partition("</script>")[0]
    assert json.loads(embedded) == report


# --- metrics ---------------------------------------------------------------------------


def test_metrics_say_of_every_probe_whether_it_went_well_and_how_long_it_took() -> None:
    lines = prometheus.render(reports.broken(3)).splitlines()
    assert 'pod_network_whole{backend="flannel"} 0' in lines
    assert "pod_network_verified_timestamp_seconds 1772366400" in lines
    assert 'pod_network_probes{state="flaky"} 1' in lines
    assert 'pod_network_probe_success{source="node1",target="node2",family="4",protocol="udp"} 0' in lines
    assert 'pod_network_probe_duration_seconds{source="node3",target="node1",family="4",protocol="tcp"} 0.18' in lines
    assert 'pod_network_path_mtu_bytes{source="node1",target="node3",family="4"} 1400' in lines
    assert not any("duration_seconds{" in line and 'source="node1",target="node2"' in line for line in lines)


def test_metrics_have_the_throughput_where_it_was_measured() -> None:
    measured = reports.named(3)
    line = 'pod_network_throughput_bits_per_second{source="node1",target="node2",between="pods"} 600000000'
    assert line in prometheus.render(measured).splitlines()
    trips = [line for line in prometheus.render(measured).splitlines() if line.startswith("pod_network_round_trip")]
    assert trips == ['pod_network_round_trip_seconds{source="node1",target="node2",between="pods"} 0.000251']
    assert "throughput" not in prometheus.render(reports.whole(3))


def test_every_metric_is_told_and_typed_once_before_its_samples() -> None:
    typed: list[str] = []
    for line in prometheus.render(reports.broken(3)).splitlines():
        if line.startswith("# TYPE "):
            typed.append(line.split()[2])
        elif not line.startswith("#"):
            assert line.partition("{")[0].partition(" ")[0] == typed[-1]
    assert len(typed) == len(set(typed)) == 7


def test_a_name_cannot_break_out_of_its_label() -> None:
    report = reports.whole(2)
    report["backend"] = 'a"b\\c\nd'
    assert 'pod_network_whole{backend="a\\"b\\\\c\\nd"} 1' in prometheus.render(report).splitlines()


def test_metrics_are_put_into_place_whole_and_readable(tmp_path: Path) -> None:
    path = tmp_path / "collected" / "pods.prom"
    for _time in range(2):
        prometheus.write(path, reports.whole(2))
    assert [one.name for one in path.parent.iterdir()] == ["pods.prom"]
    assert path.stat().st_mode & 0o777 == 0o644
    assert path.read_text() == prometheus.render(reports.whole(2))
