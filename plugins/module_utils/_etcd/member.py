# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""A member of etcd, brought to where the inventory has it: what differs, and how each difference is dealt with.

What may happen to all members at once is done at once. The rest is due, one member at a time, and each step is judged
by the members that serve just before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import (
    client as etcd,
    cluster as etcd_cluster,
    data as etcd_data,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd.joining import begin, join
from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd.member_plan import (
    Here,
    MemberError,
    Plan,
    plan,
    require_own_data,
    resolvable_alarms,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import run_lock
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.waiting import Waiter


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


def once_allowed(here: Here, made: Plan, require: Callable[[etcd_cluster.View, Any], object]) -> Plan:
    """The plan with the cluster as it is once ``require`` allows a change of it.

    Members that elect a leader, or have just started, get the time for it. Raises ClusterError where it stays refused.
    """
    looked = False

    def allowed() -> Plan:
        nonlocal made, looked
        if looked and (view := here.look() or made.view):
            made = replace(made, view=view, own=view.listed(here.own) or made.own)
        looked = True
        if made.view:
            require(here.ahead(made.view), made.own)
        return made

    return Waiter(etcd.SETTLING, pause=1).retry(allowed, etcd_cluster.ClusterError)


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
