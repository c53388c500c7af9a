"""The event loops that everything runs on, for tests in real time: virtual time needs a loop of its own kind."""

import pytest

LOOPS = [
    pytest.param("asyncio", id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    pytest.param("trio", id="trio"),
]
