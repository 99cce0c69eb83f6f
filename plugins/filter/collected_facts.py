# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: collected_facts
short_description: Facts of a host that this run collected
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - What M(binary_cluster.networking.host_facts) returned in this run. A fact cache of Ansible also hands out what
    earlier runs collected, which is left out.
options:
  _input:
    description: The variable C(ansible_facts) of the host.
    type: dict
    required: true
"""

EXAMPLES = r"""
---
- name: Collect host facts
  binary_cluster.networking.host_facts:
  when: ansible_facts | binary_cluster.networking.collected_facts | length == 0
"""

RETURN = r"""
_value:
  description: The facts under C(cluster_host), or none.
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import facts as run_facts


def collected_facts(ansible_facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of host_facts among those of a host; none where an earlier run collected them."""
    return run_facts.collected({"ansible_facts": ansible_facts})


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"collected_facts": collected_facts}
