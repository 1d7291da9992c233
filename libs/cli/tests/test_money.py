"""The commands about money, against an edge that answers as told."""

import base64
import json

import pytest
from penstock_cli.amount import dollars, read_dollars
from penstock_cli.app import main
from penstock_cli.chart import bar
from typer import BadParameter

ACME = "/v1/organizations/dev"
BUDGET = {
    "name": "organizations/dev/budgets/research",
    "team": "red",
    "period": "BUDGET_PERIOD_MONTH",
    "amount_nanos": "25000000000",
    "spent_nanos": "22500000000",
    "held_nanos": "0",
}
INVOICE = {
    "name": "organizations/dev/invoices/i1",
    "kind": "INVOICE_KIND_INVOICE",
    "start_time": "2026-01-01T00:00:00Z",
    "end_time": "2026-02-01T00:00:00Z",
    "total_nanos": "8000003700",
    "payable_cents": "800",
    "content_hash": "ab" * 32,
    "lines": [
        {
            "sku": "openai/gpt-4o",
            "operations": "2",
            "input_tokens": "1000",
            "cache_read_tokens": "0",
            "cache_write_tokens": "0",
            "output_tokens": "5",
            "reasoning_tokens": "0",
            "cost_nanos": "8000003700",
        }
    ],
}


