# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Waiting for what may take its time, never for longer than a task's user allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Waiter:
    """Looks again and again, with a pause in between, until a deadline.

    A loop over it ends after the first look that was over only past the deadline: what is waited for gets its whole
    time, and is looked at once where there is none.
    """

    def __init__(self, seconds: float, pause: float = 0.1) -> None:
        self.seconds = seconds
        self.pause = pause
        self.began = time.monotonic()
        self.until = self.began + seconds

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    @property
    def over(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() > self.until

    def extend(self) -> None:
        """Begin the time to the deadline again, such as after a restart of what is waited for."""
        self.until = time.monotonic() + self.seconds

    def __iter__(self) -> Iterator[None]:
        while True:
            yield
            if self.over:
                return
            time.sleep(self.pause)

    def until_done(self, problem: Callable[[], str]) -> str:
        """Wait until there is no problem; return the one that is there at the deadline, or an empty text."""
        found = ""
        for _look in self:
            found = problem()
            if not found:
                break
        return found

    def retry(self, ask: Callable[[], T], refused: type[Exception], given_up: Callable[[], bool] = lambda: False) -> T:
        """What ``ask`` returns once it is not refused; the refusal is raised at the deadline, or once given up."""
        while True:
            try:
                return ask()
            except refused:
                if self.over or given_up():
                    raise
            time.sleep(self.pause)
