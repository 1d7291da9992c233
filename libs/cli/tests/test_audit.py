"""The audit commands: a log that is whole is verified, and every way of tampering with one is found."""

import base64
import hashlib
import hmac
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from penstock_cli.app import main
from penstock_cli.audit.note import Verifier, witness
from penstock_cli.audit.proof import leaf_hash, root_of

LOG = "/v1/organizations/dev/auditLog"
ORIGIN = "penstock.audit/dev"
WITNESS = "0102" * 16


class Log:
    """A log and its keeper, who may not be honest."""

    def __init__(self, edge) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.verifier = Verifier(ORIGIN, 1, self.key.public_key().public_bytes_raw())
        self.entries = [self._entry(number) for number in range(11)]
        self.edge = edge
        edge.answers["GET", LOG] = lambda _: {
            "verifier_key": str(self.verifier),
            "checkpoint": self.checkpoint(len(self.entries)),
            "cosigned_checkpoints": self.published,
        }
        edge.answers["POST", f"{LOG}:cosign"] = (200, {})
        edge.answers["GET", f"{LOG}/entries"] = lambda query: {"entries": self._page(query)}
        edge.answers["GET", f"{LOG}:proveConsistency"] = lambda query: {"hashes": self._growth(query)}

    @property
    def published(self):
        """What witnesses gave to the log, the newest last."""
        given = [body for method, path, _, body in self.edge.requests if path == f"{LOG}:cosign"]
        return given[-1:]

    def checkpoint(self, size: int) -> str:
        root = base64.b64encode(self.root(0, size)).decode()
        text = f"{ORIGIN}\n{size}\n{root}\n"
        signature = self.verifier.key_id + self.key.sign(text.encode())
        return f"{text}\n— {ORIGIN} {base64.b64encode(signature).decode()}\n"

    def root(self, begin: int, end: int) -> bytes:
        return root_of([base64.b64decode(each["leaf_hash"]) for each in self.entries[begin:end]])

    def _entry(self, number: int):
        record, salt = f'{{"number":{number}}}'.encode(), bytes([number]) * 32
        fields = {"leaf_hash": leaf_hash(record, salt), "record": record, "salt": salt}
        return {"index": number, **{name: base64.b64encode(value).decode() for name, value in fields.items()}}

    def _page(self, query: str):
        start = int(dict(part.split("=") for part in query.split("&")).get("start_index", 0))
        return self.entries[start : start + 4]

    def _growth(self, query: str):
        """From 8 entries to 11, as RFC 9162 draws it."""
        assert query == "first_size=8&second_size=11"
        return [base64.b64encode(self.root(8, 11)).decode()]


@pytest.fixture
def log(edge):
    return Log(edge)


