# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Values that could not be written to a file as they are meant, or that no daemon could use.

What a role's template puts into a unit, an environment file or a configuration is text there. A value with a line
break is a second line, which may be a command of root; a number that Python reads and etcd does not stops a daemon.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import keys as etcd_keys
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import Fault, Inventory
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight.variables import NOT_SHOWN, is_secret
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._rendering.quoting import UNSEEN

# Parts of CoreDNS' configuration and of Calico's policies, which are more than one line and in files of their own, and
# what goes into no file.
TEXTS = ("coredns_blocks", "coredns_zones", "coredns_further_zones", "calico_policies", "certificates_passphrase")
# Directories of the system, with all that is in them, and those that have others' directories in them. A daemon's data
# is in one of its own, which outlives a boot and which its unit does not hide from it.
SYSTEM = re.compile(
    r"/?|/(bin|boot|dev|etc|home|lib[a-z0-9]*|proc|root|run|sbin|sys|tmp|usr)(/.*)?"
    r"|/var/(cache|log|run|tmp|lib/binary_cluster)(/.*)?|/(media|mnt|opt|srv|var|var/lib)"
)


@dataclass(frozen=True)
class Form:
    """What a text must look like as a whole, and how to say so."""

    pattern: str
    meaning: str

    def fits(self, value: str) -> bool:
        return re.fullmatch(self.pattern, value) is not None


KEYS = Form(etcd_keys.PLACE.pattern, "keys such as /coreos.com/network: letters, digits, . _ - /")
HOST = r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)"
ENDPOINT = Form(rf"https?://{HOST}:[0-9]+", "a client URL of etcd such as https://192.0.2.11:2379")
TLS_ENDPOINT = Form(rf"https://{HOST}:[0-9]+", ENDPOINT.meaning)
ADDRESS = Form(r"[0-9]+(\.[0-9]+){3}|[0-9a-fA-F]*:[0-9a-fA-F:.]*", "an IP address")
NAME = Form(rf"{HOST}\.?|", "a name such as api.example.com")
# How daemons read numbers, by the type of an option.
DIGITS = {"int": r"-?(0|[1-9][0-9]*)", "float": r"-?(0|[1-9][0-9]*)(\.[0-9]+)?"}
# Forms of roles' options and of the cluster's variables, by name; of a list or a dictionary, those of its values.
FORMS = {
    "flannel_etcd_prefix": KEYS,
    "coredns_etcd_path": KEYS,
    "flannel_etcd_endpoints": ENDPOINT,
    "calico_etcd_endpoints": ENDPOINT,
    "coredns_etcd_endpoints": ENDPOINT,
    "coredns_status_address": ADDRESS,
    "etcd_members": ADDRESS,
    "verify_outside_name": NAME,
    "etcd_auto_compaction_retention": Form(
        r"[0-9]+|([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+", "a duration such as 8h, or a number of revisions"
    ),
    "etcd_data_directory": Form(
        r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._@+=-]+)+",
        "an absolute path of letters, digits, . _ @ + = -, without .. and without a slash at its end",
    ),
}
# Keys of flannel and CoreDNS, with their defaults, and those of others: each is the beginning of what a user may do.
KEYS_APART = {"flannel_etcd_prefix": "/coreos.com/network", "coredns_etcd_path": "/skydns"}
KEYS_OF_OTHERS = ("/calico", "/registry")
ENVIRONMENT_NAME = Form(r"(ETCD_|GO)[A-Z0-9_]+", "the name of a setting of etcd's, such as ETCD_LOG_LEVEL")
# A systemd environment file takes quotes and backslashes for its own (systemd.exec(5)).
ENVIRONMENT_VALUE = Form(r"[^\"'\\\s]([^\"'\\]*[^\"'\\\s])?|", "without quotes, backslashes, and blanks at its ends")


def shown(place: str, value: Any, options: Mapping[str, Any]) -> Any:
    """A value as it may be told: not where any part of its place is the name of a secret."""
    parts = re.split(r"[.\[\]]+", place)
    return NOT_SHOWN if any(is_secret(part, options) for part in parts if part) else value


def texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """Every text in a value, with the place where it is; keys are at the place of their value."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield f"{where}.{name}", str(name)
            yield from texts(one, f"{where}.{name}")
    elif isinstance(value, (list, tuple)):
        for number, one in enumerate(value):
            yield from texts(one, f"{where}[{number}]")


def known(inventory: Inventory) -> dict[str, Any]:
    """Options of all roles in the run, and the cluster's variables, by name."""
    return {name: one for each in inventory.specs.values() for name, one in each.items()}


