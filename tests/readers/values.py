"""Texts that some format takes for more than themselves."""

HOSTILE = (
    # systemd: specifiers, variables, a second command, joined lines, escapes.
    "a%n%%b",
    "$HOME",
    "${HOME}",
    "a$$b",
    " ; /bin/x",
    "a;b",
    "a\\",
    "\\x41\\n",
    'a" --x="b',
    '"a b"',
    "'a b'",
    "a'b",
    " a ",
    "a\nExecStartPre=+/bin/x",
    # Comments and blocks of nginx, keepalived, BIRD and the Corefile.
    "a # b",
    "a#b",
    "#a",
    "!a",
    "a!b",
    "a//b",
    "/* b",
    "} b {",
    "a; b",
    "a{b}",
    "{$HOME}",
    "{%HOME%}",
    "import",
    # Of the shell, and of whoever has patterns.
    "`id`$(id)",
    "a&b|c",
    "<>(a)[b]*?~^",
    # Ranges, networks, lists and zones of addresses.
    "/0",
    "-9.9.9.9",
    "-192.0.2.99",
    ",9.9.9.9",
    "%eth0",
    "@a=b:c+d",
    # Paths that are another text than what they lead to.
    "a/../b",
    "a/./b",
    # Letters, and blanks that only some know.
    "é€\U0001f600",
    "a\xa0b\u3000",
)
