# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""A plan: the changes that lead from what the kernel has to what is wanted, carried out all or none.

A plan is a list of :class:`Change`, each with the item before and after. Its lines for the
kernel, their undoing, the diff and the sentences for the user all come from these two.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

State = TypeVar("State")


class Item(Protocol):
    """Something the kernel holds: a link, an address, an FDB entry, a neighbour, a route."""

    @property
    def program(self) -> str:
        """Program that takes the item's lines."""

    def put(self, before: Any) -> list[str]:
        """Lines that make the item, in place of ``before`` where that is not None."""

    def drop(self) -> list[str]:
        """Lines that remove the item."""

    def text(self) -> str:
        """The item in a diff, without an end of line."""


@dataclass(frozen=True)
class Change:
    """One item that differs.

    ``where`` names the option that asks for it. An ``implied`` change is one the kernel makes by
    itself with the next change that is not: deleting a link takes its routes along. It needs no
    line, but undoing it does. One with the same item before and after stands for what the next change
    leaves alone, and its undoing does not: a link that is set down loses its IPv6 addresses.
    """

    before: Any
    after: Any
    where: str
    implied: bool = False

    @property
    def item(self) -> Any:
        return self.before if self.after is None else self.after

    def lines(self) -> list[str]:
        """Lines that carry the change out."""
        if self.implied:
            return []
        return list(self.before.drop() if self.after is None else self.after.put(self.before))

    def undone(self) -> Change:
        """The change that takes this one back."""
        return Change(self.after, self.before, self.where)

    def text(self) -> str:
        """The change as a sentence."""
        verb = "add" if self.before is None else "remove" if self.after is None else "change"
        return f"{verb} {self.item.text().splitlines()[0].rstrip(' {')}"


class Kernel(Protocol):
    """Takes lines for a program; raises iproute.BatchError."""

    def change(self, lines: Sequence[str], program: str, force: bool = False) -> None: ...


class PlanError(TaskError):
    """A change was refused, and what was begun was taken back as far as the kernel let it."""

    def __init__(self, change: Change | None, line: str, words: str) -> None:
        place = f"{change.where}: {change.text()}: " if change else ""
        super().__init__(f"{place}{words}{f' (at: {line})' if line else ''}")


@dataclass(frozen=True)
class Step:
    """A line, and the number of the change it belongs to."""

    number: int
    program: str
    line: str


def apply(kernel: Kernel, changes: Sequence[Change]) -> None:
    """Carry out a plan. On a failure take back what was begun and raise PlanError."""
    steps = [
        Step(number, change.item.program, line) for number, change in enumerate(changes) for line in change.lines()
    ]
    touched: set[int] = set()
    for batch in batches(steps):
        try:
            kernel.change([step.line for step in batch], batch[0].program)
        except iproute.BatchError as error:
            # Where it is not known how far a batch came, all of it counts as begun.
            done = len(batch) if error.done is None else error.done
            touched |= {step.number for step in batch[:done]}
            failed = batch[done] if done < len(batch) else None
            undo(kernel, begun(changes, touched))
            change = changes[failed.number] if failed else None
            raise PlanError(change, failed.line if failed else "", error.words) from error
        touched |= {step.number for step in batch}


def converge(
    kernel: Kernel, changes: Sequence[Change], observe: Callable[[], State], plan: Callable[[State], list[Change]]
) -> State:
    """Carry out a plan, and see that nothing is left of it to do; return the state after. Raises PlanError."""
    apply(kernel, changes)
    after = observe()
    rest = plan(after)
    if rest:
        undo(kernel, changes)
        raise PlanError(None, "", f"{rest[0].where}: the kernel refused nothing, but lacks: {rest[0].text()}")
    return after


def undo(kernel: Kernel, changes: Sequence[Change]) -> None:
    """Take back changes, the last first. Whether that led all the way back, the kernel's state tells."""
    steps = [
        Step(number, back.item.program, line)
        for number, back in enumerate(change.undone() for change in reversed(changes))
        for line in back.lines()
    ]
    for batch in batches(steps):
        with contextlib.suppress(iproute.BatchError):
            kernel.change([step.line for step in batch], batch[0].program, force=True)


def begun(changes: Sequence[Change], touched: set[int]) -> list[Change]:
    """The changes that were begun, with the implied ones that stand before them."""
    found: list[Change] = []
    implied: list[Change] = []
    for number, change in enumerate(changes):
        implied.append(change)
        if not change.implied:
            found += implied if number in touched else []
            implied = []
    return found


def batches(steps: Iterable[Step]) -> Iterator[list[Step]]:
    """Runs of steps for one process each.

    A batch ends where the program changes, and with the deletion of a link: iproute2 5.0 remembers
    the index of a link by its name, and takes the old one for a link made anew.
    """
    batch: list[Step] = []
    for step in steps:
        if batch and (step.program != batch[0].program or batch[-1].line.startswith("link delete ")):
            yield batch
            batch = []
        batch.append(step)
    if batch:
        yield batch
