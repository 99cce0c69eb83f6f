# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Variables of a host that declarations depend on, in a lookup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleUndefinedVariable


class HostVariables(Mapping[str, Any]):
    """Those that are set, each rendered when it is read.

    What is made of a variable that is missing is missing too, as for the filter default.
    """

    def __init__(self, variables: Mapping[str, Any], templar: Any) -> None:
        self._variables, self._templar = variables, templar

    def __getitem__(self, name: str) -> Any:
        try:
            return self._templar.template(self._variables[name])
        except AnsibleUndefinedVariable as error:
            raise KeyError(name) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)
