# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: quoted
short_description: A value as the reader of a file takes it
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Writes a value bare where it means itself there, and in quotes where it needs them.
  - A value that the format cannot hold is refused, with the name of its variable and the character. Line breaks and
    control characters always are.
positional: form, variable
options:
  _input:
    description: The value. A list becomes one text with commas between its items, which can have none.
    type: raw
    required: true
  form:
    description:
      - What the value is written to.
      - C(unit) is a setting of a systemd unit, C(unit_path) a path in it, C(unit_argument) an argument in it.
      - C(environment) is an environment file of systemd, and C(environment_name) the name of a variable in it.
      - C(bird) and C(nft_string) are strings, C(bird_word) and C(nft) addresses and numbers.
    type: str
    required: true
    choices:
      - bird
      - bird_word
      - comment
      - corefile
      - environment
      - environment_name
      - keepalived
      - nft
      - nft_string
      - nginx
      - shell
      - unit
      - unit_argument
      - unit_path
      - yaml
  variable:
    description: Name of the variable, for the message.
    type: str
    required: true
  before:
    description: What the same word begins with, such as C(--name=).
    type: str
    default: ""
  always:
    description: Takes quotes even where they are not needed.
    type: bool
    default: false
"""

EXAMPLES = r"""
---
- name: Show an argument with a percent sign as a unit has it
  ansible.builtin.debug:
    msg: "ExecStart=/usr/bin/printf {{ '100%' | binary_cluster.networking.quoted('unit_argument', 'share') }}"
"""

RETURN = r"""
_value:
  description: The text to write.
  type: str
"""

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._rendering import quoting


def quoted(value: Any, form: str, variable: str, before: str = "", always: bool = False) -> str:
    """A value as a format has it. Raises AnsibleFilterError where the format cannot hold it."""
    try:
        return quoting.quoted(value, form, variable, before, always)
    except quoting.QuoteError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"quoted": quoted}
