# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""An etcd cluster as its healthy members list it, beside the members that the inventory wants.

All here is pure but :func:`look`, which asks. What may be changed is judged by the members that serve, never by
whether the host at hand reaches a member.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import (
    answers as etcd_answers,
    client as etcd,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

# An alarm that a run can resolve: a member that has only this one is one to work with.
RESOLVABLE = ("NOSPACE",)
# What etcd takes for a quota of 0 (server/storage/quota.go).
DEFAULT_QUOTA = 2 * 1024**3
# etcd's default for --max-request-bytes.
LARGEST_REQUEST = 3 * 1024**2 // 2


class ClusterError(TaskError):
    """The cluster does not allow a change now; the message says what is in the way and what to do."""


@dataclass(frozen=True)
class Wanted:
    """A member of the inventory."""

    name: str
    peer_url: str
    client_url: str


@dataclass(frozen=True)
class View:
    """Members of a cluster, and why those that are not healthy are not, by their id.

    ``serving`` are endpoints of healthy members; without any, the members are what one of them last knew.
    """

    members: tuple[etcd_answers.Member, ...]
    sick: Mapping[str, str]
    inventory: tuple[Wanted, ...]
    serving: tuple[str, ...] = ()
    alarms: tuple[tuple[str, str], ...] = ()
    # Its id in hexadecimal.
    cluster: str = ""

    def wanted(self, member: etcd_answers.Member) -> Wanted | None:
        """The member of the inventory that a listed one is: by its name, or else by where it is reached."""
        named = [one for one in self.inventory if one.name == member.name]
        reached = [one for one in self.inventory if one.peer_url in member.peer_urls]
        return next(iter([*named, *reached]), None)

    def listed(self, own: Wanted) -> etcd_answers.Member | None:
        """How the cluster lists a member of the inventory; None where it does not."""
        return next((one for one in self.members if self.wanted(one) == own), None)

    @property
    def voters(self) -> list[etcd_answers.Member]:
        """Members that vote."""
        return [one for one in self.members if not one.learner]

    @property
    def unknown(self) -> list[etcd_answers.Member]:
        """Members that the inventory does not have."""
        return [one for one in self.members if self.wanted(one) is None]

    def healthy(self, members: Iterable[etcd_answers.Member]) -> list[etcd_answers.Member]:
        """Those that serve."""
        return [one for one in members if one.id not in self.sick]

    def after(self, repaired: Iterable[str], removed: Iterable[str]) -> View:
        """The cluster as check mode has it, once a run has repaired some members, by name, and removed some."""
        gone = [one.id for one in self.unknown if {one.name, one.id} & set(removed)]
        well = [one.id for one in self.members if label(one, self.wanted(one)) in repaired]
        return replace(
            self,
            members=tuple(one for one in self.members if one.id not in gone),
            sick={name: why for name, why in self.sick.items() if name not in (*gone, *well)},
        )


def look(
    client_of: Callable[[Sequence[str]], etcd.Client], endpoints: Sequence[str], inventory: Sequence[Wanted]
) -> View:
    """The cluster behind some endpoints, of which one must answer.

    Raises EtcdError where none does, and ClusterError where they serve several clusters.
    """
    client = client_of(endpoints)
    health = client.each(lambda endpoint: client.health(endpoint, RESOLVABLE))
    serving = [endpoint for endpoint, state in health.items() if state is True]
    asked = client_of(serving or endpoints)
    require_one_cluster(asked.each(asked.cluster_of) if serving else {})
    cluster, members = asked.membership(linearizable=bool(serving))
    alarms = tuple((one["member"], one["alarm"]) for one in asked.alarms()) if serving else ()
    inventory = tuple(inventory)
    urls = {one.id: _reached_at(one, View((), {}, inventory).wanted(one)) for one in members}
    others = client_of(list(dict.fromkeys(url for found in urls.values() for url in found if url not in health)))
    health.update(others.each(lambda endpoint: others.health(endpoint, RESOLVABLE)))
    sick = {}
    for one in members:
        faults = [str(health[url]) for url in urls[one.id] if health[url] is not True]
        if len(faults) == len(urls[one.id]):
            sick[one.id] = faults[0] if faults else "it has never started"
    serving = [endpoint for endpoint, state in health.items() if state is True]
    return View(tuple(members), sick, inventory, tuple(serving), alarms, cluster)


def require_one_cluster(clusters: Mapping[str, str | etcd.EtcdError]) -> None:
    """Refuse to take members of several clusters for one; clusters are given by endpoint. Raises ClusterError."""
    served: dict[str, list[str]] = {}
    for endpoint, found in clusters.items():
        if isinstance(found, str):
            served.setdefault(found, []).append(endpoint)
    if len(served) > 1:
        told = ", and ".join(f"{', '.join(sorted(urls))} of {found}" for found, urls in sorted(served.items()))
        raise ClusterError(
            f"the members serve different clusters: {told}; stop etcd where it is not of your cluster, move the "
            "directory member in its data directory away, and run again to let that member join"
        )


def _reached_at(member: etcd_answers.Member, wanted: Wanted | None) -> list[str]:
    """Where clients reach a member: what it says itself, and where it is to be after its next restart."""
    return list(dict.fromkeys([*member.client_urls, *([wanted.client_url] if wanted else ())]))


def label(member: etcd_answers.Member, wanted: Wanted | None = None) -> str:
    """A member as an operator knows it."""
    return member.name or (wanted.name if wanted else "") or f"{member.id} ({', '.join(member.peer_urls)})"


def quorum(count: int) -> int:
    """How many of this many voters must agree."""
    return count // 2 + 1


def _sick(view: View, members: Iterable[etcd_answers.Member]) -> str:
    """Members that are not healthy, with the reason and what to do."""
    sentences = []
    for one in members:
        if one.id not in view.sick:
            continue
        name, wanted = label(one, view.wanted(one)), view.wanted(one)
        sentence = f"{name} is not healthy ({view.sick[one.id]})"
        if wanted is None:
            sentence += (
                "; it is a member of the cluster and not of the inventory: start it, or, if it is gone for good, "
                f"set etcd_remove_members: [{one.name or one.id}]"
            )
        sentences.append(sentence)
    return "; ".join(sentences)


def require_restart(view: View, own: etcd_answers.Member) -> None:
    """Refuse to restart a member that the cluster could miss. Raises ClusterError.

    One that serves nobody itself takes nothing away: that is what its restart is to repair.
    """
    others = [one for one in view.voters if one != own]
    serving = view.healthy(others)
    if own.learner or len(serving) == len(others):
        return
    if own.id in view.sick and (not serving or len(serving) >= quorum(len(view.voters))):
        return
    raise ClusterError(
        f"not touched, because the cluster would lose its quorum or its spare member: {_sick(view, others)}. "
        "Repair that member, then run again"
    )


def require_quorum(view: View, what: str, counted: Sequence[etcd_answers.Member]) -> None:
    """Refuse a change of the members without enough of them to agree to it. Raises ClusterError."""
    needed, healthy = quorum(len(view.voters)), len(view.healthy(counted))
    if healthy < needed:
        raise ClusterError(
            f"{what}, because {needed} of the {len(view.voters)} members that vote must be healthy, and {healthy} are: "
            f"{_sick(view, view.voters)}. Repair them, then run again"
        )


def require_join(view: View, own: etcd_answers.Member | None) -> None:
    """Refuse to let a member join, or take its own place again, unless the members that stay are a quorum."""
    stay = [one for one in view.voters if one != own]
    require_quorum(view, "not joined", stay)
    learner = next((one for one in view.members if one.learner and one != own), None)
    if learner:
        raise ClusterError(
            f"not joined: {label(learner, view.wanted(learner))} is a learner, and etcd takes one at a time; "
            "run for that member first, or remove it with etcdctl member remove"
        )
    gone = [one for one in view.unknown if one != own]
    if view.healthy(gone) != gone:
        raise ClusterError(f"not joined: {_sick(view, gone)}")


def named(view: View, names: Iterable[str]) -> list[etcd_answers.Member]:
    """Members that a variable names to be removed and the cluster has. Raises ClusterError for one of the inventory."""
    found = []
    for name in names:
        for one in view.members:
            if name not in (one.name, one.id):
                continue
            if view.wanted(one) is not None:
                raise ClusterError(
                    f"etcd_remove_members: {name}: it is in the inventory; take it out of group etcd, or of this list"
                )
            found.append(one)
    return found


def removable(view: View, names: Iterable[str]) -> list[etcd_answers.Member]:
    """Members that are named, and that the others can do without now. Raises ClusterError where one must stay."""
    found = named(view, names)
    if found:
        names = ", ".join(label(one) for one in found)
        require_quorum(view, f"etcd_remove_members: {names}: not removed", view.voters)
        stay = [one for one in view.voters if one not in found]
        if len(view.healthy(stay)) < quorum(len(stay)):
            raise ClusterError(
                f"etcd_remove_members: {names}: not removed, because the {len(stay)} members that stay would be no "
                f"quorum: {_sick(view, stay)}. Repair them, then run again"
            )
    return found


def strangers(view: View, removed: Iterable[str]) -> str:
    """A sentence that names the members which the inventory does not have; empty without any."""
    left = [one for one in view.unknown if not {one.name, one.id} & set(removed)]
    if not left:
        return ""
    names = ", ".join(f"{label(one)} ({', '.join(one.peer_urls)})" for one in left)
    one = left[0].name or left[0].id
    return (
        f"groups.etcd: the cluster has members that the inventory does not have: {names}. They stay and vote; "
        f"put them into group etcd, or set etcd_remove_members: [{one}{', ...' if len(left) > 1 else ''}]"
    )


def moving(view: View) -> list[str]:
    """Names of the members whose running process still serves at another address than the inventory's."""
    found = []
    for one in view.voters:
        wanted = view.wanted(one)
        if wanted is None or not one.client_urls or wanted.peer_url in one.peer_urls:
            continue
        if _host(wanted.peer_url) not in {_host(url) for url in (*one.peer_urls, *one.client_urls)}:
            found.append(wanted.name)
    return found


def require_one_move(view: View) -> None:
    """Refuse new addresses of several members at once. Raises ClusterError.

    A member's certificates name its addresses, and are the new ones from the moment they are written.
    """
    names = moving(view)
    if len(names) > 1:
        listed = {one.name: _host(one.peer_urls[0]) for one in view.voters if one.peer_urls}
        told = ", ".join(f"{name} (now at {listed.get(name, 'another address')})" for name in names)
        raise ClusterError(
            f"etcd_members: {told}: the members' addresses change one at a time, so that the others stay a quorum; "
            f"change that of {names[0]} alone, run, then that of the next"
        )


def _host(url: str) -> str:
    return urllib.parse.urlsplit(url).hostname or ""


def fits(db_size: int, quota: int) -> bool:
    """Whether a database has room under a quota for any request, which is more than not to exceed it.

    Both are in bytes; a quota of 0 is etcd's default, and below 0 there is none.
    """
    return quota < 0 or db_size + LARGEST_REQUEST <= (quota or DEFAULT_QUOTA)
