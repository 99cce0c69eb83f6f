"""Members of etcd that join, move, are repaired and are refused: real etcd, and a stand-in for systemd."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.tests.kernel.etcd_cluster import Client, Cluster, Member, cluster
from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import CommandFailed, Host

UNREACHABLE = "http://198.51.100.1:2380"


@pytest.fixture
def etcd(host: Host, tmp_path: Path) -> Iterator[Cluster]:
    with cluster(host, tmp_path) as made:
        yield made


def names(members: list[Member]) -> list[str]:
    return [one.name for one in members]


def eventually(do: Callable[[], object]) -> None:
    """Try until it is done: etcd changes no members before all have been connected for five seconds."""
    until = time.monotonic() + 15
    while True:
        try:
            do()
            return
        except CommandFailed:
            if time.monotonic() > until:
                raise
        time.sleep(0.2)


def test_a_cluster_is_founded_whatever_else_is_in_the_directory(etcd: Cluster) -> None:
    (one,) = members = etcd.add(1)
    (one.base / "data" / "lost+found").mkdir()
    assert not etcd.module(one, members, "checked")["holds_data"]
    announced = etcd.module(one, members, "started", check=True, bootstrap=True)
    done = etcd.module(one, members, "started", bootstrap=True)
    assert announced["actions"] == done["actions"] == ["bootstrap the cluster"]
    assert etcd.module(one, members, "checked")["holds_data"]
    again = etcd.module(one, members, "started")
    assert not again["changed"] and again["due"] == []


def test_what_a_founding_began_that_never_had_a_leader_is_taken_back(etcd: Cluster) -> None:
    one, _other = members = etcd.add(2)
    said = etcd.module(one, members, "started", bootstrap=True, timeout=2, failing=True)["msg"]
    assert "; not healthy after its start after 2 s; " in said.partition("its last log lines")[0]
    assert "so that the next run can bootstrap the cluster" in said
    assert not one.data.exists()
    etcd.bootstrap(members)
    assert etcd.module(one, members, "started")["due"] == []


def test_members_join_as_learners_and_vote_once_they_have_caught_up(etcd: Cluster) -> None:
    (one,) = etcd.founded(1)
    two, three = etcd.add(2)
    client = Client(etcd.host, [one.wanted["client_url"]])
    for number, newcomer in ((2, two), (3, three)):
        inventory = etcd.all[:number]
        assert etcd.module(newcomer, inventory, "started")["due"] == ["join"]
        assert etcd.module(newcomer, inventory, "current", check=True)["actions"] == ["join"]
        assert len(one.listed()) == number - 1
        assert etcd.module(newcomer, inventory, "current")["actions"] == ["join"]
        assert sorted(one.listed()) == names(inventory)
        etcd.module(newcomer, inventory, "settled")
    tries, failed = client.end()
    assert tries > 10 and failed == 0


def test_a_newcomer_that_cannot_start_takes_no_quorum_and_is_taken_out_again(etcd: Cluster) -> None:
    (one,) = etcd.founded(1)
    (two,) = etcd.add(1)
    two.configure(ETCD_LISTEN_PEER_URLS=UNREACHABLE)
    client = Client(etcd.host, [one.wanted["client_url"]])
    said = etcd.module(two, etcd.all, "current", timeout=3, failing=True)["msg"]
    _tries, failed = client.end()
    assert failed == 0
    assert "cannot assign requested address; the address is on none of the host's interfaces" in said
    assert said.index("cannot assign") < said.index("its last log lines")
    assert said.endswith("It was taken out of the cluster again; the other members are as they were")
    assert list(one.listed()) == ["member1"] and "learner" not in one.ctl("member", "list")
    assert not two.data.exists()
    two.configure(ETCD_LISTEN_PEER_URLS=two.wanted["peer_url"])
    assert etcd.module(two, etcd.all, "current")["actions"] == ["join"]


def test_a_join_that_was_interrupted_is_completed(etcd: Cluster) -> None:
    (one,) = etcd.founded(1)
    (two,) = etcd.add(1)
    one.ctl("member", "add", "member2", "--learner", f"--peer-urls={two.wanted['peer_url']}")
    assert etcd.module(two, etcd.all, "current")["actions"] == ["join"]


def test_a_learner_that_nobody_promoted_is_promoted(etcd: Cluster) -> None:
    (one,) = etcd.founded(1)
    (two,) = etcd.add(1)
    one.ctl("member", "add", "member2", "--learner", f"--peer-urls={two.wanted['peer_url']}")
    urls = ",".join(f"{one.name}={one.wanted['peer_url']}" for one in etcd.all)
    (two.base / "bootstrap.env").write_text(f"ETCD_INITIAL_CLUSTER={urls}\nETCD_INITIAL_CLUSTER_STATE=existing\n")
    two.systemctl("start")
    assert etcd.module(two, etcd.all, "started")["due"] == ["join"]
    assert etcd.module(two, etcd.all, "current")["actions"] == ["join"]
    assert sorted(one.listed()) == names(etcd.all)


def test_a_replaced_machine_takes_its_own_place_and_strangers_keep_theirs(etcd: Cluster) -> None:
    one, two, three = etcd.founded(3)
    three.systemctl("stop")
    three.host.exec("rm", "-r", str(three.data))
    assert etcd.module(three, etcd.all, "started")["due"] == ["rejoin"]
    assert etcd.module(three, etcd.all, "current")["actions"] == ["remove member member3, whose data is gone", "join"]
    # Now its name is another one, and it is down: nobody removes it unasked.
    three.systemctl("stop")
    (four,) = etcd.add(1)
    inventory = [one, two, four]
    (warned,) = etcd.module(one, inventory, "checked")["warnings"]
    assert "members that the inventory does not have: member3 (http://127.0.0.13:2380)" in str(warned)
    said = etcd.module(four, inventory, "current", failing=True)["msg"]
    assert "member3 is not healthy" in said and "set etcd_remove_members: [member3]" in said
    said = etcd.module(one, inventory, "current", restart_required=True, failing=True)["msg"]
    assert "set etcd_remove_members: [member3]" in said
    assert sorted(one.listed()) == ["member1", "member2", "member3"]
    asked: dict[str, Any] = {"remove_members": ["member3"]}
    assert "remove" in etcd.module(one, inventory, "started", **asked)["due"]
    announced = etcd.module(one, inventory, "pruned", check=True, **asked)
    assert (
        announced["actions"] == etcd.module(one, inventory, "pruned", **asked)["actions"] == ["remove member member3"]
    )
    assert not etcd.module(one, inventory, "pruned", **asked)["changed"]
    etcd.module(four, inventory, "current", **asked)
    assert sorted(one.listed()) == ["member1", "member2", "member4"]
    said = etcd.module(one, inventory, "checked", remove_members=["member2"], failing=True)["msg"]
    assert "etcd_remove_members: member2: it is in the inventory" in said


def test_members_leave_and_are_removed_where_others_have_only_just_started(etcd: Cluster) -> None:
    one, two, three, four = etcd.founded(4)
    certificates = dict.fromkeys(("ca_cert", "client_cert", "client_key"), str(one.base / "client.crt"))

    def restart(*members: Member) -> None:
        """Have them elect a leader right now."""
        for member in members:
            member.systemctl("restart")

    restart(one, two)
    left = etcd.host.run_module(
        "etcd_leave",
        {"endpoints": [one.wanted["client_url"]], "leaving": [four.wanted], "data_directory": str(four.base / "data")}
        | certificates,
    )
    assert left["actions"] == ["remove member member4"]
    four.systemctl("stop")
    restart(two, three)
    pruned = etcd.module(one, [one, two], "pruned", remove_members=["member3"])
    assert pruned["actions"] == ["remove member member3"]
    three.systemctl("stop")
    restart(two)
    (five,) = etcd.add(1)
    assert etcd.module(five, [one, two, five], "current")["actions"] == ["join"]
    assert sorted(one.listed()) == ["member1", "member2", "member5"]


def test_ports_change_one_member_at_a_time_and_the_others_are_judged_where_they_are(etcd: Cluster) -> None:
    members = etcd.founded(3)
    before = [one.wanted["client_url"] for one in members]
    for one in members:
        one.client_port, one.peer_port = 12379, 12380
        one.configure()
    client = Client(etcd.host, [*before, *(one.wanted["client_url"] for one in members)])
    for one in members:
        done = etcd.module(one, members, "started", restart_required=True)
        assert done["due"] == ["readdress", "restart"] and not done["changed"]
    for one in members:
        etcd.module(one, members, "current", restart_required=True)
    for one in members:
        etcd.module(one, members, "settled")
    tries, failed = client.end()
    assert tries > 10 and failed == 0
    assert members[0].listed() == {one.name: [one.wanted["peer_url"]] for one in members}


def test_an_address_is_moved_in_the_cluster_too_and_only_one_at_a_time(etcd: Cluster) -> None:
    members = one, _two, three = etcd.founded(3)
    etcd.module(three, members, "checked")
    one.address, three.address = "127.0.0.21", "127.0.0.23"
    said = etcd.module(three, members, "checked", failing=True)["msg"]
    assert (
        "member1 (now at 127.0.0.11), member3 (now at 127.0.0.13): the members' addresses change one at a time" in said
    )
    one.address = "127.0.0.11"
    # Somebody restarted it by hand after its configuration was written.
    three.configure()
    three.systemctl("restart")
    announced = etcd.module(three, members, "current", check=True)
    assert announced["actions"] == ["readdress"]
    assert etcd.module(three, members, "current")["actions"] == ["readdress"]
    assert one.listed()["member3"] == ["http://127.0.0.23:2380"]
    assert etcd.module(three, members, "started")["due"] == []


def test_a_full_database_is_refused_until_its_quota_fits_and_repaired_then(etcd: Cluster) -> None:
    (one,) = members = etcd.add(1)
    one.configure(ETCD_QUOTA_BACKEND_BYTES=str(64 * 1024))
    etcd.bootstrap(members)
    with pytest.raises(CommandFailed, match="space exceeded"):
        for number in range(40):
            one.put(f"key{number}", "x" * 10000)
    # The alarm is raised a moment after the refusal.
    until = time.monotonic() + 10
    while "NOSPACE" not in one.ctl("alarm", "list") and time.monotonic() < until:
        time.sleep(0.05)
    said = etcd.module(one, members, "checked", quota=65536, failing=True)["msg"]
    assert "etcd_quota_backend_bytes: 65536: etcd takes no writes (alarm NOSPACE)" in said
    raised: dict[str, Any] = {"quota": 16 * 1024**2, "restart_required": True}
    one.configure(ETCD_QUOTA_BACKEND_BYTES=str(16 * 1024**2))
    etcd.module(one, members, "checked", **raised)
    assert etcd.module(one, members, "started", **raised)["due"] == ["restart", "disarm"]
    assert etcd.module(one, members, "current", **raised)["actions"] == ["restart", "disarm"]
    etcd.module(one, members, "settled", **raised)
    one.put("key", "value")


def test_a_restart_that_fails_has_a_deadline_and_says_the_cause_first(etcd: Cluster) -> None:
    members = one, two, three = etcd.founded(3)
    one.configure(ETCD_LISTEN_PEER_URLS=UNREACHABLE)
    said = etcd.module(one, members, "current", restart_required=True, timeout=3, failing=True)["msg"]
    assert said.startswith("etcd member member1: listen tcp 198.51.100.1:2380: bind: cannot assign requested address; ")
    assert "; etcd does not run; " in said.partition("its last log lines")[0]
    said = etcd.module(two, members, "current", restart_required=True, failing=True)["msg"]
    assert "member1 is not healthy" in said
    # The repair is not refused because of what it repairs, nor by its own timeout while nobody serves.
    one.configure(ETCD_LISTEN_PEER_URLS=one.wanted["peer_url"])
    assert etcd.module(one, members, "started")["actions"] == ["start"]
    for member in members:
        member.configure(ETCD_LISTEN_PEER_URLS="http://127.0.0.1:4" + member.address[-1] + "80")
        member.systemctl("restart")
    for member in members:
        member.configure(ETCD_LISTEN_PEER_URLS=member.wanted["peer_url"])
    assert "restart" in etcd.module(one, members, "started", restart_required=True, timeout=2)["due"]
    # With the first of them back, one of the others may lead, which the third does not reach: that one is not healthy,
    # and comes before the one that leads. Where another one leads by then, the run is refused, and repeated as it says.
    for _run in range(5):
        try:
            restart_as_the_role_does(etcd, members)
            break
        except CommandFailed as refused:
            assert "is not healthy" in str(refused) and "then run again" in str(refused)
    for member in members:
        etcd.module(member, members, "settled")
    assert sorted(three.listed()) == names(members)


def restart_as_the_role_does(etcd: Cluster, members: list[Member], check: bool = False) -> list[str]:
    """Restart members of which some are not healthy, in roles/etcd's order of states; return their names in order."""
    restarted: list[str] = []
    for state in ("repaired", "current"):
        for member in members:
            if member.name in restarted:
                continue
            done = etcd.module(
                member, members, state, check=check, restart_required=True, repaired_members=list(restarted)
            )
            restarted += [done["member"]] if done["changed"] else []
    return restarted


