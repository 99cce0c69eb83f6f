"""A backend as an API server is to a balancer: TLS, and an answer at /readyz. Its name is the answer.

usage: backend.py PORT CERTIFICATE KEY
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys

NAME = socket.gethostname().encode()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request after another until the client leaves."""
    try:
        while True:
            request = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(NAME), NAME))
            await writer.drain()
            if b"Connection: close" in request:
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(sys.argv[2], sys.argv[3])
    server = await asyncio.start_server(serve, None, int(sys.argv[1]), ssl=tls, backlog=1024)
    async with server:
        await server.serve_forever()


asyncio.run(main())
