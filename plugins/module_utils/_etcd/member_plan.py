# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""The member of etcd on this host: what it has, what the cluster lists, and what differs from the inventory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import (
    answers as etcd_answers,
    client as etcd,
    cluster as etcd_cluster,
    data as etcd_data,
    process as etcd_process,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd.cluster import Wanted
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

BOOTSTRAP = "bootstrap the cluster"


class MemberError(TaskError):
    """The member cannot be brought to the wanted state; the message says what is in the way."""


@dataclass
class Plan:
    """What can be done at once, what is due one member at a time, and the cluster it was judged by.

    ``view`` is None where no member answers.
    """

    view: etcd_cluster.View | None = None
    own: etcd_answers.Member | None = None
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
        if params["bootstrap"]:
            made.now, made.due = [BOOTSTRAP], []
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


def require_own_data(here: Here, view: etcd_cluster.View | None, own: etcd_answers.Member | None) -> None:
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
