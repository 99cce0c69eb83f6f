# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Keys of etcd as requests have them: in base64, and a prefix as a range."""

from __future__ import annotations

import base64
import re

# A place among the keys, as a path from which nothing leads out: not to be told from another's keys otherwise.
PLACE = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._-]+)+")


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def never(key: str) -> dict[str, str]:
    """A comparison that no key passes, in base64: versions begin with 1, and that of no key is 0."""
    return {"target": "VERSION", "key": key, "result": "LESS", "version": "0"}


def end_of(prefix: str) -> str:
    """The first key after all that begin with a prefix."""
    return encode(prefix[:-1] + chr(ord(prefix[-1]) + 1))


def span(prefix: str) -> tuple[str, str]:
    """All keys with a prefix, as the first of them and the first after them, in base64."""
    return encode(prefix), end_of(prefix)
