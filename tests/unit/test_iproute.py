from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute


class Recorder:
    """In the place of run_command: answers with what it was given, and keeps what it was asked."""

    def __init__(self, code: int = 0, out: str = "", err: str = "") -> None:
        self.answer = (code, out, err)
        self.asked: list[tuple[list[str], str | None]] = []

    def __call__(self, args: list[str], *, data: str | None = None) -> tuple[int, str, str]:
        self.asked.append((args, data))
        return self.answer


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("ip utility, iproute2-6.1.0, libbpf 1.1.2\n", True),
        ("ip utility, iproute2-5.9.0, libbpf 0.3.0\n", True),
        ("ip utility, iproute2-5.0.0\n", True),
        ("ip utility, iproute2-ss190319\n", True),
        ("ip utility, iproute2-ss191125\n", True),
        ("ip utility, iproute2-ss190107\n", False),
        ("ip utility, iproute2-4.20.0\n", False),
        ("BusyBox v1.36.1 multi-call binary\n", False),
        ("", False),
    ],
)
def test_releases_since_5_0_are_recent_enough_numbered_or_dated(version: str, enough: bool) -> None:
    assert iproute.recent(version) is enough


def test_a_host_without_iproute2_is_told_which_program_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(iproute.KernelError, match=r"iproute2 5\.0 or newer is needed: there is no program `ip`"):
        iproute.IpRoute(Recorder()).require()


def test_lines_go_to_one_process() -> None:
    run = Recorder()
    iproute.IpRoute(run).change(["link add a type veth", "link set a up"])
    assert run.asked == [(["ip", "-batch", "-"], "link add a type veth\nlink set a up\n")]


def test_no_lines_start_no_process() -> None:
    run = Recorder()
    iproute.IpRoute(run).change([])
    assert run.asked == []


def test_a_refused_line_is_told_by_the_number_of_those_before_it_and_the_kernels_words() -> None:
    run = Recorder(1, "", "Error: Nexthop has invalid gateway.\nCommand failed -:3\n")
    with pytest.raises(iproute.BatchError) as caught:
        iproute.IpRoute(run).change(["a", "b", "c"])
    assert caught.value.done == 2
    assert caught.value.words == "Error: Nexthop has invalid gateway."


def test_of_a_batch_that_ended_without_a_number_it_is_not_known_how_far_it_came() -> None:
    run = Recorder(1, "", 'Error: any valid prefix is expected rather than "x".\n')
    with pytest.raises(iproute.BatchError) as caught:
        iproute.IpRoute(run).change(["a", "b"])
    assert caught.value.done is None


def test_empty_objects_and_empty_output_are_no_entries() -> None:
    assert iproute.IpRoute(Recorder(0, json.dumps([{}, {"dst": "x"}, {}]))).neighbours("vx0") == [{"dst": "x"}]
    assert iproute.IpRoute(Recorder(0, "")).fdb() == []


def test_an_unreachable_address_has_no_egress() -> None:
    assert iproute.IpRoute(Recorder(2, "", "RTNETLINK answers: Network is unreachable")).egress("192.0.2.1") == {}


def test_names_of_numbers_come_from_the_host_and_override_those_built_in(tmp_path: Path) -> None:
    (tmp_path / "rt_protos.d").mkdir()
    (tmp_path / "rt_protos").write_text("# reserved\n0x8c  pods\n4 static\n\n143 mine # ours\n")
    (tmp_path / "rt_protos.d" / "x.conf").write_text("99 open\n")
    found = iproute.numbers("rt_protos", ["/nonexistent", str(tmp_path)])
    assert (found["pods"], found["mine"], found["open"], found["kernel"]) == ("140", "143", "99", "2")
