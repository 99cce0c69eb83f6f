# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This doc fragment is PRIVATE to the collection.

from __future__ import annotations


class ModuleDocFragment:
    """What every module of this collection promises."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in
      diff mode.
    support: full
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation
      indicates no change.
    support: full
requirements:
  - Python 3.9 or newer on the target
  - root on the target
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
    details:
      - This module does not modify the target.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in
      diff mode.
    support: N/A
    details:
      - This module does not modify the target.
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation
      indicates no change.
    support: full
    details:
      - This module does not modify the target.
requirements:
  - Python 3.9 or newer on the target
"""

    # Of modules that `module_defaults` reach as group/binary_cluster.networking.networking.
    ACTIONGROUP_NETWORKING = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/binary_cluster.networking.networking) in C(module_defaults) to set defaults for this
      module.
    support: full
    membership:
      - binary_cluster.networking.networking
"""

    CONTROLLER = r"""
options: {}
attributes:
  action:
    description: Runs on the controller, before or instead of a module on the target.
    support: full
"""
