"""`penstock demo`: everything once, on the real stack."""

import os
import sys
import time
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from penstock_cli.answer import Answer, dollars
from penstock_cli.commands.chat import show_answer
from penstock_cli.commands.models import first_model
from penstock_cli.commands.options import ORGANIZATION
from penstock_cli.commands.up import SECONDS_MAX, start
from penstock_cli.commands.usage import Dimension, query_usage, usage_table
from penstock_cli.console import out
from penstock_cli.edge import Connection, Edge, Json, open_edge
from penstock_cli.failure import Failure
from penstock_cli.place import Place, find_place
from penstock_cli.stack.credentials import read_env_file

INSTRUCTIONS = "You answer questions about a letter. Copy addresses exactly."
QUESTION = "What is Anna's e-mail address, and why does she write?"
PRIVATE = ("4111 1111 1111 1111", "anna.lindqvist@example.com")
TYPES = {"EMAIL_ADDRESS", "CREDIT_CARD"}
TOKENS_MAX = 200
# An answer from the cache is written into the ledger after it was given.
LEDGER_SECONDS = 0.5
WIDTH_MAX = 100


def demo() -> None:
    """Start the stack and send it a real letter: answered, guarded, priced, and answered again from the cache.

    The stack stays up; `penstock down` or `make down` stops it.
    """
    place = find_place(os.environ)
    start(place, SECONDS_MAX)
    known = read_env_file(place.run_dir)
    connection = Connection(known["PENSTOCK_URL"], known["PENSTOCK_API_KEY"])
    with open_edge(connection) as edge:
        body = _request(first_model(edge, "CHAT"))
        _show_letter()
        first = _ask(edge, body)
        _show_guardrail(first)
        _ask_again(edge, body, first)
        _ask_with_openai(connection, body)
        _show_usage(edge)
    _show_next(place, str(body["model"]))


def _letter() -> str:
    return resources.files("penstock_cli").joinpath("letter.txt").read_text()


def _request(model: str) -> Json:
    messages = [
        {"role": "system", "content": INSTRUCTIONS},
        {"role": "user", "content": f"Here is a letter:\n\n{_letter()}\nQuestion: {QUESTION}"},
    ]
    return {"model": model, "messages": messages, "temperature": 0, "max_completion_tokens": TOKENS_MAX}


def _show_letter() -> None:
    letter = Text(_letter().strip())
    for private in PRIVATE:
        letter.highlight_words([private], "bold red")
    _headline("A letter comes in")
    out.print(Panel(letter, border_style="dim"), width=_width())
    out.print(Text.assemble(("Asked about it: ", "dim"), QUESTION))


def _ask(edge: Edge, body: Json) -> Answer:
    _headline("The model answers, as it writes")
    # However often the demo is run, the first answer is the model's own.
    answer = show_answer(edge, body | {"cache_control": {"no_cache": True}})
    out.print(Text(answer.summary(), "dim"))
    out.print(Text(answer.names(), "dim"))
    return answer


def _show_guardrail(answer: Answer) -> None:
    _headline("What the model never saw")
    redacted = answer.receipt.get("redacted_types", [])
    missing = TYPES - set(redacted)
    if missing:
        raise Failure(f"the guardrail let pass: {', '.join(sorted(missing))}")
    out.print(f"Taken out before the model read the letter: [bold]{', '.join(redacted)}[/bold]")
    restored = [private for private in PRIVATE if private in answer.text]
    if restored:
        out.print(f"Put back into the answer on its way out: [bold]{', '.join(restored)}[/bold]")


def _ask_again(edge: Edge, body: Json, first: Answer) -> None:
    _headline("The same again")
    again = show_answer(edge, body)
    out.print(Text(again.summary(), "dim"))
    if not again.is_cached or again.text != first.text:
        raise Failure("the second answer did not come from the cache", hint=again.names())
    out.print(
        f"From the cache, in {again.total_seconds * 1000:.0f} ms instead of {first.total_seconds * 1000:.0f} ms;"
        f" [green]{dollars(again.avoided_cost_nanos)} saved[/green]."
    )


def _ask_with_openai(connection: Connection, body: Json) -> None:
    _headline("The same with OpenAI's own SDK")
    if find_spec("openai") is None:
        install = f"{Path(sys.executable).with_name('uv')} pip install --python {sys.executable} openai"
        out.print(f"It is not installed here. Try it: [bold]{install}[/bold]", soft_wrap=True)
        return
    from openai import OpenAI  # noqa: PLC0415 - heavy, and only here when it is installed

    with OpenAI(base_url=f"{connection.url}/v1", api_key=connection.api_key) as client:
        completion = client.chat.completions.create(**body)
    out.print(Text(completion.choices[0].message.content or ""))
    usage = completion.usage
    tokens = f"{usage.prompt_tokens} + {usage.completion_tokens} tokens" if usage else ""
    out.print(Text(f"{completion.id} · {completion.model} · {tokens}", "dim"))


def _show_usage(edge: Edge) -> None:
    _headline("What it cost so far")
    time.sleep(LEDGER_SECONDS)
    dimensions = [Dimension.MODEL]
    out.print(usage_table(query_usage(edge, ORGANIZATION, dimensions), dimensions))


def _show_next(place: Place, model: str) -> None:
    _headline("Your turn")
    env = place.run_dir / "env"
    address = place.url.removeprefix("http://")
    programs = Path(sys.executable).parent
    script = _NEXT.format(env=env, model=model, url=place.url, address=address, bin=programs)
    out.print(Text(script, "cyan"), soft_wrap=True)  # so that copied lines are whole
    out.print(f"Browse the API: [bold]{place.url}/docs[/bold]")
    out.print("Look at the stack: [bold]make status[/bold]; stop it: [bold]make down[/bold]")


_NEXT = """\
source {env}        # the address and your key

curl -N {url}/v1/chat/completions -H "authorization: Bearer $PENSTOCK_API_KEY" \\
  -d '{{"model": "{model}", "stream": true, "messages": [{{"role": "user", "content": "Why is the sky blue?"}}]}}'

grpcurl -plaintext {address} list
grpcurl -plaintext -H "authorization: Bearer $PENSTOCK_API_KEY" {address} penstock.router.v1.ModelService/ListModels

{bin}/penstock chat        # a dialogue
{bin}/python - <<'EOF'
import os
from openai import OpenAI
client = OpenAI(base_url=os.environ["PENSTOCK_URL"] + "/v1", api_key=os.environ["PENSTOCK_API_KEY"])
print(client.chat.completions.create(model="{model}", messages=[{{"role": "user", "content": "Say hello."}}]))
EOF"""


def _headline(text: str) -> None:
    out.print()
    out.print(Rule(f"[bold]{text}[/bold]", align="left", style="dim"), width=_width())


def _width() -> int:
    return min(out.width, WIDTH_MAX)
