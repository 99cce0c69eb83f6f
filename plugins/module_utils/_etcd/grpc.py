# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""One gRPC call with nothing but Python's standard library.

A call is one stream of HTTP/2 (RFC 9113) on a connection of its own: headers, one message, and the server's
headers, messages and trailers (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). Headers are
compressed as RFC 7541 says; of its tables, only what an answer to a call can use is here.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
import urllib.parse
from collections.abc import Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
HEADER_TABLE_SIZE, ENABLE_PUSH, INITIAL_WINDOW_SIZE = 1, 2, 4
WINDOW, LARGEST_WINDOW, FRAME = 65535, 2**31 - 1, 16384

# RFC 7541, appendix B: the code is canonical, so the lengths in bits say all. What gRPC sends is printable ASCII;
# longer codes are those of other bytes.
LENGTHS: dict[int, str] = {
    5: "012aceiost",
    6: " %-./3456789=A_bdfghlmnpru",
    7: ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
    8: "&*,;XZ",
    10: '!"()?',
    11: "'+|",
    12: "#>",
    13: "\0$@[]~",
    14: "^}",
    15: "<`{",
    19: "\\",
}
# RFC 7541, appendix A: names by index, of those that are looked at.
STATUS_INDEX = range(8, 15)
STATUSES = ("200", "204", "206", "304", "400", "404", "500")
STATIC_ENTRIES = 61


