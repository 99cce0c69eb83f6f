# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Facts of a host that this very run collected.

With a fact cache (``fact_caching = jsonfile``) Ansible keeps all that modules return as facts, and hands it to later
runs as if it was theirs. What a host looked like then is not what it looks like now, so such facts count as none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible import constants

NAME = "cluster_host"
# Key of the facts with the run that collected them.
RUN = "run"


def this_run() -> str:
    """What tells this run of Ansible from every other one: the name of its temporary directory on the controller."""
    return str(constants.DEFAULT_LOCAL_TMP)


def collected(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Facts from module host_facts among the variables of a host; none where an earlier run collected them."""
    facts = (variables.get("ansible_facts") or {}).get(NAME) or {}
    return dict(facts) if facts.get(RUN, this_run()) == this_run() else {}
