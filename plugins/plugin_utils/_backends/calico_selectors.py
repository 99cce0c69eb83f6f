# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Selectors of Calico: ``role == 'web' && !has(test)``, as its reference for NetworkPolicy describes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Selector = Callable[[Mapping[str, str]], bool]
TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>'[^']*'|"[^"]*")
      | (?P<sign>&&|\|\||==|!=|[!(){},])
      | (?P<phrase>not\s+in\b|starts\s+with\b|ends\s+with\b)
      | (?P<word>[A-Za-z0-9_./-]+)
    )""",
    re.VERBOSE,
)


class SelectorError(ValueError):
    """What is wrong with a selector."""


def parse(text: str) -> Selector:
    """What tells whether a selector takes an endpoint with these labels. An empty one takes all."""
    if not text.strip():
        return lambda labels: True
    parser = _Parser(_tokens(text))
    selector = parser.either()
    if parser.rest:
        raise SelectorError(f"{parser.rest[0]!r} is not expected")
    return selector


def _tokens(text: str) -> list[str]:
    found, position = [], 0
    while text[position:].strip():
        match = TOKEN.match(text, position)
        if not match:
            raise SelectorError(f"{text[position:].strip()!r} is not understood")
        found.append(" ".join(match.group("phrase").split()) if match.group("phrase") else match.group().strip())
        position = match.end()
    return found


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self.rest = tokens

    def take(self, *expected: str) -> str:
        if not self.rest:
            raise SelectorError("it ends too early")
        token = self.rest.pop(0)
        if expected and token not in expected:
            raise SelectorError(f"{token!r} stands where {' or '.join(expected)} is expected")
        return token

    def text(self) -> str:
        token = self.take()
        if token[0] not in "'\"":
            raise SelectorError(f"{token!r} has no quotes around it")
        return token[1:-1]

    def either(self) -> Selector:
        parts = self.several("||", self.both)
        return lambda labels: any(part(labels) for part in parts)

    def both(self) -> Selector:
        parts = self.several("&&", self.one)
        return lambda labels: all(part(labels) for part in parts)

    def several(self, sign: str, part: Callable[[], Selector]) -> list[Selector]:
        parts = [part()]
        while self.rest[:1] == [sign]:
            self.take()
            parts.append(part())
        return parts

    def one(self) -> Selector:
        token = self.take()
        if token == "!":
            inner = self.one()
            return lambda labels: not inner(labels)
        if token == "(":
            inner = self.either()
            self.take(")")
            return inner
        if not re.match(r"[A-Za-z0-9_]", token):
            raise SelectorError(f"{token!r} is not the name of a label")
        if self.rest[:1] == ["("]:
            return self.call(token)
        return self.comparison(token)

    def call(self, name: str) -> Selector:
        self.take("(")
        if name in ("all", "global"):
            self.take(")")
            return lambda labels: True
        if name != "has":
            raise SelectorError(f"{name}() is unknown; there are all(), global() and has()")
        label = self.take()
        self.take(")")
        return lambda labels: label in labels

    def comparison(self, label: str) -> Selector:
        sign = self.take("==", "!=", "in", "not in", "contains", "starts with", "ends with")
        if sign in ("in", "not in"):
            values = self.values()
            return lambda labels: (label in labels and labels[label] in values) == (sign == "in")
        value = self.text()
        tests: dict[str, Selector] = {
            "==": lambda labels: labels.get(label) == value,
            "!=": lambda labels: labels.get(label) != value,
            "contains": lambda labels: label in labels and value in labels[label],
            "starts with": lambda labels: label in labels and labels[label].startswith(value),
            "ends with": lambda labels: label in labels and labels[label].endswith(value),
        }
        return tests[sign]

    def values(self) -> list[str]:
        self.take("{")
        values: list[str] = []
        while self.rest[:1] != ["}"]:
            values.append(self.text())
            if self.rest[:1] == [","]:
                self.take()
        self.take("}")
        return values
