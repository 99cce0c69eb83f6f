# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This doc fragment is PRIVATE to the collection.

from __future__ import annotations


class ModuleDocFragment:
    """How a module reaches Calico's datastore."""

    DOCUMENTATION = r"""
requirements:
  - calicoctl on the target
options:
  calicoctl:
    description: The program C(calicoctl) on the target.
    type: path
    default: /usr/local/bin/calicoctl
  config:
    description: Its file that says where the datastore is.
    type: path
    default: /etc/calico/calicoctl.cfg
  timeout:
    description: Seconds to wait for an answer to one command.
    type: int
    default: 20
"""
