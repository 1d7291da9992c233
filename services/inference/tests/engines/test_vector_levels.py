"""Operators are compiled for several levels of vector instructions: those below this processor's hold, too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BESIDE = Path(__file__).parent
TESTS = ("test_block_linear.py", "test_paged_attention.py")


@pytest.mark.parametrize(("level", "name"), [(1, "any x86-64 or Arm"), (2, "AVX2")])
def test_operators_hold_at_a_lower_level(level, name, tmp_path):
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"--basetemp={tmp_path}"]
    run = subprocess.run(
        [*command, *(str(BESIDE / test) for test in TESTS)],
        env=os.environ | {"PENSTOCK_VECTOR_LEVEL": str(level)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, f"{name}: {run.stdout[-4000:]}"
