"""Run Ansible's modules on a lab's host in processes that have Python and Ansible's own code already.

usage: serve.py SOCKETS DIRECTORY

Starting Python and importing what every module imports takes most of the processor time of a scenario. Here it is
done once: what is sent to a host runs in a copy of this process, as `sudo python3` would run it there. DIRECTORY holds
the controller's package `ansible`. A client connects to the socket in SOCKETS that has an address of this host for its
name, is sent a byte, and sends three descriptors, its standard input with the program, its output and its errors; it is
sent the exit status in one byte, and nothing where a signal ended it.
"""

import array
import atexit
import contextlib
import importlib
import os
import signal
import socket
import sys
import threading
import types

# sudo's, for an account that has logged in with OpenSSH.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "LOGNAME": "root",
    "MAIL": "/var/mail/root",
    "SHELL": "/bin/bash",
    "TERM": "unknown",
    "USER": "root",
    "SUDO_USER": "ops",
    "SUDO_UID": "1000",
    "SUDO_GID": "1000",
}
# What nearly all modules import; the collection's own code comes with each of them.
IMPORTED = ("ansible.module_utils.basic", "concurrent.futures", "ipaddress", "subprocess", "tempfile", "zipfile")


def run(client: socket.socket) -> None:
    """The program that a client sends, in place of this process."""
    client.send(b".")
    _data, received, _flags, _address = client.recvmsg(1, socket.CMSG_SPACE(3 * array.array("i").itemsize))
    descriptors = array.array("i", received[0][2])
    for wanted, descriptor in enumerate(descriptors):
        os.dup2(descriptor, wanted)
        os.close(descriptor)
    os.setsid()
    status = 0
    try:
        program = types.ModuleType("__main__")
        sys.modules["__main__"] = program
        exec(compile(sys.stdin.buffer.read(), "<stdin>", "exec"), program.__dict__)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    client.send(bytes([status & 255]))


def address() -> str:
    """The address at which Ansible reaches this host: that of the host's own name."""
    return socket.gethostbyname(socket.gethostname())


def serve(path: str) -> None:
    """Take clients for ever, each in a process of its own."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    server = socket.socket(socket.AF_UNIX)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    server.bind(path)
    # For whoever runs the scenarios, whose directory it is in, as with the key beside it.
    os.chmod(path, 0o666)
    server.listen(64)
    while True:
        client, _address = server.accept()
        if os.fork() == 0:
            server.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                run(client)
            finally:
                os._exit(0)
        client.close()


if __name__ == "__main__":
    os.environ.clear()
    os.environ.update(ENVIRONMENT)
    os.umask(0o077)  # as the lab's sudoers says
    os.chdir("/home/ops")
    sys.path.append(sys.argv[2])
    for name in IMPORTED:
        importlib.import_module(name)
    serve(os.path.join(sys.argv[1], address()))
