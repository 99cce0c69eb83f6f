# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Text of hosts, such as a line of a log, as every file of a report and a terminal can hold it.

XML 1.0 (section 2.2) has no notation for most control characters, UTF-8 none for a lone surrogate, HTML
ignores or replaces some, and a terminal obeys them.
"""

from __future__ import annotations

import unicodedata
from typing import Any, TypeVar

Data = TypeVar("Data")
# Lines and columns of a text.
KEPT = "\n\t"
# Control characters, surrogates, and what else ends a line or paragraph.
ESCAPED = ("Cc", "Cs", "Zl", "Zp")


def cleaned(data: Data) -> Data:
    """The same data, with escapes as Python writes them (``\\x1b``) for what is no printable text, lines apart."""
    found: Any = data
    if isinstance(data, str):
        # Also without the type that Ansible gives to what came from a host.
        found = "".join(_shown(character) for character in data)
    elif isinstance(data, dict):
        found = {cleaned(key): cleaned(value) for key, value in data.items()}
    elif isinstance(data, (list, tuple)):
        found = [cleaned(value) for value in data]
    return found  # type: ignore[no-any-return]


def _shown(character: str) -> str:
    if character in KEPT or not (unicodedata.category(character) in ESCAPED or _is_noncharacter(ord(character))):
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _is_noncharacter(code: int) -> bool:
    """Unicode, section 23.7."""
    return code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