def values_are_one_line(inventory: Inventory) -> Iterator[Fault]:
    """No value brings a line, or a character that nobody sees, into a file."""
    options = known(inventory)
    for host in inventory.hosts.values():
        for name in sorted(options.keys() & host.variables.keys() - set(TEXTS)):
            if options[name].get("type") in DIGITS:
                continue  # numbers_are_digits reports these
            for place, text in texts(host.variables[name], name):
                # The kernel tells sysctls with tabs, and their file is written with blanks.
                whole = text.replace("\t", " ").rstrip("\n") if name == "node_sysctls" else text
                if unseen := UNSEEN.search(whole):
                    remedy = f"character U+{ord(unseen[0]):04X} cannot be in it; leave it out"
                    told = shown(place, text, options)
                    yield Fault(UNSEEN.sub("?", place), told, remedy, (host.name,), general=True)


def values_have_their_form(inventory: Inventory) -> Iterator[Fault]:
    """What stands in a file as it is has nothing in it that the file's reader takes for something else."""
    options = known(inventory)
    for host in inventory.hosts.values():
        for name in sorted(FORMS.keys() & options.keys() & host.variables.keys()):
            value, form = host.variables[name], FORMS[name]
            each = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
            places = {f"{name}[{key}]": one for key, one in each} if each else {name: value}
            for place, one in places.items():
                if one is not None and not form.fits(str(one)):
                    yield Fault(UNSEEN.sub("?", place), one, f"must be {form.meaning}", (host.name,))
    for host in inventory.members("etcd"):
        settings = host.variables.get("etcd_environment")
        for name, value in settings.items() if isinstance(settings, Mapping) else ():
            if not ENVIRONMENT_NAME.fits(str(name)):
                yield Fault("etcd_environment", name, f"must be {ENVIRONMENT_NAME.meaning}", (host.name,))
            if not ENVIRONMENT_VALUE.fits(str(value)):
                place = f"etcd_environment.{UNSEEN.sub('?', str(name))}"
                told = shown(place, value, options)
                yield Fault(place, told, f"must be {ENVIRONMENT_VALUE.meaning}", (host.name,))


def keys_are_apart(inventory: Inventory) -> Iterator[Fault]:
    """Nobody's keys in etcd are among another's: what a user of etcd may read and write begins with them."""
    places = {name: str(inventory.value(name, default)).rstrip("/") for name, default in KEYS_APART.items()}
    for name, place in places.items():
        others = [*KEYS_OF_OTHERS, *(other for one, other in places.items() if one != name)]
        # Of two, the one that was set is told.
        for other in others if place not in ("", KEYS_APART[name]) else ():
            if f"{place}/".startswith(f"{other}/") or f"{other}/".startswith(f"{place}/"):
                yield Fault(name, place, f"another component keeps its keys in {other}; the two must be apart")


def data_directories_are_their_own(inventory: Inventory) -> Iterator[Fault]:
    for host in inventory.members("etcd"):
        directory = str(host.variables.get("etcd_data_directory", "/var/lib/etcd"))
        if SYSTEM.fullmatch(directory.rstrip("/")):
            remedy = "belongs to the system; take a directory of its own, such as /var/lib/etcd"
            yield Fault("etcd_data_directory", directory, remedy, (host.name,), general=True)


def numbers(option: Mapping[str, Any], value: Any, place: str) -> Iterator[tuple[str, str, Any]]:
    """Every value in one of an option, and of its suboptions, that is to be a number: place, type, value."""
    if isinstance(value, (list, tuple)):
        for number, one in enumerate(value):
            yield from numbers({**option, "type": option.get("elements")}, one, f"{place}[{number}]")
    elif isinstance(value, Mapping):
        for name, one in (option.get("options") or {}).items():
            yield from numbers(one, value.get(name), f"{place}.{name}")
    elif option.get("type") in DIGITS and value is not None:
        yield place, option["type"], value


def numbers_are_digits(inventory: Inventory) -> Iterator[Fault]:
    """Numbers as every daemon reads them, and none below zero: no option is a number of less than nothing."""
    for options in inventory.specs.values():
        for host in inventory.hosts.values():
            for name in sorted(options.keys() & host.variables.keys()):
                for place, kind, value in numbers(options[name], host.variables[name], name):
                    if not re.fullmatch(DIGITS[kind], str(value)):
                        remedy = "write it with the digits 0 to 9 alone" + (", such as 0.5" if kind == "float" else "")
                        yield Fault(place, value, remedy, (host.name,), general=True)
                    elif str(value).startswith("-"):
                        yield Fault(place, value, "must not be below 0", (host.name,), general=True)


CHECKS = (
    values_are_one_line,
    values_have_their_form,
    keys_are_apart,
    data_directories_are_their_own,
    numbers_are_digits,
)
