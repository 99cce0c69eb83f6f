"""What a trace of the kernel shows: which packets of a diagnosis were dropped on this node, and nothing else."""

from __future__ import annotations

import ipaddress
import itertools
import random
from collections.abc import Sequence

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._probe import (
    drop_bursts,
    drop_trace,
    kernel_drops,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._probe.drop_bursts import COUNT, Flow
from hypothesis import given, settings, strategies as st

HERE, THERE = "10.244.1.2", "10.244.2.2"
PODS = [HERE, THERE, "10.244.3.2"]
KNOWN = drop_bursts.sizes(PODS, 1450)
SIZE = {flow: size for size, flows in KNOWN.items() for flow in flows}
LINKS = frozenset({"eth0", "cni0", "flannel.1", "veth1"})
NODE = kernel_drops.Place(frozenset({HERE}), "eth0", "veth1", LINKS, frozenset({"eth0"}), (0, 50))
OUT, BACK = SIZE[Flow("icmp", HERE, THERE)], SIZE[Flow("icmp", THERE, HERE)]
SENDER = "python3-77"
KERNEL = "ksoftirqd/0-15"

Step = tuple[str, str, int]


class Trace:
    """Lines as the kernel writes them."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.time = 100.0

    def line(self, task: str, rest: str, process: bool = False) -> None:
        self.time += 0.0001
        self.lines.append(f"{task:>16}     [001] {'b....' if process else 'b.s..'}   {self.time:.6f}: {rest}")

    def mark(self, text: str) -> None:
        self.line(SENDER, f"tracing_mark_write: {text}", process=True)

    def walk(self, steps: Sequence[Step], reason: str = "", address: str = "00000000aa", sent: str = "") -> None:
        """A packet that passes, and is dropped where there is a reason; with ``sent`` by our own task."""
        if sent:
            self.mark(sent)
        for number, (kind, device, length) in enumerate(steps):
            event = {"out": "net_dev_queue", "in": "netif_receive_skb"}[kind]
            size = length + (14 if kind == "out" else 0)
            own = bool(sent) and number == 0
            self.line(SENDER if own else KERNEL, f"{event}: dev={device} skbaddr={address} len={size}", process=own)
        if reason:
            self.drop(address, reason, own=bool(sent) and not steps)
        if sent:
            self.mark("sent")

    def drop(self, address: str, reason: str, own: bool = False) -> None:
        rest = f"rx_sk=0000000000000000 protocol=2048 location=ip_forward+0x1a/0x3b0 reason: {reason}"
        self.line(SENDER if own else KERNEL, f"kfree_skb: skbaddr={address} {rest}", process=own)


def found(trace: Trace, node: kernel_drops.Place = NODE) -> list[tuple[object, ...]]:
    """What is found: from where, to where, reason, interface, way, and whether in the pod."""
    seen = drop_trace.lost(drop_trace.events("\n".join(trace.lines)), node.underlay)
    names = ("sources", "target", "reason", "interface", "way", "in_pod")
    return [tuple(one[name] for name in names) for one in kernel_drops.findings(seen, KNOWN, node)]


TO_BRIDGE: list[Step] = [("out", "eth0", OUT), ("in", "veth1", OUT), ("in", "cni0", OUT)]
LEAVES: list[Step] = [*TO_BRIDGE, ("out", "flannel.1", OUT), ("out", "eth0", OUT + 50)]
ARRIVES: list[Step] = [("in", "eth0", BACK + 50), ("in", "flannel.1", BACK)]
TO_POD: list[Step] = [*ARRIVES, ("out", "cni0", BACK), ("out", "veth1", BACK), ("in", "eth0", BACK)]
SENT = f"icmp {THERE}"


@pytest.mark.parametrize(
    ("steps", "sent", "expected"),
    [
        ([], SENT, ([HERE], THERE, "X", "", "", True)),
        (TO_BRIDGE[:1], SENT, ([HERE], THERE, "X", "eth0", "out", True)),
        (TO_BRIDGE, SENT, ([HERE], THERE, "X", "cni0", "in", False)),
        (LEAVES, SENT, ([HERE], THERE, "X", "eth0", "out", False)),
        (ARRIVES[:1], "", ([THERE], HERE, "X", "eth0", "in", False)),
        (ARRIVES, "", ([THERE], HERE, "X", "flannel.1", "in", False)),
        (TO_POD, "", ([THERE], HERE, "X", "eth0", "in", True)),
    ],
    ids=["before the pod's interface", "pod's interface", "bridge", "leaving", "arriving", "unwrapped", "in the pod"],
)
def test_a_packet_is_told_where_it_was_last_seen(steps: list[Step], sent: str, expected: tuple[object, ...]) -> None:
    trace = Trace()
    for number in range(COUNT):
        # The kernel uses the same buffers again.
        trace.walk(steps, "X", address=f"00000000a{number % 2}", sent=sent)
    assert found(trace) == [expected]


def test_a_packet_that_waited_for_its_neighbour_is_sent_by_the_kernel_and_still_the_pods_own() -> None:
    trace = Trace()
    for _number in range(COUNT):
        trace.walk(TO_BRIDGE, "X")
    assert found(trace) == [([HERE], THERE, "X", "cni0", "in", False)]


def test_less_than_half_a_burst_is_not_told() -> None:
    trace = Trace()
    for number in range(COUNT):
        trace.walk(TO_BRIDGE, "X" if number < COUNT // 2 - 1 else "", sent=SENT)
    assert found(trace) == []


def crossing() -> list[Step]:
    """A packet on its whole way, where both nodes have one kernel."""
    there: list[Step] = [
        ("in", "eth0", OUT + 50),
        ("in", "flannel.1", OUT),
        ("out", "cni0", OUT),
        ("out", "veth2", OUT),
    ]
    return [*LEAVES, ("in", "port1", OUT + 50), ("out", "port2", OUT + 50), *there, ("in", "eth0", OUT)]


@pytest.mark.parametrize("sent", [SENT, ""], ids=["sent by the process", "sent by the kernel"])
@pytest.mark.parametrize("steps", range(6, 13))
def test_what_another_node_or_a_switch_on_the_same_kernel_drops_is_not_this_nodes(steps: int, sent: str) -> None:
    trace = Trace()
    for _number in range(COUNT):
        trace.walk(crossing()[:steps], "X", sent=sent)
    assert found(trace) == []


def test_what_the_other_node_on_the_same_kernel_drops_before_it_leaves_is_not_this_nodes() -> None:
    trace = Trace()
    for _number in range(COUNT):
        trace.walk([("out", "eth0", BACK), ("in", "veth2", BACK), ("in", "cni0", BACK)], "X")
    assert found(trace) == []


def test_answers_that_have_the_size_of_what_they_answer_are_not_told() -> None:
    trace = Trace()
    for _number in range(COUNT):
        trace.walk(TO_POD)
        # The answer, in the buffer of an earlier packet.
        trace.walk([("out", "eth0", BACK), ("in", "veth1", BACK), ("in", "cni0", BACK)], "X")
        trace.walk([("in", "eth0", OUT + 50), ("in", "flannel.1", OUT)], "X")
    assert found(trace) == []


def test_an_answer_to_an_echo_that_nobody_waits_for_is_no_drop() -> None:
    trace = Trace()
    for _number in range(COUNT):
        trace.walk(TO_POD, "NO_SOCKET")
        trace.walk(TO_POD, "QUEUE_PURGE")
    assert found(trace) == []


def test_a_buffer_that_was_used_again_long_after_is_another_packets() -> None:
    trace = Trace()
    for _number in range(COUNT):
        trace.walk(TO_BRIDGE, sent=SENT)
        trace.time += 1
        trace.drop("00000000aa", "TCP_OLD_DATA")
    assert found(trace) == []


@pytest.mark.parametrize(
    ("earlier", "later", "source"),
    [
        (LEAVES, [("in", "eth0", BACK + 50)], THERE),
        ([("in", "eth0", BACK + 50)], [("in", "eth0", SIZE[Flow("icmp", PODS[2], HERE)] + 50)], PODS[2]),
        ([("in", "eth0", SIZE[Flow("icmp", PODS[2], HERE)] + 50)], [("in", "eth0", BACK + 50)], THERE),
    ],
    ids=["one that left", "a smaller one that came in", "a larger one that came in"],
)
def test_a_buffer_that_was_used_again_at_once_is_another_packets(
    earlier: list[Step], later: list[Step], source: str
) -> None:
    trace = Trace()
    for _number in range(COUNT):
        trace.walk(earlier)
        trace.walk(later, "X")
    assert found(trace) == [([source], HERE, "X", "eth0", "in", False)]


@pytest.mark.parametrize(("seconds", "more"), [(10, 0), (0, 400), (0, -100)], ids=["late", "larger", "smaller"])
def test_what_the_kernel_sends_itself_in_a_buffer_that_was_used_before_is_not_told(seconds: int, more: int) -> None:
    trace = Trace()
    for _number in range(COUNT):
        trace.walk(ARRIVES)
        trace.time += seconds
        trace.walk([("out", "cni0", BACK + more)], "X")
    assert found(trace) == []


def test_of_too_many_pods_the_source_alone_is_known() -> None:
    pods = sorted(f"10.244.{number}.2" for number in range(50))
    known = drop_bursts.sizes(pods, 1450)
    node = kernel_drops.Place(frozenset({pods[7]}), "eth0", "veth1", LINKS, frozenset({"eth0"}), (0, 50))
    size = next(size for size, flows in known.items() if Flow("udp", pods[1], "") in flows)
    trace = Trace()
    for _number in range(COUNT):
        trace.walk([("in", "eth0", size + 50)], "X")
    seen = drop_trace.lost(drop_trace.events("\n".join(trace.lines)), node.underlay)
    (one,) = kernel_drops.findings(seen, known, node)
    assert (one["sources"], one["target"]) == ([pods[1], pods[1 + drop_bursts.NUMBERS]], pods[7])


@pytest.mark.parametrize("pods", [PODS, [f"10.244.{number}.2" for number in range(30)]], ids=["few", "many"])
def test_sizes_of_bursts_differ_and_no_tunnels_header_makes_one_into_another(pods: list[str]) -> None:
    known = drop_bursts.sizes(pods, 1450)
    small = [size for size, flows in known.items() if flows[0].kind != drop_bursts.LARGE]
    assert all(len(known[size]) == 1 for size in small)
    assert max(small) < 1280
    assert {b - a for a, b in itertools.permutations(known, 2)}.isdisjoint(
        size for sizes in kernel_drops.OVERHEADS.values() for size in sizes
    )


def test_a_number_is_a_pairs_own_where_there_are_few_pods() -> None:
    few = drop_bursts.numbers([*PODS, "fd00::1", "fd00::2"])
    assert len(set(few.values())) == len(few) == 8
    assert ("10.244.1.2", "fd00::1") not in few


@pytest.mark.parametrize(("source", "target"), [(HERE, THERE), ("fd00::1", "fd00::2")])
def test_the_checksum_of_the_beginning_of_a_connection_is_right(source: str, target: str) -> None:
    segment = drop_bursts.syn(source, target, (50000, 18080), 101)
    addresses = b"".join(ipaddress.ip_address(one).packed for one in (source, target))
    assert len(segment) == 101
    assert drop_bursts.checksum(addresses + (101).to_bytes(4, "big") + (6).to_bytes(4, "big") + segment) == 0


@pytest.mark.parametrize(
    ("location", "function"),
    [
        ("nft_do_chain+0x5ad/0x610", "nft_do_chain"),
        ("nft_do_chain+0x5ad/0x610 [nf_tables]", "nft_do_chain"),
        ("0xffffffff81a2b3c4", ""),
        ("0x0", ""),
    ],
)
def test_a_function_whose_name_the_kernel_hides_is_empty(location: str, function: str) -> None:
    rest = f"kfree_skb: skbaddr=00000000aa protocol=2048 location={location} reason: NETFILTER_DROP"
    event = drop_trace.parse(f"          <idle>-0       [000] ..s1.    12.345678: {rest}")
    assert event and (event.function, event.reason) == (function, "NETFILTER_DROP")


@pytest.mark.parametrize("comm", ["a-1 [000] . 1: ", "kfree_skb: x", "a\nb", " - ", "[001]", "1.0: kfree_skb:"])
def test_the_name_of_a_task_does_not_pass_for_anything_else(comm: str) -> None:
    rest = "net_dev_queue: dev=eth0 skbaddr=00000000aa len=124"
    (event,) = drop_trace.events(f"{comm:>16}-77      [001] b.s..    12.345678: {rest}")
    assert (event.kind, event.pid, event.device, event.length) == ("net_dev_queue", 77, "eth0", 124)


NUMBER = st.integers(0, 99999)
ADDRESS = st.integers(0, 15).map(lambda number: f"00000000a{number:x}")
DEVICE = st.sampled_from(["eth0", "cni0", "veth1", "veth2", "flannel.1", "lo", "reason:", "len=7", "ä", "x y"])
REST = st.one_of(
    st.builds("net_dev_queue: dev={} skbaddr={} len={}".format, DEVICE, ADDRESS, NUMBER),
    st.builds("netif_receive_skb: dev={} skbaddr={} len={}".format, DEVICE, ADDRESS, NUMBER),
    st.builds("kfree_skb: skbaddr={} protocol=2048 location={} reason: {}".format, ADDRESS, st.text(), st.text()),
    st.builds("tracing_mark_write: {}".format, st.text()),
    st.text(),
)
LINE = st.builds(
    "{}-{} [{}] {} {}.{}: {}".format, st.text(max_size=16), NUMBER, NUMBER, st.text("b.sNhH"), NUMBER, NUMBER, REST
)


@given(st.lists(st.one_of(st.text(), LINE)))
@settings(max_examples=150, deadline=None)
def test_no_line_of_a_trace_raises_and_none_that_nobody_sent_is_told(lines: list[str]) -> None:
    text = "\n".join(line for line in lines if "tracing_mark_write" not in line)
    seen = drop_trace.lost(drop_trace.events("\n".join(lines)), NODE.underlay)
    list(seen)
    for one in drop_trace.lost(drop_trace.events(text), NODE.underlay):
        assert one.walk.steps


NOISE = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from(["in", "out"]), st.sampled_from(sorted(LINKS)), st.integers(40, 100))),
        st.sampled_from(["", "TCP_OLD_DATA", "NETFILTER_DROP"]),
        ADDRESS,
    ),
    max_size=60,
)


@given(NOISE, st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=80, deadline=None)
def test_traffic_of_others_is_never_told_and_hides_nothing(
    noise: list[tuple[list[Step], str, str]], order: random.Random, dropped: bool
) -> None:
    trace = Trace()
    left = list(noise)
    for _number in range(COUNT):
        for _other in range(order.randint(0, 4)):
            if left:
                steps, reason, address = left.pop()
                trace.walk(steps, reason, address)
        trace.walk(TO_BRIDGE, "IP_RPFILTER" if dropped else "", address="00000000b0", sent=SENT)
    assert found(trace) == ([([HERE], THERE, "IP_RPFILTER", "cni0", "in", False)] if dropped else [])
