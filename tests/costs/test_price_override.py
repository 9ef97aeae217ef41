"""Documents of negotiated prices: three notations, one meaning, errors that say where."""

import json
from decimal import Decimal

import pytest

from apex_actors.costs.price_override import (
    MAX_DOCUMENT_BYTES,
    PriceDocumentError,
    check_override,
    parse_price_document,
)

TOML = b"""
[[prices]]
provider = "anthropic"
model = "claude-sonnet-4-5"
valid_from = 2026-07-01
input = 2.7
output = 13.50
cache_read = "0.27"

[[prices]]
provider = "openai"
model = "gpt-5*"
processing = "batch"
discount_percent = 12.5
"""
JSON = b"""[
 {"provider": "anthropic", "model": "claude-sonnet-4-5", "valid_from": "2026-07-01",
  "input": 2.7, "output": 13.50, "cache_read": "0.27"},
 {"provider": "openai", "model": "gpt-5*", "processing": "batch", "discount_percent": 12.5}
]"""
CSV = b"""provider,model,processing,valid_from,input,output,cache_read,discount_percent
anthropic,claude-sonnet-4-5,,2026-07-01,2.7,13.50,0.27,
openai,gpt-5*,batch,,,,,12.5
"""


def test_three_notations_say_the_same():
    toml, listed, table = (parse_price_document(text) for text in (TOML, JSON, CSV))
    whole = parse_price_document(b'{"prices": ' + JSON + b"}")

    assert toml == listed == table == whole
    assert toml.digest == table.digest
    assert toml.prices[0].input == Decimal("2.7")


def test_amounts_are_read_by_their_digits():
    # As a binary fraction it would be 0.1000000000000000055…
    document = b'[{"provider": "a", "model": "b", "input": 0.100000000000000005, "output": 0}]'

    (rule,) = parse_price_document(document).prices

    assert rule.input == Decimal("0.100000000000000005")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"input": "1"}, "needs input and output"),
        ({}, "either prices or discount_percent"),
        ({"input": "1", "output": "1", "discount_percent": 5}, "and not both"),
        ({"discount_percent": 0}, "prices.0.discount_percent"),
        ({"discount_percent": 100.5}, "prices.0.discount_percent"),
        ({"input": "-1", "output": "1"}, "prices.0.input"),
        ({"input": "NaN", "output": "1"}, "prices.0.input"),
        ({"input": "1", "output": "1", "processing": "fast"}, "prices.0.processing"),
        ({"input": "1", "output": "1", "currency": "EUR"}, "prices.0.currency: there is no such"),
        ({"discount_percent": 5, "model": "gpt-*-mini"}, "at its end only"),
        (
            {"discount_percent": 5, "valid_from": "2026-02-01", "valid_until": "2026-02-01"},
            "valid_until: must be after",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(fields, problem):
    with pytest.raises(PriceDocumentError, match=problem) as error:
        check_override({"prices": [{"provider": "secret-corp", "model": "m", **fields}]})
    assert "secret-corp" not in str(error.value)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (b"", "prices: field required"),
        (b"{", "not JSON: see line 1"),
        (b"prices = [", "see (line|end)"),
        (b"\xff\xfe", "not text in UTF-8"),
        (b'{"prices": []}', "at least 1"),
        (b"provider,model,input,output\na,b,1\n", "Line 2"),
        (b"3", "neither TOML"),
        (b" " * (MAX_DOCUMENT_BYTES + 1), "larger than"),
    ],
)
def test_what_is_no_document_is_refused(document, problem):
    with pytest.raises(PriceDocumentError, match=f"(?i){problem}"):
        parse_price_document(document)


def test_two_rules_may_not_claim_the_same_price_on_a_day():
    first = {"provider": "a", "model": "b", "input": "1", "output": "1"}

    with pytest.raises(PriceDocumentError, match=r"prices\.0 and prices\.1"):
        check_override({"prices": [{**first, "valid_from": "2026-01-01"}, {**first, "model": "B"}]})

    assert check_override(
        {
            "prices": [
                {**first, "valid_from": "2026-02-01"},
                {**first, "valid_until": "2026-02-01"},
                {**first, "processing": "batch"},
                {"provider": "a", "model": "b", "discount_percent": 1},
            ]
        }
    )


def test_a_rule_goes_through_json_unchanged():
    override = parse_price_document(TOML)

    assert check_override(json.loads(override.model_dump_json())) == override