def test_a_member_that_is_not_healthy_is_restarted_before_the_healthy_ones_need_it(etcd: Cluster) -> None:
    members = etcd.founded(3)
    last = members[-1]
    # It runs, and no client reaches it before it has its new configuration.
    last.configure(ETCD_LISTEN_CLIENT_URLS="http://127.0.0.1:4779")
    last.systemctl("restart")
    last.configure(ETCD_LISTEN_CLIENT_URLS=last.wanted["client_url"])
    for member in members:
        member.configure(ETCD_HEARTBEAT_INTERVAL="120")
    said = etcd.module(members[0], members, "current", check=True, restart_required=True, failing=True)["msg"]
    assert "member3 is not healthy" in said
    assert [etcd.module(one, members, "started", restart_required=True)["repair"] for one in members] == [
        False,
        False,
        True,
    ]
    for check in (True, False):
        assert restart_as_the_role_does(etcd, members, check) == ["member3", "member1", "member2"]
    for member in members:
        etcd.module(member, members, "settled")


def test_data_of_a_member_that_was_removed_is_named_and_kept(etcd: Cluster) -> None:
    one, _two, three = members = etcd.founded(3)
    three.systemctl("stop")
    identity = next(line for line in one.ctl("member", "list").splitlines() if "member3" in line).partition(",")[0]
    one.ctl("member", "remove", identity)
    said = etcd.module(three, members, "started", failing=True)["msg"]
    assert (
        f"the cluster of member1, member2 has removed member {identity}, and {three.data} still holds its data; "
        "move that directory away" in said
    )
    assert three.data.exists()


