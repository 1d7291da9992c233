"""Does the evaluation harness of EleutherAI get through the edge what it needs, and how fast?

lm_eval asks `/v1/completions` of a whole stack how likely every end of a sentence is (evaluation/facts.jsonl, ours), as
token ids, echoed and scored. It knows nothing of us but an address and a key. Beside it stands what we find when we ask
for the same likelihoods ourselves, as text.
"""

import argparse
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import openai
from harness import install
from harness.generation_report import console
from harness.gguf import smollm2
from harness.paths import BENCH, CACHE, REPO
from harness.report import Report, rounded
from harness.stack import penstock_with_its_models
from harness.systems import System
from matplotlib.figure import Figure
from penstock_inference.formats.opening import open_weights
from rich.table import Table

TASK = "penstock_facts"
TASKS = BENCH / "evaluation"
MODEL = "smollm2-135m-instruct"
PLACE = CACHE / "evaluation"
SECONDS_MAX = 600


def main() -> None:
    """Measure, tell people, tell programs."""
    arguments = _arguments()
    absent = install.lm_eval()
    if arguments.setup or absent:
        raise SystemExit(absent or None)
    report = Report("evaluation", quick=arguments.quick)
    items = [json.loads(line) for line in (TASKS / "facts.jsonl").read_text().splitlines()]
    items = items[:12] if arguments.quick else items
    _write_tokenizer(PLACE / "tokenizer")
    with console.status("starting the stack"):
        stack = penstock_with_its_models()
    try:
        with console.status("asking ourselves"):
            ours = _own_choices(stack, items)
        with console.status("lm_eval"):
            began = time.monotonic()
            results = _lm_eval(stack, len(items))
            seconds = time.monotonic() - began
    finally:
        stack.processes.stop()
    accuracies = {"lm_eval": results["acc,none"], "asked ourselves": ours}
    console.print(_table(accuracies, len(items)))
    _plot(accuracies, report.path(".png"))
    figures = {
        "lm_eval_acc": rounded(results["acc,none"]),
        "lm_eval_acc_norm": rounded(results["acc_norm,none"]),
        "own_acc": rounded(ours),
        "lm_eval_seconds": rounded(seconds),
    }
    report.finish(figures, {"items": len(items), "results": results})


def _own_choices(stack: System, items: list[dict[str, Any]]) -> float:
    """Give how often the likeliest end is the right one, by likelihoods that are asked for as plain text."""
    key = stack.headers["authorization"].removeprefix("Bearer ")
    right = 0
    with openai.OpenAI(base_url=stack.base_url, api_key=key, timeout=60) as client:
        for item in items:
            prompts = [f"{item['question']} {choice}" for choice in item["choices"]]
            scored = client.completions.create(
                model=MODEL, prompt=prompts, max_tokens=0, echo=True, logprobs=1
            )
            scores = [
                sum(
                    score
                    for score, offset in zip(
                        choice.logprobs.token_logprobs, choice.logprobs.text_offset, strict=True
                    )
                    if offset >= len(item["question"])
                )
                for choice in scored.choices
            ]
            right += scores.index(max(scores)) == item["answer"]
    return right / len(items)


def _lm_eval(stack: System, items: int) -> dict[str, Any]:
    model = {
        "model": MODEL,
        "base_url": f"{stack.base_url}/completions",
        "tokenizer": PLACE / "tokenizer",
        "tokenizer_backend": "huggingface",
        "num_concurrent": 4,
        "max_length": 2048,
    }
    output = PLACE / "output"
    command = [
        str(CACHE / "lm_eval" / "bin" / "lm_eval"),
        *("run", "--model", "local-completions", "--tasks", TASK, "--include_path", "."),
        *("--model_args", ",".join(f"{name}={value}" for name, value in model.items())),
        *("--batch_size", "8", "--limit", str(items), "--output_path", str(output)),
    ]
    env = {
        **os.environ,
        "OPENAI_API_KEY": stack.headers["authorization"].removeprefix("Bearer "),
        "HF_HOME": str(PLACE / "cache"),
        **dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"), "1"),
    }
    with (CACHE / "evaluation.log").open("wb") as log:
        done = subprocess.run(
            command, cwd=TASKS, env=env, stdout=log, stderr=log, check=False, timeout=SECONDS_MAX
        )
    if done.returncode:
        raise SystemExit(f"lm_eval failed: see {log.name}")
    newest = max(output.rglob("results_*.json"), key=lambda path: path.stat().st_mtime)
    results: dict[str, Any] = json.loads(newest.read_text())["results"][TASK]
    return results


def _write_tokenizer(directory: Path) -> None:
    """Write the model's tokenizer as transformers read it; lm_eval counts tokens with it."""
    directory.mkdir(parents=True, exist_ok=True)
    weights = open_weights(smollm2())
    (directory / "tokenizer.json").write_text(weights.tokenizer_json())
    special = weights.config.special_tokens
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 2048, **special}
    (directory / "tokenizer_config.json").write_text(json.dumps(config))


def _table(accuracies: dict[str, float], items: int) -> Table:
    shown = Table(title=f"{TASK}: {items} sentences, 4 ends each, through the edge")
    shown.add_column("")
    shown.add_column("right ends", justify="right")
    for name, accuracy in accuracies.items():
        shown.add_row(name, f"{accuracy:.1%}")
    return shown


def _plot(accuracies: dict[str, float], path: Path) -> None:
    figure = Figure(figsize=(5, 4), layout="constrained")
    axis = figure.subplots()
    bars = axis.bar(list(accuracies), [100 * accuracy for accuracy in accuracies.values()])
    axis.bar_label(bars, fmt="%.1f %%")
    axis.axhline(25, linestyle="--", label="by chance")
    axis.set(ylabel="% right", title="SmolLM2-135M on sentences of ours")
    axis.legend()
    figure.savefig(path, dpi=120)
    console.print(f"plot: {path.relative_to(REPO)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="at most 50 seconds, once lm_eval is installed")
    parser.add_argument("--setup", action="store_true", help="only install lm_eval")
    return parser.parse_args()


if __name__ == "__main__":
    main()
