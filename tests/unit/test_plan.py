from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import changes as plan_changes
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan.changes import Change


@dataclass(frozen=True)
class Thing:
    """An item whose lines say what is done to it."""

    name: str
    program: str = "ip"

    def put(self, before: Thing | None) -> list[str]:
        return [f"put {self.name}" + (f" over {before.name}" if before else "")]

    def drop(self) -> list[str]:
        return [f"drop {self.name}"]

    def text(self) -> str:
        return f"thing {self.name}"


class Kernel:
    """Keeps what it is told, and refuses one line."""

    def __init__(self, refused: str = "", counts: bool = True) -> None:
        self.refused = refused
        self.counts = counts
        self.batches: list[tuple[str, list[str], bool]] = []

    def change(self, lines: Sequence[str], program: str, force: bool = False) -> None:
        self.batches.append((program, list(lines), force))
        if self.refused in lines:
            raise iproute.BatchError(program, "no", list(lines).index(self.refused) if self.counts else None)


A, B, C, D = (Thing(name) for name in "abcd")
FDB = Thing("f", "bridge")


def test_a_change_knows_its_lines_its_undoing_and_its_sentence() -> None:
    assert Change(None, A, "here").lines() == ["put a"]
    assert Change(A, B, "here").lines() == ["put b over a"]
    assert Change(A, None, "here").lines() == ["drop a"]
    assert Change(A, B, "here").undone() == Change(B, A, "here")
    assert [Change(None, A, "").text(), Change(A, B, "").text(), Change(A, None, "").text()] == [
        "add thing a",
        "change thing b",
        "remove thing a",
    ]


def test_what_the_kernel_does_by_itself_needs_no_line_but_its_undoing_does() -> None:
    implied = Change(A, None, "here", implied=True)
    assert implied.lines() == []
    assert implied.undone().lines() == ["put a"]


def test_lines_of_one_program_in_a_row_are_one_batch() -> None:
    kernel = Kernel()
    plan_changes.apply(kernel, [Change(None, one, "") for one in (A, B, FDB, C)])
    assert kernel.batches == [("ip", ["put a", "put b"], False), ("bridge", ["put f"], False), ("ip", ["put c"], False)]


def test_a_batch_ends_with_the_deletion_of_a_link() -> None:
    steps = [plan_changes.Step(0, "ip", line) for line in ("link delete dev x", "link add x", "link set dev x up")]
    assert [[step.line for step in batch] for batch in plan_changes.batches(steps)] == [
        ["link delete dev x"],
        ["link add x", "link set dev x up"],
    ]


def test_a_refused_change_undoes_those_before_it_the_last_first() -> None:
    kernel = Kernel(refused="put d over c")
    changes = [Change(None, A, "p[0]"), Change(B, None, "p[1]"), Change(None, FDB, "p[2]"), Change(C, D, "p[3]")]
    with pytest.raises(plan_changes.PlanError) as caught:
        plan_changes.apply(kernel, [*changes, Change(None, A, "p[4]")])
    assert kernel.batches[3:] == [("bridge", ["drop f"], True), ("ip", ["put b", "drop a"], True)]
    assert str(caught.value) == "p[3]: change thing d: no (at: put d over c)"


def test_what_came_along_with_a_change_is_undone_with_it_only() -> None:
    changes = [
        Change(A, None, "", implied=True),
        Change(B, None, ""),
        Change(C, None, "", implied=True),
        Change(D, None, ""),
    ]
    kernel = Kernel(refused="drop d")
    with pytest.raises(plan_changes.PlanError):
        plan_changes.apply(kernel, changes)
    assert kernel.batches[1:] == [("ip", ["put b", "put a"], True)]


def test_where_it_is_not_known_how_far_a_batch_came_all_of_it_is_undone() -> None:
    kernel = Kernel(refused="put b", counts=False)
    with pytest.raises(plan_changes.PlanError) as caught:
        plan_changes.apply(kernel, [Change(None, one, "") for one in (A, B, C)])
    assert kernel.batches[1:] == [("ip", ["drop c", "drop b", "drop a"], True)]
    assert str(caught.value) == "no"


def test_undoing_goes_on_after_what_the_kernel_refuses() -> None:
    class Stubborn(Kernel):
        def change(self, lines: Sequence[str], program: str, force: bool = False) -> None:
            super().change(lines, program, force)
            if program == "bridge":
                raise iproute.BatchError(program, "not that", None)

    kernel = Stubborn()
    plan_changes.undo(kernel, [Change(None, A, ""), Change(None, FDB, "")])
    assert kernel.batches == [("bridge", ["drop f"], True), ("ip", ["drop a"], True)]
