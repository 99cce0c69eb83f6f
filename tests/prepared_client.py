"""Ask prepared.py for a run of one of Ansible's programs, or be that program where nobody answers.

usage: prepared_client.py SOCKET PROGRAM [ARGUMENT ...]

It imports what is built in alone: it is started for each run.
"""

import marshal
import os
import sys
from _signal import SIG_DFL, SIGHUP, SIGINT, SIGQUIT, SIGTERM, signal
from _socket import AF_UNIX, SCM_RIGHTS, SOCK_STREAM, SOL_SOCKET, socket
from _struct import pack, unpack


def as_usual(descriptor: int) -> bool:
    """Whether a descriptor is such that a program in another session can have it in its place."""
    return os.get_blocking(descriptor) and not os.isatty(descriptor)


def ask(path: str, program: str, arguments: list[str]) -> None:
    """Have the program run, and end as it ends; returns where nobody runs it."""
    server = socket(AF_UNIX, SOCK_STREAM)
    umask = os.umask(0o077)
    os.umask(umask)
    request = (os.path.basename(program), arguments, os.getcwd(), dict(os.environ), umask)
    message = marshal.dumps(request)
    try:
        if not all(map(as_usual, range(3))):
            return
        server.connect(path)
        server.sendmsg([pack("=I", len(message))], [(SOL_SOCKET, SCM_RIGHTS, pack("3i", 0, 1, 2))])
        server.sendall(message)
        if server.recv(1) != b".":
            return
    except OSError:
        return
    for number in (SIGHUP, SIGINT, SIGQUIT, SIGTERM):
        signal(number, lambda received, _frame: server.sendall(bytes([received])))
    ended = server.recv(4)
    if not ended:
        sys.exit(f"{program}: the process that ran it is gone")
    (status,) = unpack("=i", ended)
    if status >= 0:
        os._exit(status)
    signal(-status, SIG_DFL)
    os.kill(os.getpid(), -status)


ask(sys.argv[1], sys.argv[2], sys.argv[3:])
os.execv(sys.argv[2], sys.argv[2:])
