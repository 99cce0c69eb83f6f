"""Stand in for ssh where a host of a lab has processes for Ansible's modules that are started already.

Takes ssh's arguments, and the directory of the hosts' sockets from LAB_SOCKETS. What does not start a module as root,
and what finds nobody at the host's socket, is left to ssh itself. It imports what is built in alone: its own start is
most of what it costs.
"""

import os
import sys
from _socket import AF_UNIX, SCM_RIGHTS, SO_RCVTIMEO, SOCK_STREAM, SOL_SOCKET, socket
from _struct import pack

# How Ansible has sudo start a module, up to and after a word that is another one each time, and Python's version.
STARTS, PYTHON, ENDS = (
    """/bin/sh -c 'sudo -H -S -n  -u root /bin/sh -c '"'"'echo """,
    " ; /usr/bin/python3",
    """'"'"''""",
)

# In which a server begins with its client; ssh has a time of its own after it.
SECONDS = 5


def run(host: str, word: str) -> None:
    """Have the host's server run what is at the standard input; returns where nobody serves, or the host is frozen."""
    server = socket(AF_UNIX, SOCK_STREAM)
    # Not by its whole path: that of a socket has 107 bytes at most.
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(os.environ["LAB_SOCKETS"])
        server.connect(host)
        server.setsockopt(SOL_SOCKET, SO_RCVTIMEO, pack("ll", SECONDS, 0))
        if not server.recv(1):
            raise OSError
        server.setsockopt(SOL_SOCKET, SO_RCVTIMEO, pack("ll", 0, 0))
    except OSError:
        os.fchdir(here)
        return
    os.write(1, word.encode() + b"\n")
    server.sendmsg([b"."], [(SOL_SOCKET, SCM_RIGHTS, pack("3i", 0, 1, 2))])
    status = server.recv(1)
    os._exit(status[0] if status else 137)


host, command = sys.argv[-2:]
word, python, version = command.removeprefix(STARTS).removesuffix(ENDS).partition(PYTHON)
if python and word.isascii() and word.replace("-", "").isalpha() and version.replace(".", "").isdigit() | (not version):
    run(host, word)
os.execvp("ssh", ["ssh", *sys.argv[1:]])
