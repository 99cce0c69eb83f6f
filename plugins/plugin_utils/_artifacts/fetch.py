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


def ensure(
    cache: Cache, artifacts: Sequence[Artifact], announce: Say, pause: float = 5.0, live: Live | None = None
) -> list[Stored]:
    """All the artifacts, fetched side by side.

    Progress is announced after ``pause`` seconds, and then ever more rarely; or shown all the time, where it can be.
    Raises one ArtifactError that lists everything that could not be had.
    """
    began = time.monotonic()
    doing: dict[str, tuple[str, float]] = {}
    faults: list[str] = []
    results: dict[str, Stored] = {}

    def work(artifact: Artifact) -> Stored:
        def say(what: str) -> None:
            doing[artifact.label] = (what, doing.get(artifact.label, ("", time.monotonic()))[1])

        say("waiting")
        try:
            return cache.fetch(artifact, say)
        finally:
            doing.pop(artifact.label, None)

    cache.root.mkdir(parents=True, exist_ok=True)
    sweep(cache.root)
    missing = []
    for artifact in artifacts:
        stored, _reasons = cache.find(artifact)
        if stored:
            results[artifact.label] = stored
        else:
            missing.append(artifact)
    with tidy_when_stopped(), concurrent.futures.ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2)) as pool:
        pending = {pool.submit(work, artifact): artifact for artifact in missing}
        while pending:
            done, _waiting = concurrent.futures.wait(
                pending, timeout=REFRESH if live else pause, return_when=concurrent.futures.FIRST_COMPLETED
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
                    announce(f"{artifact.label}: {stored.source}, done ({count})")
            now = time.monotonic()
            # Threads come and go meanwhile.
            states = [(label, what, now - since) for label, (what, since) in doing.copy().items()]
            if live:
                live([f"{label}: {what} {seconds:.0f} s" for label, what, seconds in states])
            elif not done and states:
                state = ", ".join(f"{label} {what} {seconds:.0f} s" for label, what, seconds in states)
                announce(f"{now - began:.0f} s: {state}")
                pause = min(2 * pause, LONGEST_PAUSE)
    if faults:
        raise ArtifactError("\n".join(sorted(faults)))
    return [results[artifact.label] for artifact in artifacts]
