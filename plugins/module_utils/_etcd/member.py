# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""A member of etcd, brought to where the inventory has it: what differs, and how each difference is dealt with.

What may happen to all members at once is done at once. The rest is due, one member at a time, and each step is judged
by the members that serve just before it.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import (
    client as etcd,
    cluster as etcd_cluster,
    data as etcd_data,
    process as etcd_process,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd.cluster import Wanted
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import run_lock, systemd
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule

FOUND = "found the cluster"


class MemberError(Exception):
    """The member cannot be brought to the wanted state; the message says what is in the way."""


@dataclass
class Plan:
    """What can be done at once, what is due one member at a time, and the cluster it was judged by.

    ``view`` is None where no member answers.
    """

    view: etcd_cluster.View | None = None
    own: etcd.Member | None = None
    now: list[str] = field(default_factory=list)
    due: list[str] = field(default_factory=list)


class Here:
    """The member on this host, the members of the inventory, and how to ask them."""

    def __init__(self, module: HostModule) -> None:
        self.module = module
        self.params = module.params
        self.inventory = [Wanted(**member) for member in self.params["members"]]
        named = [one for one in self.inventory if one.name == self.params["name"]]
        if not named:
            names = ", ".join(one.name for one in self.inventory)
            raise MemberError(f"members: {names}: {self.params['name']} is not among them")
        self.own = named[0]
        self.data = os.path.join(self.params["data_directory"], "member")
        self.process = etcd_process.Process(module.run_command, self.params["timeout"], self.params["data_directory"])
        # A host that was never configured has no certificate to ask the others with.
        self.silence = "there is no client certificate"
        self.can_ask = os.path.exists(self.params["client_cert"])

    @property
    def has_data(self) -> bool:
        """Whether this host holds a member's data, whatever else is in the directory."""
        return os.path.isdir(self.data)

    def client(self, endpoints: Sequence[str], timeout: float = 5) -> etcd.Client:
        """A client of some endpoints, under this host's certificate."""
        return etcd.Client(
            endpoints, self.params["ca_cert"], self.params["client_cert"], self.params["client_key"], timeout
        )

    def look(self) -> etcd_cluster.View | None:
        """The cluster as its members list it; None where none answers.

        The process here may serve at other URLs than the inventory's, and knows where the others do.
        """
        if not self.can_ask:
            return None
        urls = self.process.urls("ETCD_LISTEN_CLIENT_URLS") if self.process.running else []
        inventory = [one.client_url for one in self.inventory if one != self.own or self.process.running]
        endpoints = [*urls, *inventory, *self.params["endpoints"]]
        try:
            return etcd_cluster.look(self.client, list(dict.fromkeys(endpoints)), self.inventory)
        except etcd.EtcdError as error:
            self.silence = str(error)
            return None

    def ahead(self, view: etcd_cluster.View) -> etcd_cluster.View:
        """The cluster by which a change is judged: in check mode as the steps before it will have left it."""
        if not self.module.check_mode or self.params["state"] != "current":
            return view
        return view.after(self.params["repaired_members"], self.params["remove_members"])

    def wait_until_healthy(self, since: str) -> None:
        """Wait until this member answers after a read that needs the quorum."""
        client = self.client([self.own.client_url], timeout=2)
        self.process.wait(f"not healthy {since}", lambda: client.health(self.own.client_url, etcd_cluster.RESOLVABLE))


def plan(here: Here) -> Plan:
    """Compare the member with the inventory and with what the cluster lists."""
    made = Plan(here.look())
    running, params = here.process.running, here.params
    if made.view:
        made.own = made.view.listed(here.own)
        if etcd_cluster.named(made.view, params["remove_members"]):
            made.due.append("remove")
    if not running and not here.has_data:
        if params["found"]:
            made.now, made.due = [FOUND], []
        else:
            made.due.append("rejoin" if made.own and made.own.name else "join")
        return made
    require_own_data(here, made.view, made.own)
    if made.own and made.own.learner:
        made.due.append("join")
    if made.own and made.own.peer_urls != (here.own.peer_url,):
        made.due.append("readdress")
    if running and params["restart_required"]:
        made.due.append("restart")
    if resolvable_alarms(here, made):
        made.due.append("disarm")
    if not running and not {"join", "readdress"} & set(made.due):
        made.now.append("start")
    return made


def require_own_data(here: Here, view: etcd_cluster.View | None, own: etcd.Member | None) -> None:
    """Refuse data of another cluster or member, or of a member that the cluster does not list any more.

    Raises MemberError. etcd would start on them, and serve them: beside the cluster, or never.
    """
    if view is None or not view.serving or not here.has_data:
        return
    names = ", ".join(sorted(etcd_cluster.label(one, view.wanted(one)) for one in view.members))
    found = etcd_data.identity(here.data)
    if found and found.cluster != view.cluster:
        told = f"{here.data} holds data of another cluster ({found.cluster}) than that of {names} ({view.cluster})"
    elif found and found.member not in {one.id for one in view.members}:
        told = f"the cluster of {names} has removed member {found.member}, and {here.data} still holds its data"
    elif found and own is not None and found.member != own.id:
        told = f"{here.data} holds data of another member ({found.member}) of {names} than this one ({own.id})"
    elif own is None:
        told = f"the cluster of {names} does not list this member, and {here.data} holds data of one"
    else:
        return
    raise MemberError(
        f"{told}; {'stop etcd here, ' if here.process.running else ''}move that directory away, "
        "and run again to let this member join"
    )


def resolvable_alarms(here: Here, made: Plan) -> bool:
    """Whether this member has an alarm NOSPACE although its database fits. Raises MemberError where it does not."""
    if not made.view or not made.own or (made.own.id, "NOSPACE") not in made.view.alarms:
        return False
    urls = here.process.urls("ETCD_LISTEN_CLIENT_URLS") or [here.own.client_url]
    client = here.client(urls)
    state = client.each(client.status)
    sizes = [one.db_size for one in state.values() if not isinstance(one, etcd.EtcdError)]
    if not sizes or etcd_cluster.fits(sizes[0], here.params["quota"]):
        return True
    raise MemberError(
        f"etcd_quota_backend_bytes: {here.params['quota']}: etcd takes no writes (alarm NOSPACE), and its database has "
        f"{sizes[0]} bytes; set a larger quota, or make room with etcdctl compact and etcdctl defrag, then run again"
    )


def check(here: Here) -> None:
    """Refuse what cannot be done, and warn of what is worth knowing."""
    lock = run_lock.held_by_another("")
    if lock and not here.module.check_mode:
        raise MemberError(lock)
    names = here.params["remove_members"]
    view = once_allowed(here, Plan(here.look()), lambda seen, _own: etcd_cluster.removable(seen, names)).view
    if view is None:
        return
    etcd_cluster.require_one_move(view)
    require_own_data(here, view, view.listed(here.own))
    resolvable_alarms(here, Plan(view, view.listed(here.own)))
    strangers = etcd_cluster.strangers(view, names)
    if strangers:
        here.module.warn(strangers)


def initial_cluster(here: Here, members: Sequence[etcd.Member]) -> dict[str, Sequence[str]]:
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
    if action == FOUND:
        cluster = {one.name: (one.peer_url,) for one in here.inventory}
    with etcd_process.bootstrap(params["bootstrap_file"], cluster, "new", params["token"]):
        here.process.start()
        try:
            here.wait_until_healthy("after its start")
        except etcd_process.ProcessError as error:
            # One that had a leader may have voted, and others may count on what it has.
            if action != FOUND or here.process.has_led():
                raise
            take_back(here)
            raise MemberError(
                f"{error}\nWhat it began was removed, so that the next run can found the cluster"
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
    members: Sequence[etcd.Member] = view.members
    if own is None:
        members = etcd.retry(params["timeout"], lambda: add(client, here.own.peer_url))
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


def add(client: etcd.Client, peer_url: str) -> list[etcd.Member]:
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


def leave(here: Here, client: etcd.Client, own: etcd.Member, fresh: bool) -> str:
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


def once_allowed(here: Here, made: Plan, require: Callable[[etcd_cluster.View, Any], object]) -> Plan:
    """The plan with the cluster as it is once ``require`` allows a change of it.

    Members that elect a leader, or have just started, get the time for it. Raises ClusterError where it stays refused.
    """
    until = time.monotonic() + etcd.SETTLING
    while made.view:
        try:
            require(here.ahead(made.view), made.own)
            break
        except etcd_cluster.ClusterError:
            if time.monotonic() >= until:
                raise
        time.sleep(1)
        view = here.look() or made.view
        made = replace(made, view=view, own=view.listed(here.own) or made.own)
    return made


def needs_repair(made: Plan) -> bool:
    """Whether something is due to the member, other than to join, and it is not healthy."""
    healthy = made.view is not None and made.own is not None and made.own.id not in made.view.sick
    return not healthy and not {"join", "rejoin"} & set(made.due) and bool(set(made.due) - {"remove"})


def repair(here: Here, made: Plan) -> list[str]:
    """Do what is due to a member that is not healthy; return what was done.

    Its restart takes nothing from the cluster, while those of the healthy members need it back.
    """
    return bring_up_to_date(here, made) if needs_repair(made) else []


def bring_up_to_date(here: Here, made: Plan) -> list[str]:
    """Do what is due to one member at a time; return what was done."""
    check_mode = here.module.check_mode
    due = [one for one in made.due if one != "remove"]
    if not due:
        return []
    if {"join", "rejoin"} & set(due):
        made = once_allowed(here, made, etcd_cluster.require_join)
        return due if check_mode else join(here, made)
    if made.own and {"restart", "readdress"} & set(due):
        made = once_allowed(here, made, etcd_cluster.require_restart)
    if check_mode:
        return due
    view, own = made.view, made.own
    if "readdress" in due and view and own:
        etcd_cluster.require_quorum(view, "not moved", view.voters)
        here.client(view.serving).update_member(own.id, here.own.peer_url)
    if not here.process.running:
        here.process.start()
    elif "restart" in due or ("readdress" in due and not listens(here)):
        here.process.restart()
    # Where nobody serves, this member cannot either before the others are restarted too.
    if view and view.serving:
        here.wait_until_healthy("after its restart")
    if "disarm" in due and own:
        here.client([here.own.client_url]).disarm(own.id, "NOSPACE")
    return due


def listens(here: Here) -> bool:
    """Whether the running process was started to listen where the inventory says."""
    return here.own.peer_url in here.process.urls("ETCD_LISTEN_PEER_URLS")


def prune(here: Here) -> list[str]:
    """Remove the members that a variable names; return what was done."""
    names = here.params["remove_members"]
    view = once_allowed(here, Plan(here.look()), lambda seen, _own: etcd_cluster.removable(seen, names)).view
    if view is None:
        return []
    found = etcd_cluster.removable(view, names)
    for one in found if not here.module.check_mode else ():
        here.client(view.serving).remove_member(one.id)
    return [f"remove member {etcd_cluster.label(one)}" for one in found]


def start(here: Here) -> tuple[list[str], Plan]:
    """Do what may happen to all members at once; return what was done, and the plan with what is due."""
    made = plan(here)
    if here.module.check_mode:
        return made.now, made
    if made.now:
        begin(here, made.now[0])
        here.params["restart_required"] = False
    elif here.process.running and not {"join", "readdress", "restart"} & set(made.due):
        here.wait_until_healthy("although it runs")
    if made.now or made.view is None:
        here.process.refresh()
        return made.now, plan(here)
    return made.now, made


def settle(here: Here) -> None:
    """Wait until the member is healthy. Raises MemberError where something is still due."""
    if here.module.check_mode:
        return
    here.wait_until_healthy("after all changes")
    here.params["restart_required"] = False
    due = plan(here).due
    if due:
        raise MemberError(f"still due after all changes: {', '.join(due)}")


def run(here: Here, result: dict[str, Any]) -> list[str]:
    """Go as far as the wanted state says; return what was done."""
    state = here.params["state"]
    result["member"] = here.own.name
    if state == "checked":
        check(here)
        result["holds_data"] = here.has_data
        found = etcd_data.identity(here.data)
        result["cluster"] = found.cluster if found else ""
    elif state == "started":
        actions, made = start(here)
        result.update(due=made.due, repair=needs_repair(made))
        result["endpoints"] = here.process.urls("ETCD_ADVERTISE_CLIENT_URLS")
        return actions
    elif state == "repaired":
        return repair(here, plan(here))
    elif state == "pruned":
        return prune(here)
    elif state == "current":
        return bring_up_to_date(here, plan(here))
    else:
        settle(here)
    return []
