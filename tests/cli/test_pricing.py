"""Prices at a shell: shown with where they come from, set, listed, cleared, recomputed."""

import json
from pathlib import Path

import pytest

ROW = {
    "record_id": "r1", "occurred_at": "2026-11-01T10:00:00Z", "provider": "anthropic",
    "model": "claude-sonnet-4-5", "input_tokens": 100_000, "output_tokens": 0,
}  # fmt: skip


@pytest.fixture
def own(tmp_path):
    path = Path(tmp_path, "own.toml")
    path.write_text(
        '[[prices]]\nprovider = "anthropic"\nmodel = "claude-sonnet-4-5"\n'
        "input = 2.5\noutput = 10\nvalid_from = 2026-01-01\n",
        encoding="utf-8",
    )
    return str(path)


def test_a_price_is_shown_with_tiers_and_source(apex):
    shown = apex(
        "prices", "show", "claude-sonnet-4-5", "--at", "2026-11-01", "--provider", "anthropic"
    )

    assert shown.returncode == 0, shown.stderr
    assert "price catalogue" in shown.stdout
    assert "over 200,000 in" in shown.stdout
    (line,) = [line for line in shown.stdout.splitlines() if line.startswith("  input")]
    assert line.split() == ["input", "3", "6"]


def test_a_price_as_json_says_since_when(apex):
    arguments = ("--provider", "anthropic", "--processing", "batch", "--json")
    shown = apex("prices", "show", "claude-sonnet-4-5", "--at", "2026-11-01", *arguments)

    (price,) = json.loads(shown.stdout)["prices"]
    assert price["since"] == "2026-10-14"
    assert price["tiers"][0]["per_million_tokens"]["input"] == "1.5"
    before = apex("prices", "show", "claude-sonnet-4-5", "--at", "2026-10-13", *arguments)
    assert before.returncode == 1
    assert "no batch rate known on that date" in before.stderr


def test_a_name_that_is_unknown_is_answered_with_the_nearest(apex):
    refused = apex("prices", "show", "claude-sonet-4-5")

    assert refused.returncode == 1
    assert "anthropic/claude-sonnet-4-5" in refused.stderr
    assert apex("prices", "show", "gpt-5", "--processing", "fast").returncode == 2


def test_own_prices_from_file_to_costs_and_back(apex, own, tmp_path):
    usage = Path(tmp_path, "usage.jsonl")
    usage.write_text(json.dumps(ROW), encoding="utf-8")
    apex("import", str(usage), "--org", "acme")

    assert "Version 1 holds: 1 rule" in apex("prices", "set", own, "--tenant", "acme").stdout
    shown = apex(
        "prices", "show", "claude-sonnet-4-5", "--tenant", "acme", "--provider", "anthropic"
    )
    assert "own price since 2026-01-01" in shown.stdout
    assert "input 2.5" in apex("prices", "list", "--org", "acme").stdout
    # 100,000 tokens at 3 dollars a million, then at 2.5.
    planned = apex("prices", "recompute", "--org", "acme", "--dry-run")
    assert "1 would change, $0.30 -> $0.25 in all" in planned.stdout
    done = json.loads(apex("prices", "recompute", "--org", "acme", "--json").stdout)
    assert (done["changed"], done["new_cost"]) == (1, "0.25")
    assert "List prices hold." in apex("prices", "clear", "--org", "acme").stdout
    assert "already" in apex("prices", "clear", "--org", "acme").stdout


def test_a_wrong_document_is_refused_with_its_place(apex, tmp_path):
    path = Path(tmp_path, "own.csv")
    path.write_text("provider,model,input\nanthropic,claude,1\n", encoding="utf-8")

    refused = apex("prices", "set", str(path), "--org", "acme")

    assert refused.returncode == 1
    assert "own.csv: prices.0: needs input and output" in refused.stderr
    assert "nowhere" in apex("prices", "set", "nowhere.toml", "--org", "acme").stderr


def test_an_import_names_what_has_no_price_and_what_is_covered_already(apex, tmp_path):
    usage = Path(tmp_path, "usage.jsonl")
    unknown = ROW | {"record_id": "r2", "model": "orion-7b"}
    bucket = ROW | {"record_id": "b1", "grain": "bucket", "request_count": 9}
    usage.write_text("\n".join(map(json.dumps, (ROW, unknown, bucket))), encoding="utf-8")

    said = apex("import", str(usage), "--org", "acme").stdout

    assert "no price for anthropic/orion-7b: model not in the price catalogue" in said
    assert "(1 request, 100,000 tokens)" in said
    assert (
        "only to reconcile: 1 record of 1 day, which the single requests of anthropic cover already"
        in said
    )
