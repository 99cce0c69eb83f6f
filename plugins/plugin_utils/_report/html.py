# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""A report as a page."""

from __future__ import annotations

import html
import json
import re

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._report.build import Report
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._report.matrix import matrix, summary


def page(template: str, report: Report) -> str:
    """The page: a template with the report where it says ``{{ report }}``, ``{{ summary }}``, ``{{ matrix }}``."""
    # Inside a script element only "</" and "<!--" have a meaning; both begin with "<".
    parts = {
        "report": json.dumps(report).replace("<", "\\u003c"),
        "summary": html.escape(summary(report)),
        "matrix": html.escape(matrix(report)),
    }
    # In one pass: what is put in is not looked at for more.
    return re.sub(r"{{ (report|summary|matrix) }}", lambda found: parts[found.group(1)], template)
