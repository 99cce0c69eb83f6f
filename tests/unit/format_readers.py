"""Strict readers of the formats that roles write: what a daemon would read, or an error, and never a guess."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import yaml

# Settings of units that are command lines, and others that are lists of words.
COMMANDS = re.compile(r"Exec(Start|Stop|Reload)(Pre|Post)?")
LISTS = ("ReadWritePaths",)
BLANKS = " \t"


class ReadError(ValueError):
    """What the format's own reader refuses too."""


def _logical_lines(text: str) -> Iterator[str]:
    """Lines as systemd joins them: a comment within a joined line is left out."""
    held = ""
    for line in re.split(r"[\n\r\0]", text):
        line = line.strip(BLANKS)
        if line.startswith(("#", ";")):
            continue
        if len(line) - len(line.rstrip("\\")) & 1:
            held += line[:-1] + " "
            continue
        yield (held + line).strip(BLANKS)
        held = ""
    if held:
        raise ReadError("a line is joined with none")


def _specifiers(text: str) -> str:
    """systemd.unit(5), Specifiers: the units have none."""
    if re.sub("%%", "", text).count("%"):
        raise ReadError(f"a specifier in {text}")
    return text.replace("%%", "%")


def _words(text: str) -> list[str]:
    """systemd.syntax(7), Quoting; of escapes those alone that the collection writes."""
    found = []
    for match in re.finditer(r"\s*(?:([\"'])((?:\\.|(?!\1)[^\\])*)\1(?=\s|$)|([^\s\"'\\]+)(?=\s|$)|(.+))", text):
        _quote, inner, bare, rest = match.groups()
        if rest and rest.strip():
            raise ReadError(f"not words: {rest}")
        if "\\" in re.sub(r"\\[\"'\\]", "", inner or ""):
            raise ReadError(f"an escape in {inner}")
        if bare == ";":
            raise ReadError("a second command")
        if inner is not None or bare is not None:
            found.append(re.sub(r"\\(.)", r"\1", inner) if inner is not None else bare)
    return found


def _argument(word: str) -> str:
    """systemd.service(5): $$ is a dollar, and the units have these variables alone."""
    if re.sub(r"\$\$|\$MAINPID|\$\{BINARY_CLUSTER_DIGEST\}|\$family|\$\(mktemp", "", word).count("$"):
        raise ReadError(f"a variable in {word}")
    return word.replace("$$", "$")


def unit(text: str) -> list[Any]:
    """Section, setting and value of every setting of a unit; of commands and lists their words."""
    found: list[Any] = []
    section = ""
    for line in _logical_lines(text):
        if not line:
            continue
        if line.startswith("["):
            section = line
            continue
        name, mark, value = line.partition("=")
        if not mark or not re.fullmatch("[A-Za-z]+", name):
            raise ReadError(f"not a setting: {line}")
        value = _specifiers(value.strip(BLANKS))
        if COMMANDS.fullmatch(name):
            found.append([section, name, *map(_argument, _words(value))])
        elif name in LISTS:
            found.append([section, name, *_words(value)])
        else:
            found.append([section, name, value])
    return found


def environment(text: str) -> list[Any]:
    """Name and value of every variable, by the states of systemd's parse_env_file()."""
    found: list[Any] = []
    rest = text
    while rest:
        line = re.match(r"[ \t]*([#;][^\n\r]*)?[\n\r]", rest)
        if line:
            rest = rest[line.end() :]
            continue
        name = re.match(r"[ \t]*([A-Za-z_][A-Za-z0-9_]*)=[ \t]*", rest)
        if not name:
            raise ReadError(f"not a variable: {rest[:40]!r}")
        value, rest = _environment_value(rest[name.end() :])
        found.append([name[1], value])
    return found


def _environment_value(text: str) -> tuple[str, str]:
    value, at = "", 0
    while at < len(text) and text[at] in "\"'":
        mark, at = text[at], at + 1
        while at < len(text) and text[at] != mark:
            if mark == '"' and text[at] == "\\":
                at += 1
                value += text[at : at + 1] if text[at : at + 1] in '"\\`$' else "\\" + text[at : at + 1]
            else:
                value += text[at]
            at += 1
        if at >= len(text):
            raise ReadError("quotes without an end")
        at += 1
    bare = ""
    while at < len(text) and text[at] not in "\n\r":
        if text[at] == "\\":
            at += 1
        bare += text[at : at + 1]
        at += 1
    return value + bare.rstrip(BLANKS), text[at:]


def _blocks(tokens: Iterator[str | None]) -> list[Any]:
    """Directives, each a list of its words; None ends one."""
    found: list[Any] = []
    words: list[Any] = []
    for token in tokens:
        if token is None:
            if words:
                found.append(words)
            words = []
        else:
            words.append(token)
    if words:
        raise ReadError(f"no end of {words}")
    return found


