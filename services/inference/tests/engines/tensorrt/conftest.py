"""What needs the extra penstock-inference[tensorrt], and nothing but a GPU is missing where tests of it are skipped."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("cuda.bindings", reason="the extra penstock-inference[tensorrt] is not installed")
sys.path.insert(0, str(Path(__file__).parent))