def test_data_of_another_cluster_are_refused_before_etcd_serves_them(etcd: Cluster) -> None:
    one, two, three = members = etcd.founded(3)
    (stranger,) = etcd.founded(1)
    stranger.systemctl("stop")
    three.systemctl("stop")
    three.take_data_of(stranger)
    for state in ("checked", "started", "current"):
        said = etcd.module(three, members, state, failing=True)["msg"]
        assert (
            f"{three.data} holds data of another cluster (" in said and "than that of member1, member2, member3" in said
        )
        assert "; move that directory away, and run again to let this member join" in said
    # Somebody started it: it serves, beside the cluster.
    three.systemctl("start")
    time.sleep(2)
    assert "is healthy" in three.ctl("endpoint", "health")
    for member in (one, three):
        said = etcd.module(member, members, "checked", failing=True)["msg"]
        assert "the members serve different clusters: " in said and f"{three.wanted['client_url']} of " in said
    three.systemctl("stop")
    # What the message says mends it.
    three.data.rename(three.base / "away")
    assert etcd.module(three, members, "started")["due"] == ["rejoin"]
    etcd.module(three, members, "current")
    assert sorted(one.listed()) == names(members)
    assert etcd.module(one, members, "checked")["cluster"] == etcd.module(two, members, "checked")["cluster"] != ""


