"""Have the Python of a lab's host keep what it compiles out of a zip.

Ansible sends a task's sources in one, and compiling them anew takes longer than the task: most of the processor time
of a scenario, and on an emulated processor nearly all. What is kept is found by the sources themselves and by the
version of Python, so it is never another's, and hosts may share it.
"""

import _imp
import marshal
import os
import sys
import types
import zipimport
from contextlib import suppress

CACHE = "/var/cache/compiled"
compile_source = zipimport._compile_source  # type: ignore[attr-defined]


def kept(path: str, source: bytes) -> types.CodeType:
    """The code of a module in a zip."""
    inside = path.encode().rpartition(b".zip/")[2]
    place = f"{CACHE}/{sys.implementation.cache_tag}-{_imp.source_hash(0, inside + source).hex()}"
    try:
        with open(place, "rb") as stream:
            # Not marshal.load: it calls the stream for every few bytes.
            found: types.CodeType = marshal.loads(stream.read())
    except OSError:
        found = compile_source(path, source)
        part = f"{place}.{os.urandom(8).hex()}"
        # Not everybody may write there.
        with suppress(OSError):
            with open(part, "wb") as stream:
                marshal.dump(found, stream)
            os.chmod(part, 0o644)
            os.rename(part, place)
    return found


zipimport._compile_source = kept  # type: ignore[attr-defined]
