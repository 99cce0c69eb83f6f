# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Taking one daemon's firewall rules away and leaving everybody else's.

Its nftables tables are told by their name, its iptables chains by their prefix. No table is
flushed. Using iptables makes empty tables of its own in nftables; those that were not there
before, and that nobody else has begun to use, go too.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence

from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

Run = Callable[..., "tuple[int, str, str]"]
# Tables of nftables in which iptables keeps its rules, with everybody else's.
SHARED_TABLES = ("filter", "nat", "mangle", "raw")


class FirewallError(TaskError):
    """A rule could not be removed; the message has the program's own words."""


def present(run: Run) -> list[str]:
    """Tables and chains of nftables, as ``family table`` and ``family table chain``."""
    if not shutil.which("nft"):
        return []
    _code, out, _err = run(["nft", "--json", "list", "chains"])
    _code, also, _err = run(["nft", "--json", "list", "tables"])
    found = json.loads(also or "{}").get("nftables", []) + json.loads(out or "{}").get("nftables", [])
    names = []
    for entry in found:
        if "table" in entry:
            names.append(f"{entry['table']['family']} {entry['table']['name']}")
        elif "chain" in entry:
            chain = entry["chain"]
            names.append(f"{chain['family']} {chain['table']} {chain['name']}")
    return list(dict.fromkeys(names))


def removal(saved: str, prefix: str, comment: str = "") -> str:
    """Input for ``iptables-restore --noflush`` that removes the chains of a prefix.

    ``saved`` is the output of ``iptables-save``. Jumps into the chains go first, then the chains. Rules in
    others' chains whose comment begins with ``comment`` go too, where one is given.
    """
    marks = (f" {prefix}", f' --comment "{comment}') if comment else (f" {prefix}",)
    script: list[str] = []
    rules: list[str] = []
    chains: list[str] = []
    for line in saved.splitlines():
        if line.startswith("*"):
            table, rules, chains = line, [], []
        elif line.startswith(f":{prefix}"):
            chains.append(line.split()[0][1:])
        elif line.startswith("-A ") and any(mark in line for mark in marks):
            owner = line.split()[1]
            if not owner.startswith(prefix):
                rules.append(f"-D {line[3:]}")
        elif line == "COMMIT" and chains:
            # Naming a chain in the script empties it.
            script += [table, *(f":{chain} - [0:0]" for chain in chains), *rules]
            script += [*(f"-X {chain}" for chain in chains), "COMMIT"]
    return "\n".join(script) + "\n" if script else ""


def remove_tables(run: Run, prefix: str, check_mode: bool) -> list[str]:
    """Remove the nftables tables of a prefix; return what was done, a sentence each."""
    done = []
    for name in present(run):
        family, table, *chain = name.split()
        if not chain and table.startswith(prefix):
            done.append(f"remove nftables table {family} {table}")
            if not check_mode:
                _must(run(["nft", "delete", "table", family, table]), f"nft delete table {family} {table}")
    return done


def remove_chains(run: Run, prefix: str, before: Sequence[str], check_mode: bool, comment: str = "") -> list[str]:
    """Remove the iptables chains of a prefix; return what was done, a sentence each.

    ``before`` is what :func:`present` gave before any of it, ``comment`` is as in :func:`removal`.
    """
    done = []
    for program in ("iptables", "ip6tables"):
        if not shutil.which(f"{program}-save"):
            continue
        _code, saved, _err = run([f"{program}-save"])
        script = removal(saved, prefix, comment)
        if script:
            done.append(f"remove {program} chains {prefix}*")
            if not check_mode:
                _must(run([f"{program}-restore", "--noflush"], data=script), f"{program}-restore")
    if done and not check_mode:
        _drop_empty(run, before)
    return done


def _drop_empty(run: Run, before: Sequence[str]) -> None:
    """Drop the chains and tables that iptables made for itself and that hold nothing."""
    for name in present(run):
        family, table, *chain = name.split()
        if not chain or name in before or family not in ("ip", "ip6") or table not in SHARED_TABLES:
            continue
        _code, out, _err = run(["nft", "--json", "list", "chain", family, table, *chain])
        entries = json.loads(out).get("nftables", ())
        accepts = any(entry.get("chain", {}).get("policy") == "accept" for entry in entries)
        if accepts and not any("rule" in entry for entry in entries):
            _must(run(["nft", "delete", "chain", family, table, *chain]), f"nft delete chain {name}")
    left = present(run)
    for name in left:
        family, table, *chain = name.split()
        if chain or name in before or family not in ("ip", "ip6") or table not in SHARED_TABLES:
            continue
        if not any(other.startswith(f"{name} ") for other in left):
            _must(run(["nft", "delete", "table", family, table]), f"nft delete table {name}")


def _must(result: tuple[int, str, str], what: str) -> None:
    code, out, err = result
    if code != 0:
        raise FirewallError(f"{what}: {(err or out).strip()}")
