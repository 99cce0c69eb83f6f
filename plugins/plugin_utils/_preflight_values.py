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

from ansible_collections.binary_cluster.networking.plugins.module_utils import _etcd
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight import (
    NOT_SHOWN,
    Fault,
    Inventory,
    is_secret,
)

# Parts of CoreDNS' configuration and of Calico's policies, which are more than one line and in files of their own.
TEXTS = ("coredns_blocks", "coredns_zones", "coredns_further_zones", "calico_policies")
# Line ends for some reader, and characters that turn around or hide what a person reads (Unicode's Cc, Zl, Zp, Bidi).
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# Directories that belong to the system as a whole: a daemon's data is in one of its own.
SYSTEM = re.compile(
    r"/?|/(bin|boot|dev|etc|home|lib|lib64|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var)"
    r"|/usr/(bin|lib|local|local/bin|sbin|share)|/var/(cache|lib|log|run|tmp)"
)


@dataclass(frozen=True)
class Form:
    """What a text must look like as a whole, and how to say so."""

    pattern: str
    meaning: str

    def fits(self, value: str) -> bool:
        return re.fullmatch(self.pattern, value) is not None


KEYS = Form(_etcd.PLACE.pattern, "keys such as /coreos.com/network: letters, digits, . _ - /")
# How daemons read numbers, by the type of an option.
DIGITS = {"int": r"-?[0-9]+", "float": r"-?[0-9]+(\.[0-9]+)?"}
# Forms of a role's options, by name.
FORMS = {
    "flannel_etcd_prefix": KEYS,
    "coredns_etcd_path": KEYS,
    "etcd_auto_compaction_retention": Form(
        r"[0-9]+|([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+", "a duration such as 8h, or a number of revisions"
    ),
    "etcd_data_directory": Form(
        r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._@+=-]+)+", "an absolute path of letters, digits, . _ @ + = -, without .."
    ),
}
ENVIRONMENT_NAME = Form(r"ETCD_[A-Z0-9_]+", "the name of a setting of etcd's, such as ETCD_LOG_LEVEL")
# A systemd environment file takes quotes and backslashes for its own (systemd.exec(5)).
ENVIRONMENT_VALUE = Form(r"[^\"'\\\s]([^\"'\\]*[^\"'\\\s])?|", "without quotes, backslashes, and blanks at its ends")


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


def values_are_one_line(inventory: Inventory) -> Iterator[Fault]:
    """No value brings a line, or a character that nobody sees, into a file."""
    options = {name: one for each in inventory.specs.values() for name, one in each.items()}
    for host in inventory.hosts.values():
        for name, value in host.variables.items():
            if name in TEXTS or (name not in options and not name.startswith("cluster_")):
                continue
            if options.get(name, {}).get("type") in DIGITS:
                continue  # told by numbers_are_digits
            for place, text in texts(value, name):
                if unseen := UNSEEN.search(text):
                    shown = NOT_SHOWN if is_secret(name, options) else text
                    remedy = f"character U+{ord(unseen[0]):04X} cannot be in it; leave it out"
                    yield Fault(UNSEEN.sub("?", place), shown, remedy, (host.name,), general=True)


def values_have_their_form(inventory: Inventory) -> Iterator[Fault]:
    """What stands in a file as it is has nothing in it that the file's reader takes for something else."""
    for options in inventory.specs.values():
        for host in inventory.hosts.values():
            for name, value in host.variables.items():
                form = FORMS.get(name)
                if name in options and form and value not in (None, "") and not form.fits(str(value)):
                    yield Fault(name, value, f"must be {form.meaning}", (host.name,))
    for host in inventory.members("etcd"):
        settings = host.variables.get("etcd_environment")
        for name, value in settings.items() if isinstance(settings, Mapping) else ():
            if not ENVIRONMENT_NAME.fits(str(name)):
                yield Fault("etcd_environment", name, f"must be {ENVIRONMENT_NAME.meaning}", (host.name,))
            if not ENVIRONMENT_VALUE.fits(str(value)):
                place = f"etcd_environment.{UNSEEN.sub('?', str(name))}"
                yield Fault(place, value, f"must be {ENVIRONMENT_VALUE.meaning}", (host.name,))


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
    elif option.get("type") in DIGITS and value is not None and not isinstance(value, bool):
        yield place, option["type"], value


def numbers_are_digits(inventory: Inventory) -> Iterator[Fault]:
    """Numbers as every daemon reads them, and none below zero: no option is a number of less than nothing."""
    for options in inventory.specs.values():
        for host in inventory.hosts.values():
            for name in options.keys() & host.variables.keys():
                for place, kind, value in numbers(options[name], host.variables[name], name):
                    if not re.fullmatch(DIGITS[kind], str(value)):
                        yield Fault(place, value, "write it with the digits 0 to 9 alone", (host.name,), general=True)
                    elif str(value).startswith("-"):
                        yield Fault(place, value, "must not be below 0", (host.name,), general=True)


CHECKS = (values_are_one_line, values_have_their_form, data_directories_are_their_own, numbers_are_digits)
