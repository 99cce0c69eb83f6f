# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""The files of CoreDNS from one structure: Corefile, zone files, and what is copied beside them.

The structure is a list of zones as the role coredns documents it. Paths in the Corefile are relative to
the directory CoreDNS runs in, so that the same files can be tried elsewhere first.

CoreDNS has the order of its plugins built in. Of the sources of a zone that is :data:`SOURCES`; each
hands on what it does not know, but for the last.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._dns import records as dns_records
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._rendering.quoting import quoted

Zone = Mapping[str, Any]
SOURCES = ("kubernetes", "file", "etcd", "forward")
OCTET = "25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9]"
NEGATIVE_TTL = 30
# Where the role puts its own certificate for etcd.
ETCD_TLS = ("pki/etcd.crt", "pki/etcd.key", "pki/etcd-ca.crt")


class CorefileError(ValueError):
    """The structure cannot be rendered; the message says where, what, and what would be right."""


@dataclass(frozen=True)
class Settings:
    """What holds for all zones. ``server`` is the name of the server in the zones it serves.

    ``clients`` are networks and addresses whose questions are answered, all others' are refused.
    """

    addresses: Sequence[str]
    clients: Sequence[str]
    server: str
    port: int
    cache: int
    query_log: bool
    status_address: str
    health_port: int
    ready_port: int
    metrics_port: int
    blocks: str


@dataclass
class Files:
    """The files by path in CoreDNS' directory: texts, and files of the controller to copy."""

    texts: dict[str, str] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    version: str = ""


def render(zones: Sequence[Zone], settings: Settings, copies: Mapping[str, str]) -> Files:
    """All files of one CoreDNS. ``copies`` are further files that a change of the version must tell of."""
    made = Files(copies=dict(copies))
    blocks = []
    for number, zone in enumerate(zones):
        names = dns_records.zones(zone["names"])
        lines = [
            "errors",
            *(["log"] if settings.query_log else []),
            f"prometheus {_status(settings, settings.metrics_port)}",
            f"ready {_status(settings, settings.ready_port)}",
            *([] if number else [f"health {_status(settings, settings.health_port)}"]),
            *_cache(int(zone.get("cache", settings.cache))),
            "loadbalance",
            *_sources(zone, names, f"coredns_zones[{number}]", settings, made),
            *(zone.get("extra") or "").strip().splitlines(),
        ]
        blocks.append(_block(names, lines, settings))
    blocks += [settings.blocks.strip() + "\n"] if settings.blocks.strip() else []
    made.texts["Corefile"] = "\n".join(blocks)
    made.version = _version(made)
    made.texts["Corefile"] += "\n" + _block(["version.bind"], [f"chaos {made.version}"], settings)
    return made


def _version(made: Files) -> str:
    """A digest over all of the files."""
    whole = hashlib.sha256()
    for path, text in sorted(made.texts.items()):
        whole.update(f"{path}\0{text}\0".encode())
    for path, source in sorted(made.copies.items()):
        held = Path(source).expanduser()
        # In check mode the controller may have yet to make a certificate.
        whole.update(path.encode() + (held.read_bytes() if held.is_file() else b""))
    return whole.hexdigest()[:16]


def _block(names: Sequence[str], lines: Iterable[str], settings: Settings) -> str:
    keys = _words([f"{name}:{settings.port}" for name in names], "coredns_zones.names")
    # Asked before all plugins that answer, whatever their order here. Of several rules the first that fits counts, so
    # those of a zone's own words come first.
    clients = _plugin("acl", [f"allow net {_words(settings.clients, 'coredns_allowed_networks')}", "block"])
    body = [f"bind {_words(settings.addresses, 'coredns_listen')}", *lines, *clients]
    return "\n".join([f"{keys} {{", *(f"    {line}".rstrip() for line in body), "}", ""])


def _word(value: Any, variable: str) -> str:
    """One word of the Corefile. Raises ValueError, with the variable and the character, where it cannot be one."""
    return quoted(str(value), "corefile", variable)


def _words(values: Iterable[Any], variable: str) -> str:
    return " ".join(_word(value, variable) for value in values)


def _status(settings: Settings, port: int) -> str:
    return _word(f"{settings.status_address}:{port}", "coredns_status_address")


def _cache(seconds: int) -> list[str]:
    return [f"cache {seconds}"] if seconds else []


def _plugin(head: str, lines: Iterable[str]) -> list[str]:
    """A plugin with its own block."""
    return [f"{head} {{", *(f"    {line}" for line in lines), "}"]


def _sources(zone: Zone, names: Sequence[str], where: str, settings: Settings, made: Files) -> list[str]:
    """Lines of the sources of a zone, in the order in which CoreDNS asks them."""
    files = _zone_files(zone, names, where, settings, made)
    given = {
        "kubernetes": zone.get("kubernetes"),
        "file": files,
        "etcd": zone.get("etcd"),
        "forward": zone.get("forward"),
    }
    present = [source for source in SOURCES if given[source]]
    lines = _pods(str(zone["pods"]), names, settings) if zone.get("pods") else []
    if lines and "file" not in present:
        raise CorefileError(
            f"{where}.pods: {zone['pods']}: names by rule need records or files to stand in for the rest"
        )
    for source in present:
        hand_on = ["fallthrough"] if source != present[-1] else []
        if source == "kubernetes":
            lines += _kubernetes(zone["kubernetes"], names, f"{where}.kubernetes", hand_on, made)
        elif source == "file":
            for name, path in files.items():
                lines += _plugin(f"file {_words([path, name], f'{where}.names')}", ["reload 0", *hand_on])
        elif source == "etcd":
            lines += _etcd(zone["etcd"], names, f"{where}.etcd", hand_on)
        else:
            lines += _forward(zone["forward"], names[0], f"{where}.forward", made)
    return lines


