# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""How many hosts are restarted at a time."""

from __future__ import annotations

import re
from typing import Any

FORM = "give a number of hosts from 1, or a percentage from 1% to 100%"


def batch_size(size: Any, count: int) -> int:
    """Hosts of a batch, at least one. Raises ValueError where ``size`` is neither a number nor a percentage."""
    told = re.fullmatch(r"(\d+)(%?)", str(size).strip())
    number = int(told.group(1)) if told else 0
    if not told or number < 1 or (told.group(2) and number > 100):
        raise ValueError(f"{size}: {FORM}")
    return max(1, -(-number * count // 100)) if told.group(2) else number
