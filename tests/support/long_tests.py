"""Tests that the gate has no time for: whoever changes what they are about asks for them."""

import os

import pytest

VARIABLE = "MESHWRIGHT_LONG_TESTS"
when_asked = pytest.mark.skipif(
    os.environ.get(VARIABLE) != "1", reason=f"the gate has no time for it; {VARIABLE}=1 asks for it"
)
