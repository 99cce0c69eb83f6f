# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""All artifacts of a run, fetched side by side, with their progress."""

from __future__ import annotations

import concurrent.futures
import os
import time
from collections.abc import Callable, Sequence

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._artifacts.cache import Cache, Stored
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._artifacts.manifest import (
    Artifact,
    ArtifactError,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._artifacts.sources import Say
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._artifacts.work import sweep, tidy_when_stopped

# Seconds.
LONGEST_PAUSE = 60.0
# Shows what is done at a time, a line each, in place of what it showed before.
Live = Callable[[Sequence[str]], None]
# Seconds between two times that this is shown.
REFRESH = 1.0


def foresee(cache: Cache, artifacts: Sequence[Artifact]) -> list[Stored]:
    """All the artifacts, of which none is fetched. Raises one ArtifactError that lists all that no source can serve."""
    found, faults = [], []
    for artifact in artifacts:
        try:
            found.append(cache.foresee(artifact))
        except ArtifactError as error:
            faults.append(str(error))
    if faults:
        raise ArtifactError("\n".join(sorted(faults)))
    return found


class Progress:
    """What is done at a time, said ever more rarely, or shown all the time where it can be."""

    def __init__(self, announce: Say, pause: float, live: Live | None) -> None:
        self.announce = announce
        self.pause = pause
        self.live = live
        self.began = time.monotonic()
        # By artifact: what is done, and since when.
        self.doing: dict[str, tuple[str, float]] = {}

    @property
    def refresh(self) -> float:
        """Seconds until it is told again."""
        return REFRESH if self.live else self.pause

    def say(self, label: str, what: str) -> None:
        """Note what is done for an artifact."""
        self.doing[label] = (what, self.doing.get(label, ("", time.monotonic()))[1])

    def tell(self, quiet: bool) -> None:
        """Show what is done, or announce it where nothing else was said meanwhile: ``quiet``."""
        now = time.monotonic()
        # Threads come and go meanwhile.
        states = [(label, what, now - since) for label, (what, since) in self.doing.copy().items()]
        if self.live:
            self.live([f"{label}: {what} {seconds:.0f} s" for label, what, seconds in states])
        elif quiet and states:
            state = ", ".join(f"{label} {what} {seconds:.0f} s" for label, what, seconds in states)
            self.announce(f"{now - self.began:.0f} s: {state}")
            self.pause = min(2 * self.pause, LONGEST_PAUSE)


def ensure(
    cache: Cache, artifacts: Sequence[Artifact], announce: Say, pause: float = 5.0, live: Live | None = None
) -> list[Stored]:
    """All the artifacts, fetched side by side.

    Progress is announced after ``pause`` seconds, and then ever more rarely; or shown all the time, where it can be.
    Raises one ArtifactError that lists everything that could not be had.
    """
    progress = Progress(announce, pause, live)
    cache.root.mkdir(parents=True, exist_ok=True)
    sweep(cache.root)
    found = {artifact.label: cache.find(artifact)[0] for artifact in artifacts}
    results = {label: stored for label, stored in found.items() if stored}
    fetched, faults = _fetch(cache, [one for one in artifacts if one.label not in results], progress)
    if faults:
        raise ArtifactError("\n".join(sorted(faults)))
    results.update(fetched)
    return [results[artifact.label] for artifact in artifacts]


def _fetch(cache: Cache, missing: Sequence[Artifact], progress: Progress) -> tuple[dict[str, Stored], list[str]]:
    """Artifacts that are not in the cache, by label, and why some could not be had."""
    results: dict[str, Stored] = {}
    faults: list[str] = []

    def work(artifact: Artifact) -> Stored:
        progress.say(artifact.label, "waiting")
        try:
            return cache.fetch(artifact, lambda what: progress.say(artifact.label, what))
        finally:
            progress.doing.pop(artifact.label, None)

    with tidy_when_stopped(), concurrent.futures.ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2)) as pool:
        pending = {pool.submit(work, artifact): artifact for artifact in missing}
        while pending:
            done, _waiting = concurrent.futures.wait(
                pending, timeout=progress.refresh, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in done:
                artifact = pending.pop(future)
                try:
                    results[artifact.label] = stored = future.result()
                except ArtifactError as error:
                    faults.append(str(error))
                except OSError as error:
                    faults.append(f"{artifact.label}: {error}")
                else:
                    count = f"{len(missing) - len(pending)} of {len(missing)}"
                    progress.announce(f"{artifact.label}: {stored.source}, done ({count})")
            progress.tell(quiet=not done)
    return results, faults
