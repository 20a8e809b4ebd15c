"""Everything here runs in virtual time, on both backends."""

from __future__ import annotations

from typing import Any

import pytest

from wsclient.testing.clock import VIRTUAL_BACKENDS, virtual_backend


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_backend(request.param)
