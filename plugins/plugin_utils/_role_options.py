# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Options of the roles, from their argument_specs, and the names that are almost one of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parents[2] / "roles"
# What two names of one option may cost by distance(): one wrong letter, or two that are missing, added or swapped.
MOST = 2
# A shorter name is like too many others for as much.
SHORT = 10


@cache
def argument_spec(role: str) -> dict[str, Any]:
    """What a role accepts."""
    document = yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text())
    return dict(document["argument_specs"]["main"].get("options") or {})


@cache
def of_all_roles() -> dict[str, dict[str, Any]]:
    """What every role of the collection accepts, by role."""
    return {path.parts[-3]: argument_spec(path.parts[-3]) for path in sorted(ROLES.glob("*/meta/argument_specs.yml"))}


def distance(one: str, other: str) -> int:
    """What it costs to make one text of another (Damerau-Levenshtein): a wrong letter 2, any other slip 1."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        before, last, row = row, before, [i]
        for j, wanted in enumerate(other, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (0 if letter == wanted else 2))
            if i > 1 and j > 1 and (letter, one[i - 2]) == (other[j - 2], wanted):
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]


@cache
def meant(name: str) -> str:
    """The option of any role that a name is a typing error of; empty where there is none.

    A name that ends in another number, such as cluster_api_vip_2, is meant as it is.
    """
    return _closest(name, (option for options in of_all_roles().values() for option in options))


def _closest(name: str, options: Iterable[str]) -> str:
    written = name.lower().replace("-", "_")
    most = MOST if len(name) >= SHORT else 1
    letters = Counter(written)
    costs = {}
    for option in options:
        if option == name:
            return ""
        # Each slip changes few letters: most options need no closer look.
        if abs(len(option) - len(written)) <= most and _differ(letters, Counter(option)) <= most:
            cost = distance(written, option)
            if cost <= most and not (cost and _without_number(written) == _without_number(option)):
                costs[option] = cost
    return min(costs, key=lambda option: costs[option]) if costs else ""


def _differ(one: Counter[str], other: Counter[str]) -> int:
    return sum(((one - other) + (other - one)).values())


def _without_number(name: str) -> str:
    return re.sub(r"_?v?[0-9]+", "", name)
