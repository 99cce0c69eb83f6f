"""A hostile value of an option is refused, or a file says with it what it says with any other, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible.errors import AnsibleError
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._rendering import quoting
from hypothesis import example, given, settings, strategies as some

from tests.unit import role_templates
from tests.unit.format_readers import READERS
from tests.unit.rendered_options import FILES, Rendered, replaced

HOSTILE = some.text(alphabet="aZ0.-_/:=,;%$#!@&|~*?<>(){}[]+^`'\"\\ \t\n\r\x00\x7f\x85\u2028\xa0é€", max_size=6)
PARTS = some.sampled_from([
    "\nExecStartPre=+/bin/x", "\nETCD_CLIENT_CERT_AUTH=false", "%n", "${HOME}", "$HOME", "$(id)", "`id`", " --x",
    '" --x="',
    " ; /bin/x", "\\", '\\"', "{$HOME}", "{%HOME%}", "; x 1", "} x {", " # x", "!x", "x: y", "- x", "', x: '",
    "\tx", ",x",
])  # fmt: skip


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.role}/{file.template}")
@settings(max_examples=5, deadline=None)
@given(text=some.lists(HOSTILE | PARTS, min_size=1, max_size=3).map("".join).filter(bool))
@example(text="\nx")
def test_a_hostile_value_is_refused_or_means_itself(file: Rendered, text: str) -> None:
    read = READERS[file.form]
    meant = read(file.render(file.valid))
    assert meant != replaced(meant, file.valid, "other"), "the option is not in the file"
    try:
        said = read(file.render(text))
    except AnsibleError:
        return
    assert said == replaced(meant, file.valid, text)


@pytest.mark.parametrize("form", quoting.FORMATS)
@given(
    before=some.text(max_size=3),
    line=some.sampled_from("\n\r\x00\x1b\x85\u2028\ud800\ufffe"),
    after=some.text(max_size=3),
)
def test_no_format_takes_a_second_line(form: str, before: str, line: str, after: str) -> None:
    with pytest.raises(quoting.QuoteError, match=r"^etcd_x: character U"):
        quoting.quoted(before + line + after, form, "etcd_x")


@pytest.mark.parametrize(
    ("form", "value", "error"),
    [
        ("unit_path", "/srv/my etcd",
         "v: character ' ' cannot be written to an absolute path in a systemd unit; leave it out"),
        ("unit_path", "srv", "v: character 's' cannot be written to an absolute path in a systemd unit; leave it out"),
        ("unit", "daily\\", "v: character '\\\\' cannot be written to a setting of a systemd unit; leave it out"),
        ("unit", "daily ", "v: character ' ' cannot be written to a setting of a systemd unit; leave it out"),
        ("unit", "", "v: cannot be empty in a setting of a systemd unit; give it a value"),
        ("environment", "a\tb", "v: character U+0009 cannot be written to an environment file; leave it out"),
        ("keepalived", "pa!ss", "v: character '!' cannot be written to a word in keepalived.conf; leave it out"),
        ("bird", 'pa"ss', "v: character '\"' cannot be written to a string in bird.conf; leave it out"),
        ("nginx", "$host", "v: character '$' cannot be written to a word in nginx.conf; leave it out"),
        ("corefile", "{$HOME}", "v: character '{' cannot be written to a word in the Corefile; leave it out"),
    ],
)  # fmt: skip
def test_what_is_refused_is_named(form: str, value: str, error: str) -> None:
    with pytest.raises(quoting.QuoteError) as refused:
        quoting.quoted(value, form, "v")
    assert str(refused.value) == error


def test_an_item_of_a_list_is_one_item() -> None:
    assert quoting.quoted(["a", "b"], "environment", "v") == "a,b"
    with pytest.raises(quoting.QuoteError, match=r"^v: character ',' cannot be written to an item of a list"):
        quoting.quoted(["a,b"], "environment", "v")


# What is no text of anybody's: numbers and booleans, what a filter wrote, and names that the roles give themselves.
WRITTEN = re.compile(
    r"quoted[(']|\| (int|float|bool|lower|to_json|to_nice_json\(indent=2\)|comment)\b|bool \| to_json"
    r"|^(_api_load_balancer_(account|directory|health|hand_over|priority|drain \+ 30)|_verify_watch(_library)?"
    r"|_etcd_peer_name|router\.(id|name)|router\.further|seconds|_api_load_balancer_ports .*"
    r"|loop\.index|capability|listener\.port \| int"
    r"|'bird' if .*|_calico_mode if .*)$"
)
# Set in the template, of what was written there.
SET = re.compile(r"\{%-? set (\w+) = (?:(?!%\}).)*(quoted|nth_address|'udp dport ')", re.S)
TEMPLATES = sorted(role_templates.ROOT.glob("roles/*/templates/*.j2"))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_no_template_writes_a_value_as_it_is(path: Path) -> None:
    text = path.read_text()
    own = {match[1] for match in SET.finditer(text)}
    if path.name == "due.yml.j2":
        own.add("name")  # of a daemon
    written = re.findall(r"\{\{ (.*?) \}\}", text)
    assert [one for one in written if not WRITTEN.search(one) and re.split(r"\W", one)[0] not in own] == []
