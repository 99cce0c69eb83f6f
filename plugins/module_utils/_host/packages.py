# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""What dpkg has installed, what a transaction of our own adds, and what can go without taking anything else away.

What a transaction adds is what apt itself says within it, when it holds dpkg's lock and before dpkg begins. Comparing
what is installed before and after would also find what others install in the meantime.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

# Kind of the ledger's entries: name of a package -> whether its configuration was there before.
KIND = "packages"
Run = Callable[..., "tuple[int, str, str]"]
FIELDS = "${Package}\\t${db:Status-Status}\\t${Provides}\\t${Pre-Depends}, ${Depends}\\n"


# What is installed of a package that was removed but not purged (dpkg-query(1)).
CONFIGURATION_ONLY = "config-files"
# Where apt writes the packages of a transaction (apt.conf(5), DPkg::Pre-Install-Pkgs).
TRANSACTION = "packages.transaction"


# deb-version(7) and Debian's policy, 5.6.7: a package's name, and with it what apt-get(8) takes.
NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?(=[A-Za-z0-9.+~:-]+)?")


class PackageError(TaskError):
    """A package could not be installed or removed; the message has the program's own words."""


def refuse_names(packages: Iterable[str]) -> None:
    """Raises PackageError for what is no package's name, and would be an option or several words for apt-get."""
    for package in packages:
        if not NAME.fullmatch(package):
            raise PackageError(f"{package!r}: not the name of a package, such as keepalived")


@dataclass(frozen=True)
class Package:
    """An installed package: the names it answers to, and those it cannot be without."""

    name: str
    provides: frozenset[str]
    depends: frozenset[str]


def installed(run: Run) -> dict[str, Package]:
    """All installed packages, by name; also those whose installation broke off half-way."""
    return parse(_listing(run))


def _listing(run: Run) -> str:
    code, out, err = run(["dpkg-query", "--show", f"--showformat={FIELDS}"])
    if code != 0:
        raise PackageError(f"dpkg-query: {err.strip()}")
    return str(out)


def configured(run: Run) -> set[str]:
    """Packages that are gone but for the configuration that somebody keeps of them."""
    lines = (line.split("\t") for line in _listing(run).splitlines())
    return {name for name, status, *_rest in lines if status == CONFIGURATION_ONLY}


def parse(listing: str) -> dict[str, Package]:
    """Packages from lines of name, status, provides and depends; those that are not there are left out."""
    found = {}
    for line in listing.splitlines():
        name, status, provides, depends = line.split("\t")
        if status not in ("not-installed", CONFIGURATION_ONLY):
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
        shown = " ".join(word for word in words if not word.startswith("-o"))
        raise PackageError(f"{shown}: {' '.join(said) or (err or out).strip()}")


def transaction_options(path: str) -> list[str]:
    """Options of apt-get that have it write what it is about to do to a file, in version 2 of its protocol."""
    return [
        f"-oDPkg::Pre-Install-Pkgs::=/bin/cat >>{path}",
        "-oDPkg::Tools::Options::/bin/cat::Version=2",
    ]


def begin(directory: str) -> str:
    """Make a file for apt to write its transactions to, readable by nobody else: apt's settings are in it too."""
    path = os.path.join(directory, TRANSACTION)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    os.fchmod(descriptor, 0o600)
    os.close(descriptor)
    return path


def added(directory: str) -> list[str]:
    """Packages that the transactions in the file install, which were not installed before; none without a file."""
    try:
        with open(os.path.join(directory, TRANSACTION), encoding="utf-8", errors="replace") as stream:
            return new_packages(stream.read())
    except FileNotFoundError:
        return []


def finish(directory: str) -> None:
    """Remove the file of the transactions: what it said is noted."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(directory, TRANSACTION))


def new_packages(protocol: str) -> list[str]:
    """Packages that a transaction installs, from apt's own words, and that it does not only bring up to date.

    A line is ``name old-version direction new-version action``; the old version of a package that is not installed is
    ``-``, and the action is the package's file, ``**CONFIGURE**`` or ``**REMOVE**`` (apt.conf(5)). Before them are
    the version of the protocol, apt's settings and an empty line, in every transaction.
    """
    found, settings = set(), True
    for line in protocol.splitlines():
        words = line.split()
        if not words or line.startswith("VERSION "):
            settings = bool(words)
        elif not settings and len(words) == 5 and words[1:3] == ["-", "<"] and words[4].startswith("/"):
            found.add(words[0])
    return sorted(found)


def purge(run: Run, ledger: Ledger, names: Sequence[str]) -> None:
    """Take away packages that were installed here, with their configuration unless it was there before."""
    for name in names:
        ledger.require(KIND, name)
    kept = [name for name in names if (ledger.before(KIND, name) or {}).get("configured")]
    going = [name for name in names if name not in kept]
    if kept:
        command(run, ["dpkg", "--remove", *names])
    if going:
        command(run, ["dpkg", "--purge", *going])


def _names(relation: str) -> frozenset[str]:
    """Names in a list of relations such as ``libc6 (>= 2.34), a | b:any``."""
    parts = (re.sub(r"\(.*?\)", "", part).strip().partition(":")[0] for part in re.split(r"[,|]", relation))
    return frozenset(part for part in parts if part)
