"""How long does a decoder take to compile with TensorRT, and how much memory: whole shapes, random weights, no GPU.

Each engine is built in a process of its own, whose memory is then read. `--shape` and `--target` may be given several
times; the last line is JSON.
"""

import argparse
import json
import multiprocessing
import resource
import time
from dataclasses import dataclass

import numpy as np
from penstock_inference.engines.tensorrt.build import DECODE, PREFILL, build_engine
from penstock_inference.engines.tensorrt.library import open_library
from penstock_inference.engines.tensorrt.spec import KINDS, EngineSpec
from penstock_inference.formats import Floats, ModelConfig
from penstock_inference.formats.rotary import Rotary

# layers, hidden, heads, KV heads, size of a head, feed-forward, vocabulary
SHAPES = {
    "smollm2-135m": (30, 576, 9, 3, 64, 1536, 49_152),
    "llama-1b": (16, 2048, 32, 8, 64, 8192, 128_256),
    "llama-8b": (32, 4096, 32, 8, 128, 14_336, 128_256),
}
GIGABYTE = 1e9


@dataclass(frozen=True, slots=True)
class RandomDecoder:
    """A Llama of some shape whose weights are made as they are read."""

    config: ModelConfig
    random: np.random.Generator

    def tensor(self, name: str) -> Floats:
        """Make the weights of a tensor."""
        config = self.config
        hidden, inner = config.hidden_size, config.feed_forward_size
        query, key = config.heads * config.head_dim, config.kv_heads * config.head_dim
        shapes = {
            "embed_tokens": (config.vocabulary_tokens, hidden),
            "q_proj": (query, hidden),
            "k_proj": (key, hidden),
            "v_proj": (key, hidden),
            "o_proj": (hidden, query),
            "gate_proj": (inner, hidden),
            "up_proj": (inner, hidden),
            "down_proj": (hidden, inner),
        }
        shape = shapes.get(name.split(".")[-2], (hidden,))
        return self.random.standard_normal(shape, np.float32) * np.float32(0.02)


def decoder(shape: str) -> RandomDecoder:
    """Describe one of SHAPES."""
    layers, hidden, heads, kv_heads, head_dim, inner, vocabulary = SHAPES[shape]
    frequencies = 500_000.0 ** -(np.arange(0, head_dim, 2) / head_dim)
    config = ModelConfig(
        architecture="llama",
        layers=layers,
        hidden_size=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        feed_forward_size=inner,
        vocabulary_tokens=vocabulary,
        rotary=Rotary(tuple(frequencies.tolist())),
        rms_epsilon=1e-5,
        context_tokens=131_072,
        tied_embeddings=True,
        eos_ids=(),
        chat_template=None,
        special_tokens={},
    )
    return RandomDecoder(config, np.random.default_rng(1))


def measure(shape: str, target: str, kind: str) -> dict[str, object]:
    """Build one engine and say what it took."""
    weights, spec = decoder(shape), EngineSpec(target, kind, 64, 2048, 256)
    began = time.monotonic()
    _, report = build_engine(open_library(), weights, spec, lambda *_: None)
    return {
        "shape": shape,
        "target": target,
        "kind": kind,
        "seconds": round(time.monotonic() - began, 1),
        "cpu_seconds": round(time.process_time(), 1),
        "plan_gb": round(report.plan_bytes / GIGABYTE, 2),
        "memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIGABYTE, 2),
        "layers": weights.config.layers,
        "fused_attention": [report.fused_attention(profile) for profile in (PREFILL, DECODE)],
        "scratch_mb": [round(scratch / 1e6, 1) for scratch in report.activation_bytes],
    }


def main() -> None:
    """Build what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, action="append")
    parser.add_argument("--target", action="append")
    parser.add_argument("--kind", choices=KINDS, default="bf16")
    parser.add_argument("--quick", action="store_true", help="the smallest shape, for one target")
    arguments = parser.parse_args()
    shapes = arguments.shape or ["smollm2-135m"] + ["llama-1b"] * (not arguments.quick)
    targets = arguments.target or (["sm89"] if arguments.quick else ["sm80", "sm86", "sm89", "sm120"])
    results = []
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for shape in shapes:
            for target in targets:
                results.append(pool.apply(measure, (shape, target, arguments.kind)))
                print(*(f"{name} {value}" for name, value in results[-1].items()), sep="  ")
    print(json.dumps({"engine_builds": results}))


if __name__ == "__main__":
    main()