class StatusError(Exception):
    """The server answered with a status that is not OK."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message or f"gRPC status {code}")
        self.code = code


class ProtocolError(OSError):
    """What answers does not speak gRPC."""


def call(host: str, port: int, context: ssl.SSLContext | None, method: str, message: bytes, timeout: float) -> bytes:
    """Answer to a unary call; ``method`` is as in ``/package.Service/Method``, ``context`` None without TLS.

    Raises StatusError where the server says no, and OSError where there is no answer in ``timeout`` seconds.
    """
    until = time.monotonic() + timeout
    with socket.create_connection((host, port), timeout) as connection:
        if context is None:
            return _Stream(connection, until).call(host, port, "http", method, message, timeout)
        with context.wrap_socket(connection, server_hostname=host) as secured:
            if secured.selected_alpn_protocol() != "h2":
                raise ProtocolError("it does not speak HTTP/2")
            return _Stream(secured, until).call(host, port, "https", method, message, timeout)


class _Stream:
    """The only stream of a connection."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        self.connection = connection
        self.until = until
        self.headers: dict[str, str] = {}
        self.body = b""
        self.ended = False
        self.windows = {0: WINDOW, 1: WINDOW}
        self.initial = WINDOW
        self.block = b""
        self.block_ends_stream = False

    def call(self, host: str, port: int, scheme: str, method: str, message: bytes, timeout: float) -> bytes:
        headers = {
            ":method": "POST",
            ":scheme": scheme,
            ":path": method,
            ":authority": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "te": "trailers",
            "content-type": "application/grpc",
            "grpc-timeout": f"{max(1, int(timeout * 1000))}m",
        }
        settings = {HEADER_TABLE_SIZE: 0, ENABLE_PUSH: 0, INITIAL_WINDOW_SIZE: LARGEST_WINDOW}
        self._send(
            PREFACE
            + _frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in settings.items()))
            + _frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", LARGEST_WINDOW - WINDOW))
            + _frame(HEADERS, END_HEADERS, 1, b"".join(_literal(*pair) for pair in headers.items()))
        )
        self._send_body(struct.pack(">BI", 0, len(message)) + message)
        while not self.ended:
            self._read()
        return self._answer()

    def _send_body(self, body: bytes) -> None:
        """Send the message as fast as the server's windows allow."""
        rest = memoryview(body)
        while rest and not self.ended:
            room = min(*self.windows.values(), FRAME)
            if room <= 0:
                self._read()
                continue
            part, rest = rest[:room], rest[room:]
            for stream in self.windows:
                self.windows[stream] -= len(part)
            self._send(_frame(DATA, 0 if rest else END_STREAM, 1, bytes(part)))

    def _answer(self) -> bytes:
        if self.headers.get(":status") != "200":
            raise ProtocolError(f"HTTP status {self.headers.get(':status')}")
        code = int(self.headers.get("grpc-status", "2"))
        if code:
            raise StatusError(code, urllib.parse.unquote(self.headers.get("grpc-message", "")))
        if len(self.body) < 5 or self.body[0]:
            raise ProtocolError("its answer is not a plain gRPC message")
        return self.body[5 : 5 + struct.unpack(">I", self.body[1:5])[0]]

    def _send(self, data: bytes) -> None:
        self.connection.settimeout(self._left())
        self.connection.sendall(data)

    def _receive(self, size: int) -> bytes:
        parts = []
        while size:
            self.connection.settimeout(self._left())
            part = self.connection.recv(size)
            if not part:
                raise ConnectionResetError("it closed the connection")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _left(self) -> float:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def _read(self) -> None:
        """Read one frame and do what it asks for."""
        head = self._receive(9)
        size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
        stream = int.from_bytes(head[5:], "big") & LARGEST_WINDOW
        payload = self._receive(size)
        if kind == DATA and stream == 1:
            self.body += _unpadded(payload, flags)
            self.ended = bool(flags & END_STREAM)
        elif kind in (HEADERS, CONTINUATION):
            self._read_headers(kind, flags, payload)
        elif kind == SETTINGS and not flags & ACK:
            self._apply(payload)
            self._send(_frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            self._send(_frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE and stream in self.windows:
            self.windows[stream] += int.from_bytes(payload, "big") & LARGEST_WINDOW
        elif kind == RST_STREAM or (kind == GOAWAY and int.from_bytes(payload[:4], "big") < 1):
            code = int.from_bytes(payload[:4] if kind == RST_STREAM else payload[4:8], "big")
            raise ConnectionResetError(f"it refused the call: HTTP/2 error {code}")

    def _read_headers(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == HEADERS:
            self.block_ends_stream = bool(flags & END_STREAM)
            self.block = _unpadded(payload, flags)[5 if flags & PRIORITY else 0 :]
        else:
            self.block += payload
        if flags & END_HEADERS:
            self.headers.update(decode_headers(self.block))
            self.ended = self.block_ends_stream

    def _apply(self, settings: bytes) -> None:
        for name, value in struct.iter_unpack(">HI", settings):
            if name == INITIAL_WINDOW_SIZE:
                self.windows[1] += value - self.initial
                self.initial = value


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def _unpadded(payload: bytes, flags: int) -> bytes:
    return payload[1 : len(payload) - payload[0]] if flags & PADDED else payload


def _literal(name: str, value: str) -> bytes:
    """A header that is not compressed and enters no table."""
    return b"\0" + b"".join(_integer(len(text), 7) + text.encode() for text in (name, value))


def _integer(number: int, bits: int) -> bytes:
    """An integer after a prefix of zeros (RFC 7541, 5.1)."""
    most = 2**bits - 1
    if number < most:
        return bytes([number])
    number -= most
    encoded = [most]
    while number >= 128:
        encoded.append(number % 128 + 128)
        number //= 128
    return bytes([*encoded, number])


def decode_headers(block: bytes) -> Iterator[tuple[str, str]]:
    """Names and values of a block of headers; a name of the static table that nobody asks for is empty.

    The client said that it keeps no dynamic table, so none is referred to.
    """
    at = 0
    while at < len(block):
        first = block[at]
        if first & 0x80:
            index, at = _read_integer(block, at, 7)
            _known(index)
            if index in STATUS_INDEX:
                yield ":status", STATUSES[index - STATUS_INDEX[0]]
        elif first & 0xE0 == 0x20:
            _size, at = _read_integer(block, at, 5)
        else:
            index, at = _read_integer(block, at, 6 if first & 0x40 else 4)
            _known(index)
            name = ":status" if index in STATUS_INDEX else ""
            if not index:
                name, at = _read_string(block, at)
            value, at = _read_string(block, at)
            yield name, value


def _known(index: int) -> None:
    if index > STATIC_ENTRIES:
        raise ProtocolError("its headers refer to a table that there is not")


def _read_integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    most = 2**bits - 1
    number = block[at] & most
    at += 1
    if number < most:
        return number, at
    shift = 0
    while True:
        number += (block[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not block[at - 1] & 0x80:
            return number, at


def _read_string(block: bytes, at: int) -> tuple[str, int]:
    coded = block[at] & 0x80
    size, at = _read_integer(block, at, 7)
    data = block[at : at + size]
    return (_decode(data) if coded else data.decode("latin-1")), at + size


def _codes() -> dict[tuple[int, int], str]:
    """Characters by the length and the value of their codes."""
    codes: dict[tuple[int, int], str] = {}
    code = last = 0
    for length, characters in LENGTHS.items():
        code <<= length - last
        last = length
        for character in characters:
            codes[length, code] = character
            code += 1
    return codes


CODES = _codes()


def _decode(data: bytes) -> str:
    """A string in the code of RFC 7541, appendix B; ones at its end are padding."""
    text = []
    code = length = 0
    for byte in data:
        for bit in range(7, -1, -1):
            code, length = code << 1 | byte >> bit & 1, length + 1
            character = CODES.get((length, code))
            if character is not None:
                text.append(character)
                code = length = 0
    return "".join(text)