@pytest.fixture
def penstock(capsys):
    """Run a command; give its exit code, standard output and standard error."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return run


def test_usage_by_day_is_a_table_and_a_chart(edge, penstock):
    rows = [
        {"group": ["2026-01-02T00:00:00Z"], "operations": 3, "tokens": {}, "cost_nanos": "2000000000"},
        {"group": ["2026-01-01T00:00:00Z"], "operations": 1, "tokens": {}, "cost_nanos": "1000000000"},
    ]
    edge.answers["GET", f"{ACME}/usage"] = (200, {"rows": rows})
    code, out, _ = penstock("usage", "--by", "day", "--since", "2026-01-01", "--until", "2026-02-01T12:00")
    assert code == 0
    assert "$3" in out
    assert "2026-01-02  " in out
    first, second = (line for line in out.splitlines() if "█" in line)
    assert first.startswith("2026-01-01")
    assert second.count("█") == 2 * first.count("█") == 40
    assert "start_time=2026-01-01T00%3A00%3A00Z&end_time=2026-02-01T12%3A00%3A00Z" in edge.requests[-1][3]
    assert json.loads(penstock("usage", "--by", "day", "--json")[1]) == rows


def test_usage_by_a_label_names_it(edge, penstock):
    edge.answers["GET", f"{ACME}/usage"] = (200, {})
    _, out, _ = penstock("usage", "--by", "tag", "--tag", "project")
    assert "Nothing was used." in out
    assert "tag_key=project" in edge.requests[-1][3]


def test_a_forecast_says_how_sure_it_is_and_when_a_budget_ends(edge, penstock):
    answer = {"spent_nanos": "1000000000", "end_time": "2026-02-01T00:00:00Z", "history_hours": 672}
    answer |= {
        f"end_{name}_nanos": f"{nanos}000000000" for name, nanos in (("p10", 2), ("p50", 3), ("p90", 4))
    }
    edge.answers["GET", f"{ACME}/spendForecast"] = (200, answer)
    _, out, _ = penstock("usage", "forecast")
    assert [word in out for word in ("$1", "$2", "$3", "$4", "672 hours")] == [True] * 5
    _, out, _ = penstock("usage", "forecast", "--budget", "b")
    assert "lasts" in out
    answer |= {"exhaustion_p50_hours": 40, "exhaustion_p10_hours": 30}
    _, out, _ = penstock("usage", "forecast", "--budget", "b")
    assert "in 40 hours, most likely; in 30" in out


def test_a_forecast_from_nothing_is_none(edge, penstock):
    answer = {"spent_nanos": "1000000000", "end_time": "2026-02-01T00:00:00Z", "end_p50_nanos": "1000000000"}
    edge.answers["GET", f"{ACME}/spendForecast"] = (200, answer)
    assert penstock("usage", "forecast")[1] == "$1 spent so far, and no whole hour yet to forecast from.\n"


def test_anomalies_are_listed(edge, penstock):
    anomaly = {"start_time": "2026-01-02T03:00:00Z", "spent_nanos": "10", "expected_nanos": "1"}
    answer = {"anomalies": [anomaly | {"z_score_milli": "6100"}]}
    edge.answers["GET", f"{ACME}/spendAnomalies"] = (200, answer)
    assert "+6" in penstock("usage", "anomalies")[1]


def test_a_charge_is_corrected_and_listed_with_its_reason(edge, penstock, tmp_path):
    made = {
        "name": "organizations/dev/usageCorrections/c1",
        "operation_id": "op",
        "reversed_nanos": "2000000000",
        "cost_nanos": "500000000",
        "reason": "counted twice",
        "actor": "key-1",
        "create_time": "2026-01-02T03:04:05Z",
    }
    edge.answers["POST", f"{ACME}/usageCorrections"] = (200, made)
    edge.answers["GET", f"{ACME}/usageCorrections"] = (200, {"usage_corrections": [made]})
    tries = [{"sku": "a/b", "tokens": {"input": 1}, "outcome": "ATTEMPT_OUTCOME_SUCCEEDED"}]
    file = tmp_path / "used.json"
    file.write_text(json.dumps(tries))
    asked = ("usage", "correct", "op", "--reason", "counted twice", "--request-id", "c1")
    code, out, _ = penstock(*asked, "--used", str(file))
    assert (code, "was charged $2, and is $0.5" in out) == (0, True)
    assert edge.requests[-1][3] == {
        "operation_id": "op",
        "attempts": tries,
        "reason": "counted twice",
        "request_id": "c1",
    }
    penstock(*asked)
    assert edge.requests[-1][3]["attempts"] == []
    _, out, _ = penstock("usage", "corrections")
    assert [word in out for word in ("op", "$2", "$0.5", "key-1", "counted twice")] == [True] * 5
    file.write_text("{")
    assert penstock(*asked, "--used", str(file))[0] == 2


def test_an_export_is_written_page_by_page(edge, penstock, tmp_path):
    edge.answers["GET", f"{ACME}/focus"] = (200, {"csv": "a,b\r\n", "focus_version": "1.2"})
    file = tmp_path / "charges.csv"
    code, _, err = penstock("usage", "export", "--output", str(file))
    assert (code, file.read_bytes()) == (0, b"a,b\r\n")
    assert "FOCUS 1.2" in err
    assert penstock("usage", "export")[1] == "a,b\r\n"


def test_a_budget_is_made_listed_changed_and_ended(edge, penstock):
    edge.answers["POST", f"{ACME}/budgets"] = (200, BUDGET)
    edge.answers["GET", f"{ACME}/budgets"] = (200, {"budgets": [BUDGET]})
    edge.answers["GET", f"{ACME}/budgets/research"] = (200, BUDGET)
    edge.answers["PATCH", f"{ACME}/budgets/research"] = (200, BUDGET)
    edge.answers["DELETE", f"{ACME}/budgets/research"] = (200, {})
    code, out, _ = penstock("budget", "create", "research", "25", "--team", "red", "--soft")
    assert (code, "90 %" in out, "team red" in out) == (0, True, True)
    assert edge.requests[-1][3] == {
        "amount_nanos": "25000000000",
        "period": "BUDGET_PERIOD_MONTH",
        "enforcement": "BUDGET_ENFORCEMENT_SOFT",
        "display_name": "",
        "team": "red",
    }
    assert "$22.5" in penstock("budget", "list")[1]
    assert "research" in penstock("budget", "show", "research")[1]
    assert penstock("budget", "update", "research", "30.5")[0] == 0
    assert edge.requests[-1][3] == {"amount_nanos": "30500000000"}
    assert penstock("budget", "delete", "research")[0] == 0


def test_a_budget_of_two_subjects_or_of_no_amount_is_wrong_usage(edge, penstock):
    assert penstock("budget", "create", "b", "25", "--team", "red", "--user", "ann")[0] == 2
    assert penstock("budget", "create", "b", "much")[0] == 2


def test_a_limit_is_made_changed_and_ended_and_listed_with_what_is_left(edge, penstock):
    limit = {
        "name": "organizations/dev/limits/per-user",
        "unit": "LIMIT_UNIT_REQUESTS",
        "window": "LIMIT_WINDOW_HOUR",
        "scope": "LIMIT_SCOPE_USER",
        "value": "1000",
        "remaining": "150",
        "tightest": "ann",
        "tier": "gold",
    }
    edge.answers["POST", f"{ACME}/limits"] = (200, limit)
    edge.answers["GET", f"{ACME}/limits"] = (200, {"limits": [limit]})
    edge.answers["PATCH", f"{ACME}/limits/per-user"] = (200, limit)
    edge.answers["DELETE", f"{ACME}/limits/per-user"] = (200, {})
    options = ("--window", "hour", "--scope", "user", "--tier", "gold")
    assert penstock("limits", "create", "per-user", "1000", *options)[0] == 0
    assert edge.requests[-1][3] == {
        "value": "1000",
        "unit": "LIMIT_UNIT_REQUESTS",
        "window": "LIMIT_WINDOW_HOUR",
        "scope": "LIMIT_SCOPE_USER",
        "subject": "",
        "model": "",
        "tier": "gold",
    }
    out = penstock("limits", "list")[1]
    assert all(text in out for text in ("1,000 requests per hour", "150", "15 %", "ann", "each user, tier"))
    assert penstock("limits", "update", "per-user", "2000")[0] == 0
    assert edge.requests[-1][3] == {"value": "2000"}
    assert penstock("limits", "delete", "per-user")[0] == 0


def test_alerts_are_asked_for_and_listed(edge, penstock):
    webhook = {"name": "organizations/dev/webhooks/default", "url": "https://e", "alert_percents": [50]}
    edge.answers["POST", f"{ACME}/webhooks"] = (200, {"webhook": webhook, "secret": "whsec_x"})
    edge.answers["GET", f"{ACME}/webhooks"] = (200, {"webhooks": [webhook | {"last_error": "HTTP 500"}]})
    edge.answers["DELETE", f"{ACME}/webhooks/default"] = (200, {})
    assert penstock("budget", "alert", "https://e", "--at", "50")[:2] == (0, "whsec_x\n")
    assert edge.requests[-1][3] == {"url": "https://e", "alert_percents": [50]}
    assert "HTTP 500" in penstock("budget", "alerts")[1]
    assert penstock("budget", "unalert", "default")[0] == 0


def test_an_invoice_is_made_shown_and_credited(edge, penstock):
    edge.answers["POST", f"{ACME}/invoices"] = (200, INVOICE)
    edge.answers["GET", f"{ACME}/invoices"] = (200, {"invoices": [INVOICE]})
    edge.answers["GET", f"{ACME}/invoices/i1"] = (200, INVOICE)
    note = INVOICE | {"kind": "INVOICE_KIND_CREDIT_NOTE", "corrects": INVOICE["name"], "reason": "[outage]"}
    edge.answers["POST", f"{ACME}/invoices/i1:credit"] = (200, note)
    code, out, _ = penstock("invoice", "create", "--until", "2026-02-01")
    assert (code, "$8.0000037" in out, "$8" in out, "1,005" in out) == (0, True, True, True)
    assert edge.requests[-1][3] == {"end_time": "2026-02-01T00:00:00Z"}
    assert "i1" in penstock("invoice", "list")[1]
    assert "openai/gpt-4o" in penstock("invoice", "show", "i1")[1]
    code, out, _ = penstock("invoice", "credit", "i1", "--reason", "[outage]", "--amount", "1.5")
    assert (code, "Corrects i1: [outage]" in out) == (0, True)
    assert edge.requests[-1][3]["amount_nanos"] == "1500000000"


def test_an_invoice_is_downloaded(edge, penstock, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = base64.b64encode(b"%PDF").decode()
    edge.answers["GET", f"{ACME}/invoices/i1:download"] = (200, {"filename": "../i1.pdf", "content": content})
    code, _, _ = penstock("invoice", "download", "i1")
    assert (code, (tmp_path / "i1.pdf").read_bytes()) == (0, b"%PDF")
    assert edge.requests[-1][3] == "format=INVOICE_FORMAT_PDF"


def test_prices_are_listed_imported_and_shown(edge, penstock, tmp_path):
    price = {"sku": "s", "book_version": "0123456789abcdef"}
    price |= {f"{name}_nanos_per_million": "37500000" for name in ("input", "cache_read", "cache_write")}
    price |= {f"{name}_nanos_per_million": "0" for name in ("output", "reasoning")}
    book = {"version": "0123456789abcdef", "rows": 1, "create_time": "2026-01-01T00:00:00Z", "in_force": True}
    edge.answers["GET", "/v1/prices"] = (200, {"prices": [price]})
    edge.answers["GET", "/v1/priceBooks"] = (200, {"price_books": [book]})
    edge.answers["GET", "/v1/priceBooks/current"] = (200, book | {"content": '{"sku": "s"}'})
    edge.answers["POST", f"{ACME}/priceBooks:import"] = (200, book)
    assert "$0.0375" in penstock("prices", "list")[1]
    assert "in force" in penstock("prices", "books")[1]
    assert penstock("prices", "show")[1] == '{"sku": "s"}\n'
    file = tmp_path / "prices.yaml"
    file.write_text("prices: []")
    assert "is in force" in penstock("prices", "import", str(file))[1]
    assert edge.requests[-1][3] == {"content": "prices: []", "validate_only": False}


@pytest.mark.parametrize("group", ["usage", "budget", "limits", "invoice", "prices"])
def test_help_teaches_by_example(penstock, group):
    code, out, _ = penstock(group, "--help")
    assert (code, f"penstock {group}" in out) == (0, True)


def test_amounts_are_read_and_written_exactly():
    for text, nanos in (("25", 25 * 10**9), ("$1,000.50", 1000_500_000_000), ("0.000000001", 1)):
        assert read_dollars(text) == nanos
    assert [dollars(nanos) for nanos in (0, 1, -1_500_000_000, 10**19)] == [
        "$0",
        "$0.000000001",
        "-$1.5",
        "$10,000,000,000",
    ]
    for text in ("", "-1", "1.0000000001", "1e3", "nan"):
        with pytest.raises(BadParameter):
            read_dollars(text)


def test_what_is_not_nothing_is_seen_in_a_chart():
    assert [bar(value, 1000, 10) for value in (0, 1, 500, 1000)] == ["", "▏", "█████", "██████████"]
