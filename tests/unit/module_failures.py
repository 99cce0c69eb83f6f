"""What a module's user reads where a block of it raises an error."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule


def failure(block: Callable[[], object], of: str = "", *further: type[Exception], **noted: Any) -> dict[str, Any]:
    """The result of a module whose block fails; what ``noted`` holds is noted of its result before."""
    out = io.StringIO()
    with patch_module_args({}), contextlib.redirect_stdout(out), pytest.raises(SystemExit):
        module = HostModule(argument_spec={})
        with module.reporting(of, *further) as told:
            told.update(noted)
            block()
    result: dict[str, Any] = json.loads(out.getvalue())
    assert result["failed"]
    return result
