"""What the tests of the scenarios share."""

import pytest

pytest.register_assert_rewrite("testing.runs", "testing.ipip")
