"""The cache commands."""

import pytest
from penstock_cli.app import main

CACHE = "/v1/organizations/dev/answerCache"


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["cache", *arguments])
    return int(ended.value.code or 0)


def test_stats_tell_the_hit_rate_and_what_was_saved(edge, capsys):
    answered = {"answers": 3, "lookups": "8", "exact_hits": "1", "semantic_hits": "1"}
    edge.answers["GET", CACHE] = (200, {**answered, "saved_cost_nanos": "1500000000"})
    assert run("stats") == 0
    said = capsys.readouterr().out
    assert "25.0 %" in said
    assert "$1.5" in said


def test_a_receipt_that_was_kept_is_verified(edge, tmp_path, capsys):
    kept = tmp_path / "ada.json"
    edge.answers["POST", f"{CACHE}:invalidate"] = (200, {"entries": 2, "receipt": {"sequence": "1"}})
    assert run("invalidate", "--user", "ada", "--receipt", str(kept)) == 0
    assert edge.requests[-1][3] == {"selector": {"user": "ada"}}
    held = dict.fromkeys(("signature_holds", "chain_holds", "selector_holds"), True)
    edge.answers["POST", f"{CACHE}:verify"] = (200, held)
    assert run("verify", str(kept)) == 0
    assert edge.requests[-1][3] == {"selector": {"user": "ada"}, "receipt": {"sequence": "1"}}
    edge.answers["POST", f"{CACHE}:verify"] = (200, held | {"chain_holds": False})
    assert run("verify", str(kept)) == 1


@pytest.mark.parametrize("named", [(), ("--user", "ada", "--model", "m")])
def test_what_to_forget_is_named_in_one_way(edge, named):
    assert run("invalidate", *named) == 2
    assert not edge.requests


def test_a_wrong_answer_is_reported_by_the_id_of_its_receipt(edge):
    edge.answers["POST", "/v1/organizations/dev/cachedAnswers/ab12:report"] = (200, {})
    assert run("feedback", "ab12", "--wrong") == 0
    assert edge.requests[-1][3] == {"verdict": "VERDICT_WRONG"}
