"""`penstock audit`."""

import base64
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.text import Text

from penstock_cli.audit.log import (
    Entry,
    open_checkpoint,
    verify_entries,
    verify_growth,
    verify_receipt,
)
from penstock_cli.audit.note import Checkpoint, Verifier, cosigned, witness
from penstock_cli.audit.proof import ProofError
from penstock_cli.commands.options import ORGANIZATION, Organization
from penstock_cli.console import err, out
from penstock_cli.edge import Edge, Json, find_connection, open_edge
from penstock_cli.failure import Failure
from penstock_cli.place import find_place

PAGE_SIZE = 1000

app = typer.Typer(
    no_args_is_help=True,
    help="Read the audit log of the guardrail, verify it, and erase persons. Needs a key of the role admin.",
)

Key = Annotated[str, typer.Option(help="Verifier key of the log; without it, the one that the edge tells.")]


@app.command()
def log(
    follow_from: Annotated[int, typer.Option("--from", help="Position of the first entry.", min=0)] = 0,
    organization: Organization = ORGANIZATION,
) -> None:
    """Print the entries of the log, a JSON object a line, as `verify --entries` reads them."""
    with open_edge(find_connection(find_place(os.environ))) as edge:
        for entry in _entries(edge, organization, follow_from):
            out.out(json.dumps(entry), highlight=False)


@app.command()
def checkpoint(organization: Organization = ORGANIZATION) -> None:
    """Print a signed checkpoint of the log. Keep it where nobody who runs the stack can change it."""
    with open_edge(find_connection(find_place(os.environ))) as edge:
        found = _log(edge, organization)
    out.out(found["checkpoint"], end="", highlight=False)
    err.print(Text(f"key {found['verifier_key']}", "dim"))


