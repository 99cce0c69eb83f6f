# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""The base of all errors that a task can end with."""

from __future__ import annotations


class TaskError(Exception):
    """Why a task cannot be done, as its user reads it: ``<where>: <what>. <remedy>``.

    ``where`` is the option, file, unit or member that it is about, ``what`` is wrong there, and ``remedy`` is what to
    do. An error whose ``what`` says all of it needs no more.
    """

    def __init__(self, what: str, where: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.where = where
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.what}{f'. {self.remedy}' if self.remedy else ''}"
