"""What etcd is asked and answers on the wire: RFC 7541's examples, and messages there and back."""

from __future__ import annotations

import base64

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import grpc, messages as etcd_messages


@pytest.mark.parametrize(
    ("block", "headers"),
    [
        # RFC 7541, C.2.1: a literal header with indexing; C.6.1: a status whose text is coded.
        ("400a637573746f6d2d6b65790d637573746f6d2d686561646572", [("custom-key", "custom-header")]),
        ("4882 6402", [(":status", "302")]),
        # C.4.3: both parts coded. 88 is the static entry of status 200; 20 empties the dynamic table.
        ("408825a849e95ba97d7f8925a849e95bb8e8b4bf", [("custom-key", "custom-value")]),
        ("2088", [(":status", "200")]),
        # C.3.1's authority, of the static table: a name that nobody asks for.
        ("410f7777772e6578616d706c652e636f6d", [("", "www.example.com")]),
    ],
)
def test_headers_are_read_as_the_rfc_writes_them(block: str, headers: list[tuple[str, str]]) -> None:
    assert list(grpc.decode_headers(bytes.fromhex(block))) == headers


def test_a_header_of_a_table_that_the_client_does_not_keep_is_an_error() -> None:
    with pytest.raises(grpc.ProtocolError):
        list(grpc.decode_headers(b"\xbe"))


@pytest.mark.parametrize("length", [0, 1, 126, 127, 128, 254, 255, 300, 20000])
def test_a_header_of_any_length_is_written_so_that_it_is_read_again(length: int) -> None:
    block = grpc._literal("x", "v" * length)
    assert list(grpc.decode_headers(block)) == [("x", "v" * length)]


@pytest.mark.parametrize(
    ("message", "body"),
    [
        ("MemberListRequest", {"linearizable": True}),
        ("MemberAddRequest", {"peerURLs": ["https://192.0.2.1:2380", "https://192.0.2.2:2380"], "isLearner": True}),
        ("LeaseTimeToLiveResponse", {"ID": "-5", "TTL": "-1"}),
        ("MemberIdRequest", {"ID": str(2**64 - 1)}),
        ("AlarmResponse", {"alarms": [{"memberID": "7", "alarm": "NOSPACE"}]}),
        ("PutRequest", {"key": base64.b64encode(b"/a").decode(), "value": base64.b64encode(b"\0\xff" * 200).decode()}),
        (
            "TxnRequest",
            {
                "compare": [{"target": "VERSION", "result": "LESS", "key": "YQ==", "version": "0"}],
                "success": [{"request_put": {"key": "YQ=="}}, {"request_delete_range": {"key": "Yg=="}}],
            },
        ),
    ],
)
def test_a_message_is_the_same_there_and_back(message: str, body: dict[str, object]) -> None:
    assert etcd_messages.decode(message, etcd_messages.encode(message, body)) == body


def test_names_may_be_in_camel_case_as_at_the_gateway() -> None:
    camel = etcd_messages.encode("RangeRequest", {"key": "YQ==", "rangeEnd": "Yg==", "keysOnly": True})
    assert camel == etcd_messages.encode("RangeRequest", {"key": "YQ==", "range_end": "Yg==", "keys_only": True})


def test_fields_of_a_newer_etcd_are_skipped() -> None:
    # Field 111: a number, four bytes, eight bytes, a string.
    newer = bytes.fromhex("f80601 fd0600000000 f9060000000000000000 fa060161")
    assert etcd_messages.decode("HeaderResponse", newer) == {}


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\x05ab", b"\x80", b"\x0b", b"\x08\x01"])
def test_what_is_no_message_is_an_error_and_no_traceback(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not (a message|of type)"):
        etcd_messages.decode("HeaderResponse", data)
