# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Network backend host_routes on a node: plain routes."""

from __future__ import annotations

from typing import Optional

from ansible_collections.binary_cluster.networking.plugins.module_utils._backends.contract import (
    HostBackend,
    Node,
    Path,
)


class HostRoutes(HostBackend):
    """Plain routes. ``gateway`` among the settings is the router to nodes that are not near; it may be empty."""

    name = "host_routes"

    def expected_path(self, peer: Node) -> Optional[Path]:
        next_hop = peer.address if self.near(peer.address) else self.settings.get("gateway", "")
        return Path(next_hop=next_hop) if next_hop else None


HOST_BACKEND = HostRoutes
