# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""The resolver of a host, told to ask the cluster's DNS server.

Either systemd-resolved, which then asks it for the cluster's domains and nothing else: they are settings of
the server's own link, made again whenever the server starts. Servers in resolved.conf(5) would be asked for
everything, in place of those of resolv.conf. Or resolv.conf(5) itself, where it comes before the servers that
were there: those are asked where it does not answer or has no zone.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Sequence

from ansible_collections.binary_cluster.networking.plugins.module_utils._host import file_entry
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

METHODS = ("none", "resolved", "resolv_conf")
RESOLV_CONF = "/etc/resolv.conf"
DROP_IN = "/etc/systemd/system/coredns.service.d/resolved.conf"
# glibc looks at no more (MAXNS).
MOST_SERVERS = 3

Run = Callable[[Sequence[str]], "tuple[int, str, str]"]


class ResolverError(TaskError):
    """systemd-resolved refused; the message has its own words."""


def wanted(
    method: str, settings: Sequence[Sequence[str]], server: str, search: str, ledger: Ledger
) -> list[file_entry.Entry]:
    """The files of a method; none for ``none``."""
    if method == "resolved":
        lines = [f"ExecStartPost=+-resolvectl {' '.join(words)}" for words in settings]
        return [file_entry.Entry(DROP_IN, data="\n".join(["# Ansible managed", "[Service]", *lines, ""]).encode())]
    if method == "resolv_conf":
        return [file_entry.Entry(RESOLV_CONF, data=resolv_conf(_original(ledger), server, search).encode())]
    return []


def link_settings(link: str, server: str, port: int, domains: Sequence[str]) -> list[list[str]]:
    """Arguments of resolvectl: the first domain is searched, the others are only asked there."""
    where = server if port == 53 else f"{server}:{port}"
    told = [name if number == 0 else f"~{name}" for number, name in enumerate(domains)]
    return [["dns", link, where], ["domain", link, *told], ["default-route", link, "no"]]


def differing(settings: Sequence[Sequence[str]], run: Run) -> list[list[str]]:
    """The settings that the link does not have."""
    missing = []
    for setting, link, *values in settings:
        # Link 4 (coredns0): 10.0.0.2
        _code, out, _err = run(["resolvectl", setting, link])
        if set(out.partition(": ")[2].split()) != set(values):
            missing.append([setting, link, *values])
    return missing


def set_link(settings: Sequence[Sequence[str]], run: Run) -> None:
    """Tell systemd-resolved."""
    for words in settings:
        code, out, err = run(["resolvectl", *words])
        if code != 0:
            raise ResolverError(f"resolvectl {' '.join(words)}: {(err or out).strip()}")


def resolv_conf(original: str, server: str, domain: str) -> str:
    """A resolv.conf with the server and the domain before what it had."""
    servers, search, options = [server], [domain], []
    for line in original.splitlines():
        words = line.split()
        if not words or words[0].startswith(("#", ";")):
            continue
        if words[0] == "nameserver":
            servers += words[1:2]
        elif words[0] in ("search", "domain"):
            search += words[1:]
        else:
            options.append(line)
    lines = ["# Ansible managed", *(f"nameserver {one}" for one in list(dict.fromkeys(servers))[:MOST_SERVERS])]
    return "\n".join([*lines, f"search {' '.join(dict.fromkeys(search))}", *options, ""])


def _original(ledger: Ledger) -> str:
    """What resolv.conf held before the first change."""
    before = ledger.before(file_entry.KIND, RESOLV_CONF)
    if before and before.get("kind") == "file":
        return base64.b64decode(before["data"]).decode(errors="replace")
    path = RESOLV_CONF
    if before and before.get("kind") == "link":
        # A target such as ../run/systemd/resolve/resolv.conf is seen from where the link is.
        path = os.path.join(os.path.dirname(RESOLV_CONF), base64.b64decode(before["data"]).decode())
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""