def _zone_files(zone: Zone, names: Sequence[str], where: str, settings: Settings, made: Files) -> dict[str, str]:
    """Path of the zone file of each zone that has one."""
    found = {}
    if zone.get("records"):
        records, faults = dns_records.read(zone["records"], f"{where}.records")
        if faults:
            raise CorefileError("; ".join(map(str, faults)))
        for name, text in dns_records.zone_files(records, names, settings.server, NEGATIVE_TTL).items():
            found[name] = _path("zones", name, "zone")
            made.texts[found[name]] = text
    for given, source in (zone.get("files") or {}).items():
        for name in dns_records.zones([given]):
            if name in found:
                raise CorefileError(f"{where}.files: {given}: has records too; put those into the file")
            found[name] = _path("zones", name, "zone")
            try:
                made.texts[found[name]] = Path(source).expanduser().read_text()
            except OSError as error:
                raise CorefileError(f"{where}.files.{given}: {source}: {error.strerror} on the controller") from error
    return found


def _path(directory: str, zone: str, suffix: str) -> str:
    return f"{directory}/{'root' if zone == '.' else zone}.{suffix}"


def _pods(network: str, names: Sequence[str], settings: Settings) -> list[str]:
    """Names of a network's addresses by rule: 10-244-1-5.pod.<domain>, and back."""
    domain = next(name for name in names if not name.endswith(".arpa"))
    reverse = dns_records.zones([network])
    # The zones that cover a network differ in one label; what they have in common is that network.
    fixed = [list(reversed(zone.split(".")[:-2])) for zone in reverse]
    octets = ["|".join(dict.fromkeys(labels)) for labels in zip(*fixed)]
    groups = [f"(?P<{part}>{octet})" for part, octet in zip("abcd", octets + [OCTET] * (4 - len(octets)))]
    name = f"^{'-'.join(groups)}[.]pod[.]{domain.replace('.', '[.]')}[.]$"
    pointer = f"^{'[.]'.join(reversed(groups))}[.]in-addr[.]arpa[.]$"
    parts = [f"{{{{ .Group.{part} }}}}" for part in "abcd"]
    soa = dns_records.start_of_authority(domain, settings.server, 1, NEGATIVE_TTL)
    return [
        *_plugin(
            f"template IN A {domain}",
            [f'match "{name}"', f'answer "{{{{ .Name }}}} 60 IN A {".".join(parts)}"', "fallthrough"],
        ),
        # A name that has an address exists for every other type, too.
        *_plugin(f"template IN ANY {domain}", [f'match "{name}"', f'authority "{soa}"', "fallthrough"]),
        *_plugin(
            f"template IN PTR {' '.join(reverse)}",
            [
                f'match "{pointer}"',
                f'answer "{{{{ .Name }}}} 60 IN PTR {"-".join(parts)}.pod.{domain}."',
                "fallthrough",
            ],
        ),
    ]


def _kubernetes(
    source: Mapping[str, Any], names: Sequence[str], where: str, hand_on: list[str], made: Files
) -> list[str]:
    lines = []
    if source.get("kubeconfig"):
        made.copies["kubernetes/kubeconfig"] = str(source["kubeconfig"])
        lines.append("kubeconfig kubernetes/kubeconfig")
    else:
        lines.append(f"endpoint {_word(source['endpoint'], f'{where}.endpoint')}")
    if source.get("certificate"):
        paths = [f"kubernetes/{part}.pem" for part in ("certificate", "key", "ca")]
        made.copies.update({path: str(source[part]) for path, part in zip(paths, ("certificate", "key", "ca"))})
        lines.append(f"tls {' '.join(paths)}")
    lines += [f"pods {_word(source['pods'], f'{where}.pods')}"] if source.get("pods") else []
    return _plugin(f"kubernetes {' '.join(names)}", [*lines, *source.get("options", ()), *hand_on])


def _etcd(source: Mapping[str, Any], names: Sequence[str], where: str, hand_on: list[str]) -> list[str]:
    lines = [
        f"path {_word(source['path'], f'{where}.path')}",
        f"endpoint {_words(source['endpoints'], f'{where}.endpoints')}",
    ]
    if any(endpoint.startswith("https:") for endpoint in source["endpoints"]):
        lines.append(f"tls {' '.join(ETCD_TLS)}")
    return _plugin(f"etcd {' '.join(names)}", [*lines, *hand_on])


def _forward(source: Mapping[str, Any], name: str, where: str, made: Files) -> list[str]:
    lines = [f"policy {_word(source['policy'], f'{where}.policy')}"] if source.get("policy") else []
    if source.get("ca"):
        path = _path("pki/forward", name, "crt")
        made.copies[path] = str(source["ca"])
        lines.append(f"tls {path}")
    if source.get("tls_servername"):
        lines.append(f"tls_servername {_word(source['tls_servername'], f'{where}.tls_servername')}")
    # Where an answer came back to the same place, CoreDNS stops: it would go round for ever.
    servers = _words(source["to"], f"{where}.to")
    return ["loop", *_plugin(f"forward . {servers}", [*lines, *source.get("options", ())])]


# --- what raw parts name ---------------------------------------------------------------


def plugins_named(text: str, depth: int) -> list[str]:
    """Plugins that raw Corefile text uses: the first words at a depth of braces, comments left out."""
    found = []
    level = 0
    for line in text.splitlines():
        words = re.sub(r'"(\\.|[^"\\])*"', '""', line).split("#")[0].split()
        if words and level == depth and words[0] not in ("{", "}"):
            found.append(words[0])
        level += words.count("{") - words.count("}")
    return list(dict.fromkeys(found))