def test_data_of_another_member_of_the_cluster_are_refused(etcd: Cluster) -> None:
    _one, two, three = members = etcd.founded(3)
    three.systemctl("stop")
    three.take_data_of(two)
    for state in ("checked", "started"):
        said = etcd.module(three, members, state, failing=True)["msg"]
        assert f"{three.data} holds data of another member (" in said
    assert three.data.exists()


def test_a_member_of_a_dead_cluster_says_whose_data_it_holds(etcd: Cluster) -> None:
    members = etcd.founded(2)
    (stranger,) = etcd.founded(1)
    for member in (*members, stranger):
        member.systemctl("stop")
    members[1].take_data_of(stranger)
    found = [etcd.module(member, members, "checked")["cluster"] for member in members]
    assert all(found) and len(set(found)) == 2
    (newcomer,) = etcd.add(1)
    assert etcd.module(newcomer, [newcomer], "checked")["cluster"] == ""


def test_a_member_that_was_removed_and_listed_again_says_that_its_data_are_of_the_old_one(etcd: Cluster) -> None:
    one, _two, three = members = etcd.founded(3)
    three.systemctl("stop")
    identity = next(line for line in one.ctl("member", "list").splitlines() if "member3" in line).partition(",")[0]
    one.ctl("member", "remove", identity)
    eventually(lambda: one.ctl("member", "add", "member3", "--learner", f"--peer-urls={three.wanted['peer_url']}"))
    began = time.monotonic()
    for state in ("checked", "started", "current"):
        said = etcd.module(three, members, state, failing=True)["msg"]
        assert f"has removed member {identity}, and {three.data} still holds its data; move that directory" in said
    assert time.monotonic() - began < 20
    three.data.rename(three.base / "away")
    assert etcd.module(three, members, "current")["actions"] == ["join"]


@pytest.fixture
def full(etcd: Cluster) -> Iterator[Member]:
    """A member whose data directory is a file system that etcd's log does not fit into."""
    (one,) = etcd.add(1)
    data = str(one.base / "data")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m,mode=0700", "tmpfs", data], check=True)
    try:
        yield one
    finally:
        etcd.stop()
        subprocess.run(["umount", data], check=True)


