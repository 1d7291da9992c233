"""Run the inference service: `python -m penstock_inference`."""

from servicekit.server import run

from penstock_inference.server import build
from penstock_inference.settings import InferenceSettings

if __name__ == "__main__":
    run(build, InferenceSettings)
