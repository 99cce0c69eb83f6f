from __future__ import annotations

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import validation


@pytest.mark.parametrize(
    ("given", "kernel"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:201", "192.0.2.1"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("::1.2.3.4", "::1.2.3.4"),
    ],
)
def test_addresses_come_out_as_the_kernel_prints_them(given: str, kernel: str) -> None:
    assert validation.address("here", given) == kernel


@pytest.mark.parametrize(
    "text", ["", "192.0.2", "192.0.2.256", "192.0.2.1/24", "010.0.0.1", "fe80::1%eth0", "x", "1 2", None]
)
def test_what_is_no_address_is_refused_with_its_place(text: object) -> None:
    with pytest.raises(validation.SpecError, match=r"^peers\[3\]\.underlay: .* is no IP address$"):
        validation.address("peers[3].underlay", text)


@pytest.mark.parametrize(
    ("given", "kernel"),
    [
        ("10.244.7.9/24", "10.244.7.0/24"),
        ("10.244.7.9", "10.244.7.9/32"),
        ("10.244.7.9/0", "0.0.0.0/0"),
        ("::ffff:10.244.7.9/120", "10.244.7.0/24"),
        ("FD00::1/64", "fd00::/64"),
        ("fd00::1", "fd00::1/128"),
    ],
)
def test_networks_lose_the_bits_beyond_their_length(given: str, kernel: str) -> None:
    assert validation.network("here", given) == kernel


def test_interfaces_keep_them() -> None:
    assert validation.interface("here", "10.244.7.9/24") == "10.244.7.9/24"


@pytest.mark.parametrize(
    "text", ["10.0.0.0/33", "fd00::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/255.0.0.0", "::ffff:10.0.0.0/24"]
)
def test_lengths_that_do_not_fit_are_refused(text: str) -> None:
    with pytest.raises(validation.SpecError, match="prefix length"):
        validation.network("here", text)


def test_macs_are_lower_case_with_colons() -> None:
    assert validation.mac("here", "02-00-0A-F4-01-00") == "02:00:0a:f4:01:00"


@pytest.mark.parametrize("text", ["02:00:0a:f4:01", "02:00:0a:f4:01:0g", "00:00:00:00:00:00", "01:00:5e:00:00:01", "x"])
def test_what_no_station_has_is_no_mac(text: str) -> None:
    with pytest.raises(validation.SpecError):
        validation.mac("here", text)


@pytest.mark.parametrize("text", ["vx0", "eth0.100", "br-12ab", "a" * 15, "_x"])
def test_usual_names_of_interfaces_are_taken(text: str) -> None:
    assert validation.name("here", text) == text


@pytest.mark.parametrize("text", ["", "a" * 16, "a b", "a/b", "a\nb", 'a"b', "a#b", "-a", ".", "all", "default"])
def test_names_that_a_batch_would_read_as_something_else_are_refused(text: str) -> None:
    with pytest.raises(validation.SpecError):
        validation.name("here", text)


def test_numbers_stay_in_their_range() -> None:
    assert validation.number("here", "0x10", 1, 16) == 16
    for value in (0, 17, "x", "", None):
        with pytest.raises(validation.SpecError, match="of 1 to 16"):
            validation.number("here", value, 1, 16)


def test_all_faults_are_kept_and_very_many_are_counted() -> None:
    faults = validation.Faults()
    for number in range(validation.SHOWN + 2):
        with faults.noted():
            validation.address(f"list[{number}]", "x")
    lines = faults.text().splitlines()
    assert lines[0] == "list[0]: 'x' is no IP address"
    assert lines[-1] == "... and 2 more"
    assert len(lines) == validation.SHOWN + 1


@pytest.mark.parametrize("text", ["vxh\n", "a b", "-a", ".a", "a/b", "all", "default", "a" * 16, ""])
def test_what_is_no_name_of_an_interface_is_refused(text: str) -> None:
    with pytest.raises(validation.SpecError, match="is no name of an interface"):
        validation.name("devices[0].name", text)


@pytest.mark.parametrize(
    "text",
    ["0.0.0.0/0", "::/0", "10.0.0.0/0", "127.0.0.0/8", "127.5.0.0/16", "0.0.0.0/8", "224.0.0.0/4", "239.1.0.0/16",
     "240.0.0.0/4", "255.255.255.255", "::1", "ff02::/16"],
)  # fmt: skip
def test_no_route_leads_where_no_other_host_is(text: str) -> None:
    with pytest.raises(validation.SpecError, match=r"^routes\[0\]\.destination: "):
        validation.reachable("routes[0].destination", text)


@pytest.mark.parametrize("text", ["10.244.7.0/24", "128.0.0.0/1", "192.0.2.7", "fd00::/64", "2000::/3", "::2"])
def test_a_route_leads_to_any_other_network(text: str) -> None:
    assert validation.reachable("here", text) == validation.network("here", text)
