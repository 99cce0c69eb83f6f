# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""What dpkg has installed, and which of it can go without taking anything else away."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

Run = Callable[..., "tuple[int, str, str]"]
FIELDS = "${Package}\\t${db:Status-Status}\\t${Provides}\\t${Pre-Depends}, ${Depends}\\n"


class PackageError(Exception):
    """A package could not be installed or removed; the message has the program's own words."""


@dataclass(frozen=True)
class Package:
    """An installed package: the names it answers to, and those it cannot be without."""

    name: str
    provides: frozenset[str]
    depends: frozenset[str]


def installed(run: Run) -> dict[str, Package]:
    """All installed packages, by name."""
    code, out, err = run(["dpkg-query", "--show", f"--showformat={FIELDS}"])
    if code != 0:
        raise PackageError(f"dpkg-query: {err.strip()}")
    return parse(out)


def parse(listing: str) -> dict[str, Package]:
    """Packages from lines of name, status, provides and depends; those not fully installed are left out."""
    found = {}
    for line in listing.splitlines():
        name, status, provides, depends = line.split("\t")
        if status == "installed":
            found[name] = Package(name, _names(provides) | {name}, _names(depends))
    return found


def removable(candidates: Iterable[str], present: Mapping[str, Package], wanted: Iterable[str] = ()) -> list[str]:
    """Those of the candidates that nothing which stays depends on.

    ``wanted`` are candidates that stay. An alternative (``a | b``) counts as a need for each: when in
    doubt a package stays.
    """
    going = {name for name in candidates if name in present} - set(wanted)
    while True:
        needed = {need for name, package in present.items() if name not in going for need in package.depends}
        kept = {name for name in going if present[name].provides & needed}
        if not kept:
            return sorted(going)
        going -= kept


def command(run: Run, words: Sequence[str]) -> None:
    """Run a program of the package manager; it asks nothing."""
    code, out, err = run(list(words), environ_update={"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"})
    if code != 0:
        said = [line for line in (err or out).splitlines() if line.startswith(("E:", "dpkg:"))]
        raise PackageError(f"{' '.join(words)}: {' '.join(said) or (err or out).strip()}")


def _names(relation: str) -> frozenset[str]:
    """Names in a list of relations such as ``libc6 (>= 2.34), a | b:any``."""
    parts = (re.sub(r"\(.*?\)", "", part).strip().partition(":")[0] for part in re.split(r"[,|]", relation))
    return frozenset(part for part in parts if part)
