# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Options of the roles, from their argument_specs, and the names that are almost one of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ansible.module_utils.common.yaml import yaml_load

ROLES = Path(__file__).resolve().parents[3] / "roles"
# What two names of one option may cost by distance(): one wrong letter, or two that are missing, added or swapped.
MOST = 2
# A shorter name is like too many others for as much.
SHORT = 10


@cache
def argument_spec(role: str) -> dict[str, Any]:
    """What a role accepts."""
    document = yaml_load((ROLES / role / "meta" / "argument_specs.yml").read_text())
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


# What a template reads as the argument_specs do. These take "y" and " yes " for true too, and the filter bool does not.
NO_BOOLEAN = "must be true or false"
BOOLEANS = ("true", "false", "yes", "no", "on", "off", "1", "0")


def misshapen(option: Mapping[str, Any], value: Any, place: str) -> Iterator[tuple[str, Any, str]]:
    """Values in one of an option that the argument_specs would convert and a template would not: place, value, remedy.

    A text for a list is a list of one to the argument_specs, and to a template a list of its letters.
    """
    kind, parts = option.get("type", "str"), option.get("options") or {}
    if value is None and not parts and "." not in place and "[" not in place:
        yield place, value, "has no value; leave it out, or give it one"
    elif value is None:
        return  # a module takes it for what is not set
    elif kind == "list" and not isinstance(value, (list, tuple)):
        yield place, value, "must be a list, such as [a, b]"
    elif kind == "dict" and not isinstance(value, Mapping):
        yield place, value, "must be a dictionary, such as {name: value}"
    elif kind in ("str", "path") and isinstance(value, (list, tuple, Mapping)):
        yield place, value, "must be a text"
    elif kind == "bool" and str(value).lower() not in BOOLEANS:
        yield place, value, NO_BOOLEAN
    elif kind == "list":
        for number, one in enumerate(value):
            yield from misshapen({**option, "type": option.get("elements", "raw")}, one, f"{place}[{number}]")
    elif kind == "dict":
        for name, part in parts.items():
            if name in value:
                yield from misshapen(part, value[name], f"{place}.{name}")
