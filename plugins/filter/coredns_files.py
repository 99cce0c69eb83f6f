# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: coredns_files
short_description: All files of CoreDNS from the structure that describes its zones
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Renders the Corefile and the zone files, and says which files of the controller go beside them.
  - The same structure gives the same files, byte for byte.
positional: settings
options:
  _input:
    description: The zones, as C(coredns_zones) of the role coredns describes them.
    type: list
    elements: dict
    required: true
  settings:
    description:
      - What holds for all zones, with C(addresses), C(clients), C(server), C(port), C(cache), C(query_log),
        C(status_address), C(health_port), C(ready_port), C(metrics_port) and C(blocks).
    type: dict
    required: true
  copies:
    description: Further files of the controller to copy, by path in the directory of CoreDNS.
    type: dict
    default: {}
  directory:
    description: Directory of CoreDNS on the host.
    type: path
    default: /etc/coredns
"""

EXAMPLES = r"""
---
- name: Show the Corefile
  ansible.builtin.debug:
    msg: "{{ (coredns_zones | binary_cluster.networking.coredns_files(settings)).files | map(attribute='content') }}"
"""

RETURN = r"""
_value:
  description:
    - C(directories) and C(files) as M(binary_cluster.networking.daemon) takes them, and C(version), a digest over
      all of them, which CoreDNS gives to whoever asks it for V(version.bind).
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._rendering import corefile


def coredns_files(
    zones: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    copies: Mapping[str, str] | None = None,
    directory: str = "/etc/coredns",
) -> dict[str, Any]:
    """The files as the module daemon takes them, and their version."""
    try:
        made = corefile.render(zones, corefile.Settings(**settings), copies or {})
    except (ValueError, KeyError) as error:
        raise AnsibleFilterError(str(error)) from error
    private = {"group": "coredns", "mode": "0640"}
    texts = [{"path": f"{directory}/{path}", "content": text} for path, text in sorted(made.texts.items())]
    copied = [{"path": f"{directory}/{path}", "src": src, **private} for path, src in sorted(made.copies.items())]
    return {
        "directories": [
            {"path": f"{directory}/{name}", "group": "coredns", "mode": "0750"}
            for name in sorted({path.rpartition("/")[0] for path in made.copies})
        ],
        "files": [{**entry, "needs": "reload"} for entry in texts + copied],
        "version": made.version,
    }


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"coredns_files": coredns_files}
