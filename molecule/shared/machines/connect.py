"""Connect to a TCP port and hand the connection to ssh (ProxyUseFdpass), which then talks over it alone.

usage: connect.py HOST PORT
"""

from __future__ import annotations

import socket
import sys

with (
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10) as connection,
    socket.socket(fileno=sys.stdout.fileno()) as ssh,
):
    connection.settimeout(None)
    socket.send_fds(ssh, [b"\0"], [connection.fileno()])
