"""DNS messages: what is asked, and what an answer says."""

from __future__ import annotations

import contextlib
import struct

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._dns import messages as dns_messages
from ansible_collections.binary_cluster.networking.plugins.module_utils._probe import engine
from hypothesis import given, strategies as some

ASKED = b"\x12\x34" + dns_messages.question("www.example.org", "A")[2:]


def message(asked: bytes, *answers: tuple[str, bytes], rcode: int = 0, flags: int = dns_messages.RESPONSE) -> bytes:
    """An answer to a query, all records under the name that was asked for."""
    head = asked[:2] + struct.pack("!5H", flags | rcode, 1, len(answers), 0, 0)
    records = b"".join(
        b"\xc0\x0c" + struct.pack("!2HIH", dns_messages.TYPES[kind], 1, 300, len(data)) + data for kind, data in answers
    )
    return head + asked[12:] + records


def test_a_question_is_what_the_standard_says() -> None:
    assert bytes.fromhex("1234 0100 0001 0000 0000 0000 03777777 076578616d706c65 036f7267 00 0001 0001") == ASKED


@pytest.mark.parametrize(
    ("kind", "data", "value"),
    [
        ("A", bytes([192, 0, 2, 7]), "192.0.2.7"),
        ("AAAA", bytes.fromhex("20010db8000000000000000000000007"), "2001:db8::7"),
        ("CNAME", b"\x01A\xc0\x10", "a.example.org"),
        ("SRV", struct.pack("!3H", 10, 100, 443) + b"\x01a\x00", "10 100 443 a"),
        ("TXT", b"\x03one\x04 two", "one two"),
        ("SOA", b"\x01\x02", "0102"),
    ],
)
def test_a_value_is_read_in_the_form_of_zone_files(kind: str, data: bytes, value: str) -> None:
    asked = dns_messages.question("www.example.org", kind)
    assert dns_messages.answer(message(asked, (kind, data)), asked) == dns_messages.Answer("NOERROR", (value,))


def test_records_of_other_types_on_the_way_are_passed_over() -> None:
    told = dns_messages.answer(message(ASKED, ("CNAME", b"\x01b\x00"), ("A", bytes([192, 0, 2, 7]))), ASKED)
    assert told.values == ("192.0.2.7",)


@pytest.mark.parametrize(("rcode", "word"), [(2, "SERVFAIL"), (3, "NXDOMAIN"), (5, "REFUSED"), (9, "RCODE 9")])
def test_a_response_code_is_told_by_its_name(rcode: int, word: str) -> None:
    assert dns_messages.answer(message(ASKED, rcode=rcode), ASKED).rcode == word


def test_the_answer_to_another_question_is_none() -> None:
    with pytest.raises(dns_messages.DnsError, match="another question"):
        dns_messages.answer(b"\x99\x99" + message(ASKED)[2:], ASKED)
    with pytest.raises(dns_messages.DnsError, match="another question"):
        dns_messages.answer(ASKED, ASKED)


def test_names_that_point_at_each_other_end() -> None:
    # A label, and after it a pointer back to that label.
    asked = dns_messages.question("www.example.org", "CNAME")
    where = len(message(asked)) + 12
    data = b"\x01a" + struct.pack("!H", 0xC000 | where)
    with pytest.raises(dns_messages.DnsError, match="points forwards"):
        dns_messages.answer(message(asked, ("CNAME", data)), asked)


@given(some.binary(max_size=200))
def test_whatever_comes_is_an_answer_or_an_error(junk: bytes) -> None:
    one_record = ASKED[:2] + struct.pack("!5H", dns_messages.RESPONSE, 0, 1, 0, 0)
    for data in (junk, ASKED[:2] + junk, one_record + junk):
        with contextlib.suppress(dns_messages.DnsError):
            dns_messages.answer(data, ASKED)


@pytest.mark.parametrize(
    ("question", "told", "cause"),
    [
        (engine.Question("a", values=("192.0.2.7",)), dns_messages.Answer("NOERROR", ("192.0.2.7",)), None),
        (engine.Question("a"), dns_messages.Answer("NOERROR", ("192.0.2.7",)), None),
        (engine.Question("a"), dns_messages.Answer("NOERROR"), "has no A record"),
        (engine.Question("a"), dns_messages.Answer("NXDOMAIN"), "no such name"),
        (engine.Question("a"), dns_messages.Answer("REFUSED"), "refused: the server has no zone for it"),
        (
            engine.Question("a", values=("192.0.2.7",)),
            dns_messages.Answer("NOERROR", ("192.0.2.8",)),
            "answered 192.0.2.8, not 192.0.2.7",
        ),
        (engine.Question("a", exists=False), dns_messages.Answer("NXDOMAIN"), None),
        (
            engine.Question("a", exists=False),
            dns_messages.Answer("NOERROR", ("192.0.2.8",)),
            "exists, with 192.0.2.8; there is to be no such name",
        ),
        (engine.Question("a", exists=False), dns_messages.Answer("SERVFAIL"), "SERVFAIL"),
    ],
)
def test_what_is_wrong_with_an_answer_is_told(
    question: engine.Question, told: dns_messages.Answer, cause: str | None
) -> None:
    assert engine.fault(question, told) == cause
