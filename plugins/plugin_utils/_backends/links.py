# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Links that network backends make."""

from __future__ import annotations

import re

# Links that the collection or a CNI plugin made: their addresses are the pod network's own.
OWN_LINKS = re.compile(r"(cni\d*|flannel.*|vxlan-mesh|cali.*|vxlan\.calico|tunl0|veth.*|coredns0|lo)")
