# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Values as the reader of each file format takes them: the same value again, and nothing else.

A value is written bare where it means itself, in quotes where the format has quotes that can hold it, and refused with
the character where neither is so. No format takes line breaks and characters that nobody sees.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# Line ends for some reader, characters that turn around or hide what a person reads (Unicode's Cc, Zl, Zp, Bidi), and
# what is no character: systemd refuses a line with one of those.
UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
    + "]"
)
# In keepalived.conf ! and # begin a comment, $ a macro, and braces and blanks have a meaning.
IN_KEEPALIVED = r"[A-Za-z0-9._+,:;/=*%^&?~|<>-]"


class QuoteError(ValueError):
    """A value that a format cannot hold; the message says which variable, which character, and what to do."""


@dataclass(frozen=True)
class Format:
    """How a format writes a text: ``bare`` matches those that mean themselves, ``quote`` writes the others.

    ``refused`` matches a character that not even quotes can hold. A format without ``quote`` takes what is bare only.
    """

    meaning: str
    bare: str
    quote: Callable[[str], str] | None = None
    refused: str = r"(?!)"
    # What holds in quotes and without.
    escape: Callable[[str], str] = str


def _double_quoted(escaped: str) -> Callable[[str], str]:
    """Double quotes, with a backslash before each of these characters."""
    return lambda text: '"' + re.sub(f"([{re.escape(escaped)}])", r"\\\1", text) + '"'


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


FORMATS = {
    # systemd.syntax(7), systemd.unit(5): blanks at the ends go, a backslash at the end joins the next line.
    "unit": Format("a setting of a systemd unit", r"[^\s\\]([^\\]*[^\s\\])?", escape=_specifiers),
    # Words of such a setting; what stands before a path, such as - or !, is not part of it. Of slashes in a row and of
    # points between slashes systemd makes another text.
    "unit_path": Format(
        "an absolute path in a systemd unit", r"(/(?!\.{1,2}(/|$))[^\s\"'\\;:/]+)+", escape=_specifiers
    ),
    # systemd.service(5), "Command lines".
    "unit_argument": Format(
        "an argument in a systemd unit",
        r"[^\s\"'\\;]+",
        _double_quoted('\\"'),
        escape=lambda text: _specifiers(text).replace("$", "$$"),
    ),
    # systemd.exec(5), EnvironmentFile=. Quotes count at the beginning of a value only.
    "environment": Format("an environment file", r"([^\"'\\\s]([^\\]*[^\\\s])?)?", _double_quoted('\\"$`')),
    "environment_name": Format("the name of an environment variable", r"[A-Za-z_][A-Za-z0-9_]*"),
    # A variable is what $ begins, in quotes too.
    "nginx": Format("a word in nginx.conf", r"[^\s\"'\\;{}#$]+", _double_quoted('\\"'), refused=r"\$"),
    "keepalived": Format("a word in keepalived.conf", IN_KEEPALIVED + "+"),
    # Of a peer whose address it cannot read, keepalived says so and goes on by multicast.
    "keepalived_address": Format("an address in keepalived.conf", r"[0-9A-Fa-f.:]+"),
    # BIRD's strings know no escapes.
    "bird": Format("a string in bird.conf", r"(?!)", lambda text: f'"{text}"', refused='"'),
    "bird_word": Format("an address or a number in bird.conf", r"[0-9A-Za-z.:/%-]+"),
    # Neither names that are looked up nor networks and ranges, which hold others' addresses too.
    "nft": Format("an address for nft", r"[0-9A-Fa-f.:]+"),
    # nft's strings know no escapes, and one that ends with an asterisk is a pattern.
    "nft_string": Format("a string for nft", r"(?!)", lambda text: f'"{text}"', refused=r'["*\\]'),
    # The lexer of caddyfile: # is a comment within a word too, a brace alone is one also in quotes, {$X} is a variable
    # of the environment, and of escapes in quotes there is that of the quote alone.
    "corefile": Format("a word in the Corefile", r"[^\s\"#{}][^\s#{}]*", _double_quoted('"'), refused=r"[{}\\]"),
    "yaml": Format(
        "YAML",
        r"https?://[A-Za-z0-9._/:,\[\]-]*[A-Za-z0-9\]/]",
        lambda text: json.dumps(text, ensure_ascii=False),
    ),
    "shell": Format("a shell script", r"[A-Za-z0-9@%+=:,./_-]+", shlex.quote),
    "comment": Format("a comment", r".*"),
}


def refuse(variable: str, character: str, meaning: str) -> QuoteError:
    """The error for a character of a variable's value. The value itself may be a secret."""
    shown = repr(character) if character.isprintable() else f"U+{ord(character):04X}"
    return QuoteError(f"{variable}: character {shown} cannot be written to {meaning}; leave it out")


def quoted(value: Any, form: str, variable: str, before: str = "", always: bool = False) -> str:
    """A value of a variable as a format has it.

    A list becomes one text with commas between its items, which can have none. ``before`` is what the same word begins
    with. ``always`` takes quotes even where they are not needed. Raises QuoteError, which names the variable, where
    the format cannot hold the value.
    """
    to = FORMATS[form]
    if isinstance(value, (list, tuple)):
        if any("," in str(one) for one in value):
            raise refuse(variable, ",", f"an item of a list in {to.meaning}")
        value = ",".join(map(str, value))
    text = f"{before}{value}"
    if unseen := UNSEEN.search(text):
        raise refuse(variable, unseen[0], to.meaning)
    if not always and re.fullmatch(to.bare, text):
        return to.escape(text)
    if to.quote is None:
        raise _not_bare(text, to, variable)
    if held := re.search(to.refused, text):
        raise refuse(variable, held[0], to.meaning)
    return to.quote(to.escape(text))


def _not_bare(text: str, to: Format, variable: str) -> QuoteError:
    """The error for a text that a format without quotes cannot hold: where it goes wrong first."""
    if not text:
        return QuoteError(f"{variable}: cannot be empty in {to.meaning}; give it a value")
    # Another character may follow a blank. Of a text that is wrong at its end alone, that is the last one.
    wrong = next((one for end, one in enumerate(text, 1) if not re.fullmatch(to.bare, text[:end] + "x")), text[-1])
    return refuse(variable, wrong, to.meaning)
