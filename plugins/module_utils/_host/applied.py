# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""What was applied last, kept in the install record.

Uninstalling must not depend on variables: they may have been edited, or be gone with their group. And a later run
finds here which hosts there were.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import (
    STATE_DIRECTORY,
    Ledger,
)

# Kinds of the record's entries: name of a setting -> its value, and name of a host -> its address.
SETTINGS = "applied"
MEMBERS = "members"


def note(ledger: Ledger, kind: str, values: Mapping[str, Any]) -> None:
    """Have the record hold these values of a kind and no others."""
    ledger.forget(kind, *(name for name in ledger.names(kind) if name not in values))
    for name, value in values.items():
        ledger.replace(kind, name, value)


def forget(ledger: Ledger) -> None:
    """Drop all of it, once nothing is applied any more."""
    note(ledger, SETTINGS, {})
    note(ledger, MEMBERS, {})


def members(directory: str = STATE_DIRECTORY) -> dict[str, dict[str, str]]:
    """Addresses of the hosts that had a component too when it was applied last, by component and name."""
    found = {}
    for path in sorted(glob.glob(f"{directory}/*.json")):
        try:
            with open(path, encoding="utf-8") as stream:
                noted = json.load(stream).get(MEMBERS)
        except (OSError, ValueError, AttributeError):
            continue  # a damaged record is reported by the module that needs it
        if noted:
            found[os.path.basename(path)[:-5]] = dict(noted)
    return found
