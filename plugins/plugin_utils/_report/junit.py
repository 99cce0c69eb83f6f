# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""A report for machines that run tests."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._report import state as report_state
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._report.build import Report


def junit(report: Report) -> str:
    """The report as JUnit XML: a test case a pair and protocol."""
    failed = sum(not pair["ok"] for pair in report["pairs"])
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<testsuite name="connectivity" tests="{len(report["pairs"])}" failures="{failed}" '
        f'time="{report["duration_s"]}" timestamp={quoteattr(report["started"])}>',
    ]
    for pair in report["pairs"]:
        name = f"{pair['source']} -> {pair['target']} {report_state.title(pair)}"
        seconds = (pair["rtt_ms"] or 0) / 1000
        case = f'<testcase classname={quoteattr(report["backend"])} name={quoteattr(name)} time="{seconds:.6f}"'
        if pair["ok"]:
            lines.append(f"  {case}/>")
        else:
            lines.append(f"  {case}><failure message={quoteattr(pair['cause'] or 'failed')}/></testcase>")
    return "\n".join([*lines, "</testsuite>", ""])