@app.command()
def verify(
    key: Key = "",
    kept: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            help="A checkpoint that was kept: what it covers must still be there.",
            exists=True,
        ),
    ] = None,
    entries: Annotated[
        Path | None,
        typer.Option(
            help="Entries as `log` prints them, verified with --checkpoint and --key; else those of the edge.",
            exists=True,
        ),
    ] = None,
    witnesses: Annotated[
        list[str] | None,
        typer.Option(
            "--witness",
            help="Verifier key of a witness who must have signed the kept checkpoint; without one, the log's own copy.",
        ),
    ] = None,
    receipt: Annotated[
        Path | None, typer.Option(help="Verify a receipt of an erasure and nothing else.", exists=True)
    ] = None,
    organization: Organization = ORGANIZATION,
) -> None:
    """Verify that the log is whole: nothing changed, left out or put in, and all that was there still is.

    With a checkpoint, its key and entries in files nothing is asked of anybody.

    ```sh
    penstock audit checkpoint > monday.checkpoint
    penstock audit verify --checkpoint monday.checkpoint --key "$KEY"
    ```
    """
    try:
        if receipt is not None:
            _verify_receipt(receipt, key)
        elif entries is not None:
            _verify_files(kept, entries, [key, *(witnesses or [])])
        else:
            _verify_edge(organization, kept, [key, *(witnesses or [])])
    except ProofError as error:
        raise Failure(f"the log is not what it should be: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Failure("a file is not what the other commands print") from error


@app.command("witness")
def cosign(
    state: Annotated[Path, typer.Argument(help="Where the witness keeps the last checkpoint it signed.")],
    name: Annotated[str, typer.Option(help="Name of the witness.")],
    private_key: Annotated[Path, typer.Option("--key", help="Its Ed25519 key, 64 hexadecimal digits.")],
    organization: Organization = ORGANIZATION,
) -> None:
    """Cosign the log's checkpoint, if the log only grew since the last time; keep, print and hand it in."""
    own = _private_key(private_key)
    with open_edge(find_connection(find_place(os.environ))) as edge:
        found = _log(edge, organization)
        verifier = Verifier.parse(found["verifier_key"])
        try:
            after = open_checkpoint(found["checkpoint"], [verifier])
            if state.exists():
                before = open_checkpoint(state.read_text(), [verifier, witness(name, own)])
                verify_growth(before, after, lambda first, second: _growth(edge, organization, first, second))
        except ProofError as error:
            raise Failure(f"not signed: {error}") from error
        note = cosigned(found["checkpoint"], name, own, int(time.time()))
        _replace(state, note)
        published = {"witness_key": str(witness(name, own)), "checkpoint": note}
        edge.post(f"/v1/organizations/{organization}/auditLog:cosign", published)
    out.out(note, end="", highlight=False)
    err.print(Text(f"witness key {witness(name, own)}", "dim"))


@app.command()
def erase(
    user: Annotated[str, typer.Argument(help="Id of the user, as in requests.")],
    organization: Organization = ORGANIZATION,
) -> None:
    """Destroy a person's key and data, and print the receipt, a JSON object. It cannot be undone."""
    with open_edge(find_connection(find_place(os.environ))) as edge:
        receipt = edge.post(f"/v1/organizations/{organization}:erasePerson", {"user": user})
    out.out(json.dumps(receipt), highlight=False)
    sessions, entries = receipt.get("sessions", 0), receipt.get("entries", 0)
    err.print(Text(f"{sessions} redaction sessions and {entries} entries of the log are gone", "dim"))


def _verify_edge(organization: str, kept: Path | None, keys: list[str]) -> None:
    with open_edge(find_connection(find_place(os.environ))) as edge:
        found = _log(edge, organization)
        verifiers = _verifiers([keys[0] or found["verifier_key"], *keys[1:]])
        now = open_checkpoint(found["checkpoint"], verifiers[:1])
        _say(f"the checkpoint of {now.size} entries is signed by {verifiers[0].name}")
        for before, whose in _befores(found, kept, verifiers):
            verify_growth(before, now, lambda first, second: _growth(edge, organization, first, second))
            _say(f"the {before.size} entries of {whose} are its beginning")
        _say_entries(now, _entries(edge, organization))


def _befores(found: Json, kept: Path | None, verifiers: list[Verifier]) -> Iterator[tuple[Checkpoint, str]]:
    """Give the checkpoints that the log must have grown from: the kept one, else what each witness signed."""
    own, *witnesses = verifiers
    if kept is not None:
        yield open_checkpoint(kept.read_text(), verifiers), "the kept checkpoint"
        return
    published = {each["witness_key"]: each["checkpoint"] for each in found.get("cosigned_checkpoints", [])}
    for each in witnesses:
        if str(each) not in published:
            raise ProofError(f"{each.name} has signed no checkpoint of this log")
        yield open_checkpoint(published[str(each)], [own, each]), f"the checkpoint that {each.name} signed"


def _verify_files(kept: Path | None, entries: Path, keys: list[str]) -> None:
    if kept is None or not keys[0]:
        raise Failure("entries in a file are verified with --checkpoint and --key")
    now = open_checkpoint(kept.read_text(), _verifiers(keys))
    _say(f"the checkpoint of {now.size} entries is signed by {', '.join(key.split('+')[0] for key in keys)}")
    with entries.open() as lines:
        _say_entries(now, (json.loads(line) for line in lines))


def _verify_receipt(receipt: Path, key: str) -> None:
    if not key:
        raise Failure("a receipt is verified with --key")
    checkpoint = verify_receipt(json.loads(receipt.read_text()), Verifier.parse(key))
    _say(f"the erasure is in the log of {checkpoint.size} entries that {checkpoint.origin} signed")


def _say_entries(now: Checkpoint, entries: Iterator[Json]) -> None:
    verified = verify_entries(now, (Entry.parse(entry) for entry in entries))
    _say(f"all {verified.entries} entries are there and lead to its root; {verified.readable} can be read")


def _say(fact: str) -> None:
    out.print(f"[green]✓[/green] {fact}")


def _verifiers(keys: list[str]) -> list[Verifier]:
    return [Verifier.parse(key) for key in keys]


def _log(edge: Edge, organization: str) -> Json:
    return edge.get(f"/v1/organizations/{organization}/auditLog")


def _entries(edge: Edge, organization: str, start: int = 0) -> Iterator[Json]:
    path = f"/v1/organizations/{organization}/auditLog/entries"
    while page := edge.get(path, start_index=start, page_size=PAGE_SIZE).get("entries", []):
        yield from page
        start += len(page)


def _growth(edge: Edge, organization: str, first: int, second: int) -> list[bytes]:
    path = f"/v1/organizations/{organization}/auditLog:proveConsistency"
    hashes: list[Any] = edge.get(path, first_size=first, second_size=second).get("hashes", [])
    return [base64.b64decode(each) for each in hashes]


def _private_key(path: Path) -> Ed25519PrivateKey:
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text().strip()))
    except (OSError, ValueError) as error:
        raise Failure(
            f"cannot read the key {path}: {error}", hint="openssl rand -hex 32 makes one."
        ) from error


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    new.replace(path)