def test_a_full_disk_is_told_at_once_and_without_a_stack_trace(etcd: Cluster, full: Member) -> None:
    began = time.monotonic()
    said = etcd.module(full, [full], "started", bootstrap=True, failing=True)["msg"]
    assert time.monotonic() - began < 15
    assert said.startswith(
        "etcd member member1: failed to create WAL: no space left on device; "
        f"make room on the file system of {full.data.parent}, and run again; "
    )
    assert "goroutine" not in said and '{"level"' not in said
    assert not full.data.exists()
    subprocess.run(["mount", "-o", "remount,size=200m", str(full.data.parent)], check=True)
    assert etcd.module(full, [full], "started", bootstrap=True)["actions"] == ["bootstrap the cluster"]


def test_a_port_that_is_taken_and_data_that_are_damaged_are_told_at_once(etcd: Cluster) -> None:
    (one,) = etcd.founded(1)
    (two,) = etcd.add(1)
    two.configure(ETCD_LISTEN_PEER_URLS=one.wanted["peer_url"])
    began = time.monotonic()
    said = etcd.module(two, [two], "started", bootstrap=True, failing=True)["msg"]
    assert "address already in use; stop the process that has the port, or choose another one; " in said
    one.systemctl("stop")
    (log,) = (one.data / "wal").glob("*.wal")
    log.write_bytes(log.read_bytes().replace(b'"member1"', b'"memberX"'))
    said = etcd.module(one, [one], "started", failing=True)["msg"]
    assert f"the data are damaged; move {one.data} away" in said.partition("its last log lines")[0]
    assert time.monotonic() - began < 25


def test_certificates_that_no_peer_takes_are_told_at_once_and_mended_by_right_ones(etcd: Cluster) -> None:
    *_others, last = members = etcd.add(3)
    authority, foreign = etcd.directory / "authority", etcd.directory / "foreign"
    for member in members:
        member.certify(authority)
    etcd.bootstrap(members)

    def restart(failing: bool) -> str:
        began = time.monotonic()
        done = etcd.module(last, members, "current", restart_required=True, timeout=120, failing=failing)
        assert time.monotonic() - began < 40
        return str(done.get("msg", "")).partition("its last log lines")[0]

    last.certify(foreign, trusted=authority)
    said = restart(failing=True)
    assert "unknown certificate authority; members trust only certificates that the cluster's own authority" in said
    last.certify(authority, days=-5)
    said = restart(failing=True)
    assert (
        "expired certificate; renew the certificates, or set the clocks of the hosts, and run again; not healthy"
        in said
    )
    last.certify(authority, common_name="root")
    said = restart(failing=True)
    assert "bad certificate; the other members do not take this one's certificate: " in said
    last.certify(authority)
    last.configure(ETCD_PEER_KEY_FILE=str(authority / members[0].name / "peer.key"))
    said = restart(failing=True)
    assert said.startswith(
        "etcd member member3: tls: private key does not match public key; give the host the certificate and the key "
    )
    last.certify(authority)
    assert restart(failing=False) == ""


def test_a_newcomer_with_foreign_certificates_is_told_why_the_others_do_not_answer(etcd: Cluster) -> None:
    (one,) = etcd.add(1)
    one.certify(etcd.directory / "authority")
    etcd.bootstrap([one])
    (two,) = etcd.add(1)
    two.certify(etcd.directory / "foreign")
    said = etcd.module(two, etcd.all, "current", failing=True)["msg"]
    assert "unknown authority; members trust only certificates that" in said.partition("its last log lines")[0]
    assert "It was taken out of the cluster again" in said
    two.certify(etcd.directory / "authority")
    assert etcd.module(two, etcd.all, "current")["actions"] == ["join"]


def test_an_end_that_no_remedy_is_known_for_is_waited_for_briefly(etcd: Cluster) -> None:
    (one,) = etcd.add(1)
    one.configure(ETCD_HEARTBEAT_INTERVAL="5000", ETCD_ELECTION_TIMEOUT="1000")
    began = time.monotonic()
    said = etcd.module(one, [one], "started", bootstrap=True, failing=True)["msg"]
    assert 10 <= time.monotonic() - began < 20
    assert "--election-timeout" in said.partition("etcd does not run")[0]


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:x", "127.0.0.1:2379", "http://:2379", "http://127.0.0.1:70000"])
def test_an_endpoint_that_is_no_url_is_told(host: Host, endpoint: str) -> None:
    said = host.run_module("etcd_info", {"endpoints": [endpoint]}, failing=True)["msg"]
    assert said == f"endpoints: {endpoint}: not a URL such as https://192.0.2.11:2379"
