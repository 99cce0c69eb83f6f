"""Have Python keep what it compiles out of a zip.

Ansible sends a task's sources in one, and compiling them anew takes an emulated processor longer than the task.
What is kept is found by the sources themselves, so it is never another's.
"""

import _imp
import marshal
import os
import types
import zipimport

CACHE = "/var/cache/compiled"
compile_source = zipimport._compile_source  # type: ignore[attr-defined]


def kept(path: str, source: bytes) -> types.CodeType:
    """The code of a module in a zip."""
    inside = path.encode().rpartition(b".zip/")[2]
    place = f"{CACHE}/{_imp.source_hash(0, inside + source).hex()}"
    try:
        with open(place, "rb") as stream:
            # Not marshal.load: it calls the stream for every few bytes.
            found: types.CodeType = marshal.loads(stream.read())
    except OSError:
        found = compile_source(path, source)
        part = f"{place}.{os.getpid()}"
        with open(part, "wb") as stream:
            marshal.dump(found, stream)
        os.rename(part, place)
    return found


zipimport._compile_source = kept  # type: ignore[attr-defined]
