# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""DNS messages: a question, and the answer to it in words (RFC 1035).

Only what a client needs to ask one question and to judge the answer; values are in the presentation
form of zone files, so that they compare with what an inventory says.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import struct
from dataclasses import dataclass

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "TXT": 16, "AAAA": 28, "SRV": 33}
NAMES = {number: name for name, number in TYPES.items()}
CLASSES = {"IN": 1, "CH": 3}
# The words that operators know from dig.
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
TRUNCATED, RECURSION_DESIRED, RESPONSE = 0x0200, 0x0100, 0x8000


class DnsError(ValueError):
    """A message that is not one, or not the answer to the question."""


@dataclass(frozen=True)
class Answer:
    """What a server said. ``values`` are those of the asked type, in the order they came."""

    rcode: str
    values: tuple[str, ...] = ()
    truncated: bool = False


def question(name: str, kind: str, klass: str = "IN") -> bytes:
    """A query for a name, with a random identifier."""
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".") if label]
    if any(len(label) > 63 for label in labels):
        raise DnsError(f"{name}: a label has 63 characters at most")
    encoded = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    head = struct.pack("!6H", secrets.randbits(16), RECURSION_DESIRED, 1, 0, 0, 0)
    return head + encoded + struct.pack("!2H", TYPES[kind], CLASSES[klass])


def answer(message: bytes, asked: bytes) -> Answer:
    """Read the answer to a query; raises DnsError where it is not that."""
    try:
        _identifier, flags, questions, answers, _ns, _extra = struct.unpack_from("!6H", message)
        if not flags & RESPONSE or message[:2] != asked[:2]:
            raise DnsError("answered another question")
        offset = 12
        for _number in range(questions):
            _name, offset = _read_name(message, offset)
            offset += 4
        wanted = struct.unpack_from("!H", asked, len(asked) - 4)[0]
        values = []
        for _number in range(answers):
            _name, offset = _read_name(message, offset)
            kind, _class, _ttl, length = struct.unpack_from("!2HIH", message, offset)
            offset += 10
            if kind == wanted:
                values.append(_value(message, offset, kind, length))
            offset += length
    except (struct.error, IndexError, ValueError) as error:
        raise error if isinstance(error, DnsError) else DnsError(f"answered what is no DNS message: {error}") from error
    code = flags & 0xF
    return Answer(RCODES.get(code, f"RCODE {code}"), tuple(values), bool(flags & TRUNCATED))


def ask(server: str, port: int, name: str, kind: str, klass: str = "IN", timeout: float = 1.0) -> Answer:
    """Ask a server once over UDP; raises OSError without an answer."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    asked = question(name, kind, klass)
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.settimeout(timeout)
        one.connect((server, port))
        one.send(asked)
        return answer(one.recv(65535), asked)


def _read_name(message: bytes, offset: int) -> tuple[str, int]:
    """A name, and where what follows it begins. Pointers lead ever further back, so this ends."""
    labels: list[str] = []
    begin, end = offset, 0
    while True:
        length = message[offset]
        if length & 0xC0 == 0xC0:
            target = struct.unpack_from("!H", message, offset)[0] & 0x3FFF
            end = end or offset + 2
            if target >= begin:
                raise DnsError("a name points forwards")
            begin = offset = target
        elif length == 0:
            return ".".join(labels), end or offset + 1
        else:
            labels.append(message[offset + 1 : offset + 1 + length].decode("latin-1").lower())
            offset += 1 + length


def _value(message: bytes, offset: int, kind: int, length: int) -> str:
    """Data of a record in presentation form."""
    data = message[offset : offset + length]
    name = NAMES.get(kind)
    if name in ("A", "AAAA"):
        return str(ipaddress.ip_address(data))
    if name in ("CNAME", "NS", "PTR"):
        return _read_name(message, offset)[0]
    if name == "SRV":
        priority, weight, port = struct.unpack_from("!3H", data)
        return f"{priority} {weight} {port} {_read_name(message, offset + 6)[0]}"
    if name == "TXT":
        text, at = b"", 0
        while at < length:
            text += data[at + 1 : at + 1 + data[at]]
            at += 1 + data[at]
        return text.decode("utf-8", errors="replace")
    return data.hex()
