# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""A member of etcd bootstraps a cluster or joins one, and is taken out again where it does not catch up."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import (
    answers as etcd_answers,
    client as etcd,
    cluster as etcd_cluster,
    process as etcd_process,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd.member_plan import (
    BOOTSTRAP,
    Here,
    MemberError,
    Plan,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import systemd
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.waiting import Waiter


def initial_cluster(here: Here, members: Sequence[etcd_answers.Member]) -> dict[str, Sequence[str]]:
    """Peer URLs by name of the members of a cluster that exists."""
    view = etcd_cluster.View(tuple(members), {}, tuple(here.inventory))
    return {
        here.own.name
        if here.own.peer_url in one.peer_urls
        else etcd_cluster.label(one, view.wanted(one)): one.peer_urls
        for one in members
    }


def begin(here: Here, action: str) -> None:
    """Do what may happen to all members at once."""
    params, cluster = here.params, None
    if action == BOOTSTRAP:
        cluster = {one.name: (one.peer_url,) for one in here.inventory}
    with etcd_process.bootstrap(params["bootstrap_file"], cluster, "new", params["token"]):
        here.process.start()
        try:
            here.wait_until_healthy("after its start")
        except etcd_process.ProcessError as error:
            # One that had a leader may have voted, and others may count on what it has.
            if action != BOOTSTRAP or here.process.has_led():
                raise
            take_back(here)
            raise MemberError(
                f"{error}\nWhat it began was removed, so that the next run can bootstrap the cluster"
            ) from error


def take_back(here: Here) -> None:
    """Stop a member that this very call started for the first time, and remove the data that it began."""
    here.process.stop()
    if here.has_data:
        shutil.rmtree(here.data)


def join(here: Here, made: Plan) -> list[str]:
    """Join the cluster as a learner, catch up, and vote; return what was done."""
    view, own, params, done = made.view, made.own, here.params, []
    if view is None:
        raise MemberError(
            f"this member is empty, and no other member answers to let it join: {here.silence}. "
            "If there is a cluster, start its members first; if there is none, remove the directory member in "
            "the data directories of the others"
        )
    client, fresh = here.client(view.serving), not here.has_data
    if own and own.name and fresh:
        client.remove_member(own.id)
        done.append(f"remove member {own.name}, whose data is gone")
        own = None
    members: Sequence[etcd_answers.Member] = view.members
    if own is None:
        members = Waiter(params["timeout"]).retry(lambda: add(client, here.own.peer_url), etcd.EtcdError)
        own = next(one for one in members if here.own.peer_url in one.peer_urls)
    cluster = initial_cluster(here, members) if fresh else None
    try:
        with etcd_process.bootstrap(params["bootstrap_file"], cluster, "existing", params["token"]):
            (here.process.restart if "restart" in made.due else here.process.start)()
            if own.learner:
                here.process.wait("not caught up", lambda: promote(client, own.id))
            here.wait_until_healthy("after it joined")
    except (etcd_process.ProcessError, systemd.ServiceError) as error:
        raise MemberError(f"{error}{leave(here, client, own, fresh)}") from error
    return [*done, "join"]


def add(client: etcd.Client, peer_url: str) -> list[etcd_answers.Member]:
    """Add a learner, unless an answer was lost and it is there; return all members."""
    members = client.members()
    return members if any(peer_url in one.peer_urls for one in members) else client.add_learner(peer_url)


def promote(client: etcd.Client, member_id: str) -> None:
    """Let a learner vote. Raises EtcdError while it has not caught up."""
    try:
        client.promote_member(member_id)
    except etcd.EtcdError:
        # An answer that was lost: it votes already.
        if any(one.id == member_id and not one.learner for one in client.members()):
            return
        raise


def leave(here: Here, client: etcd.Client, own: etcd_answers.Member, fresh: bool) -> str:
    """Take a learner that did not catch up out of the cluster again; return a sentence about it."""
    try:
        if not any(one.id == own.id and one.learner for one in client.members()):
            return ""
        client.remove_member(own.id)
    except etcd.EtcdError as error:
        return f"\nIt is still a learner of the cluster, which did not take it out again: {error}"
    if fresh:
        take_back(here)
    return "\nIt was taken out of the cluster again; the other members are as they were"