def _tokens(text: str, pattern: str) -> Iterator[re.Match[str]]:
    """All of a text as matches of the pattern, one beside the other."""
    at = 0
    while at < len(text):
        match = re.compile(pattern, re.S).match(text, at)
        if not match or match.end() == at:
            raise ReadError(f"cannot be read: {text[at : at + 40]!r}")
        yield match
        at = match.end()


def nginx(text: str) -> list[Any]:
    """Words of every directive (ngx_conf_read_token)."""
    pattern = (
        r"(?P<skip>\s+|#[^\n]*)|(?P<end>[;{}])"
        r"|(?P<mark>[\"'])(?P<inner>(?:\\.|(?!(?P=mark))[^\\])*)(?P=mark)(?=[\s;{)])|(?P<bare>[^\s;{}\"'#\\][^\s;{}\\]*)"
    )

    def words() -> Iterator[str | None]:
        for one in _tokens(text, pattern):
            if one["end"]:
                if one["end"] != ";":
                    yield one["end"]
                yield None
            elif not one["skip"]:
                yield re.sub(r"\\([\"'\\])", r"\1", one["inner"]) if one["mark"] else one["bare"]

    return _blocks(words())


def keepalived(text: str) -> list[Any]:
    """Words of every line (keepalived.conf(5)); quotes, macros and conditions are refused."""
    found = []
    for line in re.split(r"[\n\r\v\f]", text):
        words = re.split(r"[!#]", line)[0].split()
        if any(re.search(r"[\"$@\\()]", word) or (set("{}") & set(word) and len(word) > 1) for word in words):
            raise ReadError(f"of another meaning: {line}")
        if words:
            found.append(words)
    return found


def corefile(text: str) -> list[Any]:
    """Words of every line, as CoreDNS' lexer of caddyfile has them."""
    found: list[list[str]] = [[]]
    at = 0
    while at < len(text):
        character = text[at]
        if character == "\n":
            found.append([])
        elif character == "#":
            at = text.find("\n", at) - 1
        elif character == '"':
            word, at = _corefile_quoted(text, at + 1)
            found[-1].append(word)
        elif not character.isspace():
            word = re.compile(r"[^\s#]+").match(text, at)[0]  # type: ignore[index]
            found[-1].append(word)
            at += len(word) - 1
        at += 1
    # In the parser {$X} and {%X%} become variables of the environment, in quotes too.
    if any(re.search(r"\{[$%]", word) for words in found for word in words):
        raise ReadError("a variable of the environment")
    return [words for words in found if words]


def _corefile_quoted(text: str, at: int) -> tuple[str, int]:
    word, escaped = "", False
    for end in range(at, len(text)):
        character = text[end]
        if not escaped and character == "\\":
            escaped = True
        elif not escaped and character == '"':
            return word, end
        else:
            word += ("\\" if escaped and character != '"' else "") + character
            escaped = False
    raise ReadError("quotes without an end")


def bird(text: str) -> list[Any]:
    """Words of every statement: BIRD's strings have no escapes."""
    pattern = r"(?P<skip>\s+|#[^\n]*|//[^\n]*)|(?P<end>[;{}])|(?P<word>\"[^\"\n]*\"|[^\s;{}\"#]+)"

    def words() -> Iterator[str | None]:
        for one in _tokens(text, pattern):
            if not one["skip"]:
                # The name of a protocol is made of the peer's address, in other characters.
                yield re.sub(r"^Peer_.*", "Peer", one[0].strip('"'))
            if one["end"]:
                yield None

    return _blocks(words())


def nft(text: str) -> list[Any]:
    """Words of every line; strings have no escapes."""
    pattern = r"(?P<skip>[ \t]+|#[^\n]*)|(?P<end>\n)|(?P<word>\"[^\"\n]*\"|[{};,]|[^\s{};,\"#]+)"

    def words() -> Iterator[str | None]:
        for one in _tokens(text, pattern):
            if not one["skip"]:
                yield None if one["end"] else one[0].strip('"')

    return _blocks(words())


def shell(text: str) -> list[Any]:
    """Arguments of every call of ip that the shell itself makes of a script; nothing else can run."""
    script = "ip() { printf '%s\\0' \"$@\"; echo; }\nsleep() { :; }\n" + text.replace(" 2>/dev/null", "")
    ran = subprocess.run(
        ["/bin/sh", "-c", script], env={"PATH": "/nonexistent", "SERVICE_RESULT": "x"}, capture_output=True, check=False
    )
    if ran.returncode or ran.stderr:
        raise ReadError(ran.stderr.decode())
    return [line.split("\0") for line in ran.stdout.decode().split("\n")]


READERS: dict[str, Callable[[str], Any]] = {
    "unit": unit,
    "environment": environment,
    "nginx": nginx,
    "keepalived": keepalived,
    "corefile": corefile,
    "bird": bird,
    "nft": nft,
    "shell": shell,
    "yaml": yaml.safe_load,
}