@pytest.fixture
def penstock(capsys):
    """Run a command; give its exit code, standard output and standard error."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return run


def test_a_commitment_is_hashed_as_a_leaf():
    commitment = hmac.digest(b"salt", b"record", "sha256")
    assert leaf_hash(b"record", b"salt") == hashlib.sha256(b"\0" + commitment).digest()


def test_a_whole_log_is_verified(log, penstock):
    code, printed, _ = penstock("audit", "verify")
    assert code == 0
    assert "all 11 entries are there and lead to its root; 11 can be read" in printed


def test_a_kept_checkpoint_must_be_the_beginning_of_the_log(log, penstock, tmp_path):
    kept = tmp_path / "kept"
    kept.write_text(log.checkpoint(8))
    code, printed, _ = penstock("audit", "verify", "--checkpoint", kept, "--key", log.verifier)
    assert code == 0
    assert "the 8 entries of the kept checkpoint are its beginning" in printed
    log.entries[2] = log._entry(99) | {"index": 2}
    code, _, said = penstock("audit", "verify", "--checkpoint", kept, "--key", log.verifier)
    assert code == 1
    assert "what was in the log is not in it any more" in said


def test_files_are_verified_without_an_edge(log, penstock, tmp_path, edge):
    kept, entries = tmp_path / "kept", tmp_path / "entries"
    kept.write_text(log.checkpoint(9))
    entries.write_text(penstock("audit", "log")[1])
    edge.answers.clear()
    found = penstock("audit", "verify", "--checkpoint", kept, "--entries", entries, "--key", log.verifier)
    assert found[0] == 0
    assert "all 9 entries" in found[1]
    lines = entries.read_text().splitlines()
    entries.write_text("\n".join(lines[:8]))
    found = penstock("audit", "verify", "--checkpoint", kept, "--entries", entries, "--key", log.verifier)
    assert found[0] == 1
    assert "the log ends after 8 of 9 entries" in found[2]


def test_entries_of_a_file_are_never_passed_over_for_those_of_the_edge(log, penstock, tmp_path):
    entries = tmp_path / "entries"
    entries.write_text("tampered with")
    code, _, said = penstock("audit", "verify", "--entries", entries)
    assert code == 1
    assert "verified with --checkpoint and --key" in said


def test_an_erased_entry_proves_as_before(log, penstock):
    log.entries[5] = {name: log.entries[5][name] for name in ("index", "leaf_hash")}
    code, printed, _ = penstock("audit", "verify")
    assert code == 0
    assert "10 can be read" in printed


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (lambda log: log.entries[3].update(record=log.entries[4]["record"]), "entry 3 was changed"),
        (lambda log: log.entries[3].update(record=log.entries[4]["record"], salt=""), "entry 3 was changed"),
        (
            lambda log: log.entries[3].update(record="", salt="", damaged=True),
            "content of entry 3 was changed",
        ),
        (lambda log: log.entries.pop(3), "entry 3 is missing"),
        (lambda log: setattr(log, "key", Ed25519PrivateKey.generate()), "is not of this text"),
    ],
)
def test_tampering_is_found(log, penstock, tamper, found):
    tamper(log)
    code, _, said = penstock("audit", "verify")
    assert code == 1
    assert found in said


def test_a_key_of_another_log_is_not_believed(log, penstock):
    other = Verifier("penstock.audit/other", 1, log.verifier.public_key)
    code, _, said = penstock("audit", "verify", "--key", other)
    assert code == 1
    assert "penstock.audit/other has not signed this" in said


def test_a_witness_signs_a_log_that_only_grew(log, penstock, tmp_path):
    state, key = tmp_path / "state", tmp_path / "key"
    key.write_text(WITNESS)
    watch = ("audit", "witness", state, "--name", "example.org/w", "--key", key)
    grown, log.entries = log.entries, log.entries[:8]
    assert penstock(*watch)[0] == 0
    log.entries = grown
    seen = witness("example.org/w", Ed25519PrivateKey.from_private_bytes(bytes.fromhex(WITNESS)))
    verify = ("audit", "verify", "--checkpoint", state, "--key", log.verifier, "--witness", seen)
    assert penstock(*verify)[0] == 0
    assert penstock(*watch)[0] == 0
    assert state.read_text().startswith(f"{ORIGIN}\n11\n")
    kept = state.read_text()
    log.entries = log.entries[:9]
    code, _, said = penstock(*watch)
    assert code == 1
    assert "not signed: the log is shorter than it was" in said
    assert state.read_text() == kept


def test_a_log_is_verified_by_what_witnesses_gave_to_it(log, penstock, tmp_path):
    key = tmp_path / "key"
    key.write_text(WITNESS)
    grown, log.entries = log.entries, log.entries[:8]
    assert penstock("audit", "witness", tmp_path / "state", "--name", "example.org/w", "--key", key)[0] == 0
    log.entries = grown
    seen = witness("example.org/w", Ed25519PrivateKey.from_private_bytes(bytes.fromhex(WITNESS)))
    code, said, _ = penstock("audit", "verify", "--key", log.verifier, "--witness", seen)
    assert code == 0
    assert "the 8 entries of the checkpoint that example.org/w signed are its beginning" in " ".join(
        said.split()
    )
    other = witness("example.org/other", Ed25519PrivateKey.generate())
    code, _, said = penstock("audit", "verify", "--key", log.verifier, "--witness", other)
    assert code == 1
    assert "example.org/other has signed no checkpoint of this log" in said
    log.entries = [log.entries[1], *log.entries[1:]]
    assert penstock("audit", "verify", "--key", log.verifier, "--witness", seen)[0] == 1


def test_a_checkpoint_that_a_witness_did_not_sign_is_refused(log, penstock, tmp_path):
    kept = tmp_path / "kept"
    kept.write_text(log.checkpoint(8))
    other = witness("example.org/w", Ed25519PrivateKey.generate())
    code, _, said = penstock("audit", "verify", "--checkpoint", kept, "--witness", other)
    assert code == 1
    assert "example.org/w has not signed this" in said


@pytest.mark.parametrize(
    "text", ["", "no note", f"{ORIGIN}\n1\nx\n\n— a b\n", f"{ORIGIN}\nx\nAA==\n\n— a AA==\n"]
)
def test_what_is_no_checkpoint_is_refused(log, penstock, tmp_path, text):
    kept = tmp_path / "kept"
    kept.write_text(text)
    assert penstock("audit", "verify", "--checkpoint", kept)[0] == 1


def test_a_checkpoint_is_printed_as_it_was_signed(log, penstock):
    code, printed, said = penstock("audit", "checkpoint")
    assert (code, printed) == (0, log.checkpoint(11))
    assert str(log.verifier) in said


def test_the_receipt_of_an_erasure_is_printed_and_verified(log, penstock, tmp_path, edge):
    proof = [base64.b64encode(log.root(*leaves)).decode() for leaves in ((8, 10), (0, 8))]
    receipt = {
        "entry": log.entries[10],
        "checkpoint": log.checkpoint(11),
        "inclusion_proof": proof,
        "sessions": 2,
    }
    edge.answers["POST", "/v1/organizations/dev:erasePerson"] = (200, receipt)
    _, printed, said = penstock("audit", "erase", "ann")
    assert edge.requests[-1][3] == {"user": "ann"}
    assert "2 redaction sessions and 0 entries" in said
    kept = tmp_path / "receipt"
    kept.write_text(printed)
    assert penstock("audit", "verify", "--receipt", kept, "--key", log.verifier)[0] == 0
    kept.write_text(json.dumps({**receipt, "inclusion_proof": proof[:1]}))
    assert penstock("audit", "verify", "--receipt", kept, "--key", log.verifier)[0] == 1


def test_the_receipts_of_a_person_erased_everywhere_are_printed_and_verified(log, penstock, tmp_path, edge):
    proof = [base64.b64encode(log.root(*leaves)).decode() for leaves in ((8, 10), (0, 8))]
    logged = {
        "entry": log.entries[10],
        "checkpoint": log.checkpoint(11),
        "inclusion_proof": proof,
        "sessions": 2,
    }
    kept = [{"service": "billing", "records": "what was charged", "reason": "the law"}]
    erasure = {"guardrail": logged, "cache": {"sequence": "1"}, "cache_entries": 3, "kept": kept}
    edge.answers["POST", "/v1/organizations/dev/persons:erase"] = (200, erasure)
    _, printed, said = penstock("erase", "person", "ann")
    assert edge.requests[-1][3] == {"user": "ann"}
    assert "3 entries forgotten" in said
    assert "billing keeps what was charged" in said
    file = tmp_path / "ann.json"
    file.write_text(printed)
    verified = "POST", "/v1/organizations/dev/answerCache:verify"
    held = dict.fromkeys(("signature_holds", "chain_holds", "selector_holds"), True)
    edge.answers[verified] = (200, held)
    assert penstock("erase", "verify", file)[0] == 0
    assert edge.requests[-1][3] == {"selector": {"user": "ann"}, "receipt": {"sequence": "1"}}
    edge.answers[verified] = (200, held | {"selector_holds": False})
    assert penstock("erase", "verify", file)[0] == 1
    file.write_text(
        json.dumps({"user": "ann", "erasure": erasure | {"guardrail": logged | {"inclusion_proof": []}}})
    )
    assert penstock("erase", "verify", file)[0] == 1


def test_policies_are_made_changed_compared_and_ended(edge, penstock, tmp_path):
    policies = "/v1/organizations/dev/policies"
    kept = {"name": "organizations/dev/policies/p", "mode": "POLICY_MODE_ENFORCED", "revision": 1}
    file = tmp_path / "policy.json"
    file.write_text('{"profiles": ["gdpr"]}')
    edge.answers["GET", policies] = (200, {})
    edge.answers["POST", policies] = (200, kept)
    assert "revision 1: enforced" in penstock("policy", "apply", "p", file, "--enforce")[2]
    assert edge.requests[-1][3] == {"profiles": ["gdpr"], "mode": "POLICY_MODE_ENFORCED"}
    edge.answers["GET", policies] = (200, {"policies": [kept]})
    edge.answers["PATCH", f"{policies}/p"] = (200, {**kept, "revision": 2})
    assert "revision 2" in penstock("policy", "apply", "p", file)[2]
    assert "enforced" in penstock("policy", "list")[1]
    edge.answers["GET", f"{policies}/p:diff"] = (
        200,
        {"differences": [{"subject": "rules/A", "before": "allow"}]},
    )
    assert penstock("policy", "diff", "p")[1] == "rules/A\n  - allow\n"
    edge.answers["DELETE", f"{policies}/p"] = (200, {})
    assert penstock("policy", "delete", "p")[0] == 0


def test_a_diff_tells_which_decisions_of_the_past_would_be_others(edge, penstock):
    change = {"subject": "types/A", "before": "redact", "after": "refuse", "decisions": 2}
    places = {"subject": "regions", "after": "eu", "decisions": 1, "examples": [{"index": 4, "id": "e4"}]}
    replay = {"decisions": 9, "changed_decisions": 3, "unreadable_entries": 1, "blind_subjects": ["topics/b"]}
    replay["changes"] = [{**change, "examples": [{"index": 7, "id": "e7"}, {"id": "e0"}]}, places]
    answer, queries = {"differences": [{"subject": "rules/A", "before": "allow"}], "replay": replay}, []
    edge.answers["GET", "/v1/organizations/dev/policies/p:diff"] = lambda query: (
        queries.append(query) or answer
    )
    _, printed, said = penstock("policy", "diff", "p", "--replay", "9")
    assert queries == ["replay_entries=9"]
    lines = [line.split() for line in printed.splitlines()]
    assert "Of the last 9 decisions 3 would be others." in printed
    assert ["types/A", "redact", "refuse", "2", "7,", "0"] in lines
    assert ["regions", "all", "eu", "1", "4"] in lines
    assert "1 entries cannot be read any more" in said
    assert "topics/b" in said


def test_what_is_no_policy_is_not_sent(edge, penstock, tmp_path):
    file = tmp_path / "policy.json"
    for text in ("{", "[]"):
        file.write_text(text)
        assert penstock("policy", "apply", "p", file)[0] == 1
    assert not edge.requests


def test_files_of_something_else_are_refused(log, penstock, tmp_path):
    kept, file = tmp_path / "kept", tmp_path / "file"
    kept.write_text(log.checkpoint(8))
    for text in ("{", "[]", "{}", '{"entry": {"leaf_hash": "x"}}'):
        file.write_text(text)
        assert penstock("audit", "verify", "--receipt", file, "--key", log.verifier)[0] == 1
        code, _, said = penstock(
            "audit", "verify", "--checkpoint", kept, "--entries", file, "--key", log.verifier
        )
        assert code == 1
        assert "Traceback" not in said
    assert penstock("audit", "verify", "--receipt", tmp_path / "absent", "--key", log.verifier)[0] == 2
