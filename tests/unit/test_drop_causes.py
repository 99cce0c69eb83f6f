"""What the kernel was seen to drop, as the cause of what no rule explains, and beside those of rules."""

from __future__ import annotations

import re
import string
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis import (
    drop_causes,
    drops,
    explanation,
    path as diagnosis_path,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.cause import Cause, End
from ansible_collections.binary_cluster.networking.tests.unit.test_diagnosis import end, path, sighting

SMALL = ("icmp", "tcp", "udp", "http")
GONE = {"reason": "XFRM_POLICY", "function": "ip_forward", "interface": "eth0", "way": "in", "in_pod": False}


def drop(source: int, target: int, kind: str = "icmp", **more: Any) -> dict[str, Any]:
    """A drop of what goes between the pods of two nodes."""
    ends = {"sources": [f"10.244.{source}.2"], "target": f"10.244.{target}.2"}
    return {**ends, "kind": kind, "count": 8, "neighbour": "", **GONE, **more}


def dropping(number: int, *drops: dict[str, Any], **evidence: Any) -> End:
    return end(number, drops={"unavailable": "", "found": list(drops)}, **evidence)


def causes(source: End, target: End, failed: tuple[str, ...] = SMALL) -> dict[str, Cause]:
    return explanation.of_probes(path(source, target, failed), failed)


def seen() -> list[dict[str, Any]]:
    """Sightings of all protocols from the first node's pod to the second's."""
    first, second = end(1), end(2)
    return [
        sighting(first, second, way, wrapping="", protocol=protocol)
        for way in ("in", "out")
        for protocol in (diagnosis_path.ICMP, diagnosis_path.TCP, diagnosis_path.UDP)
    ]


def test_a_drop_is_the_cause_where_no_rule_has_one() -> None:
    both = [drop(1, 2, kind) for kind in ("icmp", "udp", "tcp")]
    told = causes(end(1, sightings=seen()), dropping(2, *both, sightings=seen()))
    assert set(told) == set(SMALL)
    (one,) = set(told.values())
    assert (one.code, one.node) == ("dropped", "node2")
    assert one.text == (
        "node2 drops pods' packets that come in on eth0: a policy of IPsec blocks them, or wants them encrypted "
        "(measured: XFRM_POLICY in ip_forward)"
    )
    assert one.fix == "Advice: find the policy in ip xfrm policy"


def test_a_drop_is_the_cause_of_what_was_unexplained() -> None:
    told = causes(dropping(1, drop(1, 2)), end(2), ("icmp",))
    assert (told["icmp"].code, told["icmp"].node) == ("dropped", "node1")


def test_a_drop_of_another_pair_or_of_another_protocol_explains_nothing() -> None:
    told = causes(dropping(1, drop(1, 3), drop(3, 1), drop(1, 2, "udp")), end(2), ("icmp",))
    assert told["icmp"].code == "unexplained"


def test_a_drop_on_the_way_there_comes_before_one_on_the_way_back() -> None:
    told = causes(dropping(1, drop(2, 1)), dropping(2, drop(1, 2)), ("icmp",))
    assert told["icmp"].node == "node2"


def test_a_rule_keeps_its_words_and_has_what_proves_it_beside_it() -> None:
    broken = {"ip_forward": "0"}
    rule = causes(end(1), end(2, **broken), ("icmp",))["icmp"]
    proof = drop(1, 2, reason="IP_INNOROUTES", function="ip_error")
    told = causes(end(1), dropping(2, proof, **broken), ("icmp",))["icmp"]
    assert told == rule and told.text == rule.text
    assert str(told) == str(rule).replace(rule.text, f"{rule.text} (measured: IP_INNOROUTES)")


def test_a_drop_that_contradicts_a_rule_is_shown_beside_it() -> None:
    told = causes(end(1), dropping(2, drop(1, 2), ip_forward="0"), ("icmp",))["icmp"]
    assert told.code == "forwarding-off"
    assert "(besides: node2 drops pods' ICMP packets that come in on eth0: a policy of IPsec" in told.full_text


def test_a_cause_is_one_whatever_was_measured_of_its_pairs() -> None:
    first = causes(end(1), dropping(2, drop(1, 2), ip_forward="0"), ("icmp",))["icmp"]
    second = causes(end(3), end(2, ip_forward="0"), ("icmp",))["icmp"]
    assert first == second and first.measured != second.measured
    assert len({first, second}) == 1


def test_why_a_kernel_does_not_tell_is_said_where_nothing_explains_a_pair() -> None:
    why = "this kernel does not say why it drops packets: it is older than Linux 5.17"
    silent = end(2, drops={"unavailable": why, "found": []})
    told = causes(end(1), silent, ("icmp",))["icmp"]
    assert told.code == "unexplained"
    assert told.full_text.endswith(f"(what node2 drops is not known: {why})")


def test_what_fails_between_further_pods_alone_is_not_explained_by_the_first_ones() -> None:
    told = explanation.of_probes(path(dropping(1, drop(1, 2)), end(2), ("icmp",)), ())
    assert "dropped" not in {cause.code for cause in told.values()}


def test_a_reason_that_nobody_knows_is_shown_as_the_kernel_wrote_it() -> None:
    told = causes(dropping(1, drop(1, 2, reason="FROM_THE_FUTURE", function="f")), end(2), ("icmp",))["icmp"]
    assert told.text.endswith("(measured: FROM_THE_FUTURE in f)")
    assert told.fix.startswith("Advice: ")


def test_what_a_pod_drops_is_looked_for_in_the_pod() -> None:
    inside = drop(1, 2, reason="IP_RPFILTER", function="", in_pod=True)
    told = causes(end(1), dropping(2, inside), ("icmp",))["icmp"]
    assert told.text.startswith("probe-node2 of node2 drops pods' ICMP packets that come in on eth0: ")
    assert told.text.endswith("(measured: IP_RPFILTER)")
    assert told.fix == "Advice: in a pod of node2, sysctl -w net/ipv4/conf/eth0/rp_filter=2"


@pytest.mark.parametrize("reason", sorted({*drop_causes.REASONS, "NOT_SPECIFIED", "unheard of"}))
def test_a_meaning_has_words_for_every_place(reason: str) -> None:
    means = drop_causes.meaning(reason, "")
    fields = {name for text in (means.text, means.fix) for _before, name, *_more in string.Formatter().parse(text)}
    assert fields - {None} <= {"interface", "neighbour", "ip", "iptables"}
    assert means.fix.startswith(("Advice: ", "sysctl -w "))


@pytest.mark.parametrize("reason", sorted({*drop_causes.REASONS, "NOT_SPECIFIED", "unheard of"}))
@pytest.mark.parametrize("number", [4, 6])
def test_a_remedy_can_be_carried_out_where_nothing_more_is_known(reason: str, number: int) -> None:
    seen = {**drop(1, 2, reason=reason, function="", in_pod=True), "interface": "", "neighbour": "", "way": ""}
    seen["target"] = {4: seen["target"], 6: "2001:db8::2"}[number]
    told = drops.cause(end(1), seen, frozenset({"icmp"}))
    assert not re.search(r"  |its interface|[{}]|DEVICE|netns exec", f"{told.text} {told.fix}")
    assert told.fix.startswith("Advice: in a pod of node1, ")
    if number == 6:
        assert not re.search(r"\bip (rule|route|neigh)|iptables", told.fix)


def test_a_neighbour_that_is_known_is_named() -> None:
    seen = {**drop(1, 2, reason="NEIGH_FAILED", function=""), "interface": "cni0", "neighbour": "10.244.2.2"}
    told = drops.cause(end(2), seen, frozenset({"icmp"}))
    assert "the neighbour 10.244.2.2 does not answer" in told.text
    assert "behind cni0" in told.fix


@pytest.mark.parametrize(("code", "reason"), [("forwarding-off", "IP_INADDRERRORS"), ("fdb-missing", "NO_TX_TARGET")])
def test_what_such_a_fault_drops_proves_it(code: str, reason: str) -> None:
    rule, kernel = Cause(code, "node2", "text", "fix"), Cause("dropped", "node2", "another", "fix")
    assert drops.beside(rule, kernel, reason).full_text == f"text (measured: {reason})"
