"""What the conformance tests share."""

from __future__ import annotations

import pytest

from tpumlir_core.errors import InputError
from tpumlir_sophgo.cmodel import library


@pytest.fixture(scope="session")
def emulator() -> None:
    """Tests that need the emulator are skipped where it has not been fetched."""
    try:
        library("bm1684x")
    except InputError as error:
        pytest.skip(str(error))
