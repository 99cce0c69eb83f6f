"""What the argument_specs take is what templates see: in any form that an inventory or a command line gives it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.binary_cluster.networking.plugins.action import preflight as action
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory import model as inventory_model
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight import checks as preflight_checks
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import role_options

from tests.unit.role_templates import evaluate, render, role_variables

ROLES = Path(__file__).resolve().parents[2] / "roles"
OPTIONS = [(role, name) for role, options in role_options.of_all_roles().items() for name in options]
# Raw forms by type. An INI inventory and `-e name=value` give texts, which a template reads as they are.
FORMS: Mapping[str, tuple[Any, ...]] = {
    "int": ("5", "2_379", "٢٣٧٩", " 5 ", "5\n", "1.0", "0x10", "-1", "007", "", 1.5, -1, True, [5], "x", None, "1e3"),
    "float": ("1.5", "1_0.5", " 1.5", "1.5\n", "nan", "inf", "-0.5", "", True, [1.5], "x", None, "1,5"),
    "bool": ("no", "yes", "false", "true", "False", "on", "0", "1", "y", "n", "t", " yes ", "no\n", "", 1, 0, 2, 1.0,
             "maybe", [True], None),
    "str": (["a"], {"a": "b"}, "a\nb", None),
    "path": (["a"], {"a": "b"}, "/a\nb", None),
    "list": ("a", "a,b", "[1]", {"a": 1}, 5, "", None),
    "dict": ("a", "a=b", '{"a": "b"}', ["a"], 5, "", None),
}  # fmt: skip

# A rendering of all that a role has takes long; of the forms that are taken, these stand for the others.
COMPARED = ("5", "1.5", "no", "yes")


def refused(role: str, name: str, value: Any) -> list[inventory_model.Fault]:
    """Faults of a value of an option of a role, from the checks that every run makes."""
    spec = {"preflight": role_options.argument_spec("preflight"), role: role_options.argument_spec(role)}
    host = inventory_model.Host("node1", {name: value})
    faults = action.validate(spec[role], host.variables, "node1")
    found = preflight_checks.check(inventory_model.Inventory({"node1": host}, {}, spec, faults=faults), action.CHECKS)
    return [fault for fault in found if fault.variable.partition("[")[0].partition(".")[0] == name]


@cache
def places(role: str) -> tuple[str, ...]:
    """What a role makes of its options: its templates, and its variables."""
    templates = [path.name for path in sorted((ROLES / role / "templates").glob("*.j2"))]
    return (*templates, *(name for name in role_variables(role) if name.startswith("_")))


def seen(role: str, options: Mapping[str, Any]) -> dict[str, str]:
    """What each of the places is with these options; of what needs more than the variables here, how it fails."""
    found = {}
    for place in places(role):
        try:
            told = render(role, place, options) if place.endswith(".j2") else evaluate(role, place, options)
        except AnsibleError as error:
            told = type(error).__name__
        found[place] = str(told)
    return found


@pytest.mark.parametrize(("role", "name"), OPTIONS)
def test_a_value_is_refused_or_seen_as_its_type(role: str, name: str) -> None:
    option = role_options.argument_spec(role)[name]
    for value in FORMS[option["type"]]:
        faults = refused(role, name, value)
        if faults:
            shown = [str(fault) for fault in faults]
            assert all(text.startswith(name) and text.isprintable() for text in shown), shown
            continue
        outcome = ArgumentSpecValidator({name: {**option, "no_log": False}}).validate({name: value})
        typed = outcome.validated_parameters[name]
        assert not outcome.error_messages, value
        if value in COMPARED and type(typed) is not type(value):
            assert seen(role, {name: value}) == seen(role, {name: typed}), value


@pytest.mark.parametrize(
    ("role", "name", "value"),
    [
        ("coredns", "coredns_upstreams", "192.0.2.53"),
        ("preflight", "cluster_dns_upstreams", "192.0.2.53"),
        ("coredns", "coredns_kubernetes", "kubeconfig=/x"),
        ("coredns", "coredns_zones", [{"names": "example.org"}]),
        ("api_load_balancer", "api_load_balancer_listeners", [{"port": 7443, "backends": "192.0.2.1:7443"}]),
        ("etcd", "etcd_environment", ["a"]),
        ("preflight", "cluster_pod_cidr", ["10.244.0.0/16"]),
        ("flannel", "flannel_interface", None),
        ("flannel", "flannel_vxlan_vni", "1a"),
    ],
)
def test_a_value_of_another_type_is_one_fault(role: str, name: str, value: Any) -> None:
    assert len(refused(role, name, value)) == 1


def test_a_secret_of_another_type_is_not_shown() -> None:
    (fault,) = refused("api_load_balancer", "api_load_balancer_vrrp_password", ["s3cr3t"])
    assert "s3cr3t" not in str(fault)


def test_a_part_that_is_not_known_is_told_beside_another_parts_fault() -> None:
    """The fault of one part of a value, such as a name that is not legal, must not hide that of another."""
    zones = [{"names": ["-x.org"], "forward": {"to": ["192.0.2.53"], "plicy": "random"}}]
    options = role_options.argument_spec("coredns")
    (fault,) = action.validate(options, {"coredns_further_zones": zones}, "a.example")
    assert "coredns_further_zones.forward.plicy" in fault.remedy
    assert not fault.general
