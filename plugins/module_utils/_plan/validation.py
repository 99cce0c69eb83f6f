# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Values a user gave, checked and brought to the form the kernel prints them in.

A fault says where it is (``devices[0].peers[3].mac``), what stands there and what would be right.
All faults of a call are told at once.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

# What iproute2 and the kernel take, without what a batch line would read as something else.
# With fullmatch: `$` lets a newline at the end through.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,14}")
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
# What an IPv6 address begins with that stands for an IPv4 address (RFC 4291, section 2.5.5.2).
MAPPED = bytes(10) + b"\xff\xff"
# Faults that are told; a user mends them in several runs anyway.
SHOWN = 50


class SpecError(TaskError):
    """One value is wrong; the message says where and why."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(why, where)


class Faults:
    """Collects what is wrong, so that a user sees all of it in one run."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, where: str, why: str) -> None:
        """Note a fault."""
        self.found.append(f"{where}: {why}")

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Note a SpecError of the block and go on after it."""
        try:
            yield
        except SpecError as error:
            self.found.append(str(error))

    def text(self) -> str:
        """The faults, one a line; of very many the first."""
        rest = len(self.found) - SHOWN
        return "\n".join(self.found[:SHOWN] + ([f"... and {rest} more"] if rest > 0 else []))


def version(text: str) -> int:
    """4 or 6, of an address or network in the kernel's form."""
    return 6 if ":" in text else 4


def address(where: str, text: Any) -> str:
    """An address in the kernel's form. An IPv4-mapped IPv6 address is its IPv4 address."""
    return _text(_packed(where, str(text).strip()))


def interface(where: str, text: Any) -> str:
    """An address with its prefix length; a bare address stands for itself alone."""
    packed, bits = _interface(where, text)
    return f"{_text(packed)}/{bits}"


def network(where: str, text: Any) -> str:
    """A network; bits beyond its prefix length are cleared."""
    packed, bits = _interface(where, text)
    host = len(packed) * 8 - bits
    cleared = int.from_bytes(packed, "big") >> host << host
    return f"{_text(cleared.to_bytes(len(packed), 'big'))}/{bits}"


def reachable(where: str, text: Any, everything: bool = False) -> str:
    """A network that a route can lead to: neither loopback nor multicast, nor ``everything`` unless that is meant."""
    found = network(where, text)
    if found.endswith("/0"):
        if everything:
            return found
        raise SpecError(where, f"{found} is everything: this host's own way out would be gone")
    packed, _bits = _interface(where, found)
    first = packed[0]
    if (
        (len(packed) == 4 and (first in (0, 127) or first >= 224))
        or packed == bytes(15) + b"\x01"
        or (len(packed) == 16 and first == 0xFF)
    ):
        raise SpecError(where, f"{found} has addresses that are on no other host: loopback, multicast, or reserved")
    return found


def _packed(where: str, text: str) -> bytes:
    try:
        found = socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except OSError:
        raise SpecError(where, f"{text!r} is no IP address") from None
    return found[len(MAPPED) :] if found.startswith(MAPPED) else found


def _interface(where: str, text: Any) -> tuple[bytes, int]:
    one, slash, length = str(text).strip().partition("/")
    packed = _packed(where, one)
    most = len(packed) * 8
    if not slash:
        return packed, most
    # That of an IPv4-mapped network counts the bits before the IPv4 address too.
    before = len(MAPPED) * 8 if ":" in one and most == 32 else 0
    if not length.isdecimal() or not before <= int(length) <= before + most:
        raise SpecError(where, f"{text!r} has no prefix length of {before} to {before + most}")
    return packed, int(length) - before


def mac(where: str, text: Any) -> str:
    """A MAC that one station can have."""
    found = str(text).strip().lower().replace("-", ":")
    if not MAC.fullmatch(found):
        raise SpecError(where, f"{text!r} is no MAC such as 02:00:0a:f4:01:00")
    if found == "00:00:00:00:00:00":
        raise SpecError(where, "the zero MAC belongs to no station; flooded packets go to those in `flood`")
    if int(found[:2], 16) & 1:
        raise SpecError(where, f"{found} is a multicast MAC, which no station has")
    return found


def number(where: str, value: Any, lowest: int, highest: int) -> int:
    """A whole number of a range."""
    try:
        found = int(str(value), 0)
    except ValueError:
        found = lowest - 1
    if not lowest <= found <= highest:
        raise SpecError(where, f"{value!r} is not a number of {lowest} to {highest}")
    return found


def name(where: str, text: Any) -> str:
    """Name of a network interface."""
    if not NAME.fullmatch(str(text)) or text in ("all", "default"):
        raise SpecError(where, f"{text!r} is no name of an interface: at most 15 letters, digits and ._+-")
    return str(text)


def component(where: str, text: Any, longest: int, further: str = "") -> str:
    """A name that is one component of a path, and never an option; ``further`` characters besides are allowed."""
    given = str(text)
    if not re.fullmatch(rf"[A-Za-z0-9_][A-Za-z0-9._{re.escape(further)}-]*", given):
        raise SpecError(where, f"{given!r}: take letters, digits and ._{further}-, and none of .- first")
    if len(given) > longest:
        raise SpecError(where, f"{given!r}: it has {len(given)} characters; {longest} at most are allowed")
    return given


def _text(packed: bytes) -> str:
    # The C library's form, as the kernel's tools print it: Python's own shortens some IPv6 addresses differently.
    return socket.inet_ntop(socket.AF_INET6 if len(packed) == 16 else socket.AF_INET, packed)
