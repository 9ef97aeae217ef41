"""A tenant's own prices are read and set over HTTP."""

import json

import pytest
from jsonschema import Draft202012Validator

from apex_actors.protocol.identity import Role

SONNET = {"provider": "anthropic", "model": "claude-sonnet-4-5"}
TOML = """
[[prices]]
provider = "anthropic"
model = "claude-sonnet-4-5"
input = 2.7
output = 13.5
"""
ROW = {
    "record_id": "r1", "occurred_at": "2026-11-02T10:00:00Z", **SONNET,
    "input_tokens": 100_000, "output_tokens": 0,
}  # fmt: skip


@pytest.fixture
def mine(bearer):
    return bearer("ann", org="acme", roles=(Role.DATA_ADMIN,))


async def test_own_prices_hold_for_the_whole_organisation_and_for_no_other(http, bearer, mine):
    put = await http.put("/api/prices", content=TOML, headers=mine)

    assert put.status_code == 200
    shown = (await http.get("/api/prices", headers=bearer("bob", org="acme"))).json()
    assert shown == put.json()
    assert (shown["version"], shown["prices"][0]["input"]) == (1, "2.7")
    others = (await http.get("/api/prices", headers=bearer("eve"))).json()
    assert (others["version"], others["created_at"], others["prices"]) == (0, None, [])
    assert others["price_version"] != shown["price_version"]


async def test_an_upload_is_priced_by_them(http, mine):
    await http.put("/api/prices", json=[{**SONNET, "input": "2", "output": "1"}], headers=mine)

    uploaded = await http.post("/api/usage", content=json.dumps(ROW), headers=mine)

    assert uploaded.json()["computed_cost"] == "0.2"


async def test_deleted_they_are_list_prices_again(http, mine):
    await http.put("/api/prices", content=TOML, headers=mine)

    deleted = await http.delete("/api/prices", headers=mine)

    assert (deleted.status_code, deleted.json()["version"]) == (200, 2)
    assert deleted.json()["prices"] == []
    assert (await http.delete("/api/prices", headers=mine)).json()["version"] == 2


async def test_a_wrong_document_is_refused_with_its_place_and_changes_nothing(http, mine):
    refused = await http.put("/api/prices", json=[{**SONNET, "input": "2"}], headers=mine)

    assert refused.status_code == 422
    assert refused.json()["error"]["message"].startswith("prices.0: needs input and output")
    assert (await http.get("/api/prices", headers=mine)).json()["version"] == 0


async def test_only_who_may_change_data_sets_them(http, bearer):
    for answer in (
        await http.put("/api/prices", content=TOML, headers=bearer("ann", org="acme")),
        await http.delete("/api/prices", headers=bearer("ann", org="acme")),
    ):
        assert answer.status_code == 403


async def test_answers_are_what_the_document_says(http, mine):
    document = (await http.get("/openapi.json")).json()
    answer = await http.put("/api/prices", content=TOML, headers=mine)

    operation = document["paths"]["/api/prices"]["put"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    Draft202012Validator(schema | {"components": document["components"]}).validate(answer.json())
    assert set(operation["requestBody"]["content"]) == {
        "application/json", "application/toml", "text/csv",
    }  # fmt: skip


async def test_days_of_two_sources_are_listed(http, mine):
    bucket = ROW | {"record_id": "b1", "grain": "bucket", "request_count": 9}
    await http.post("/api/usage", content=json.dumps(ROW), headers=mine)
    uploaded = await http.post("/api/usage", content=json.dumps(bucket), headers=mine)
    assert uploaded.json()["covered"] == [
        {"provider": "anthropic", "source_kind": "requests", "days": 1, "records": 1}
    ]

    days = {"first_day": "2026-11-01", "last_day": "2026-11-30"}
    found = (await http.get("/api/usage/overlaps", params=days, headers=mine)).json()

    (overlap,) = found["overlaps"]
    assert (overlap["provider"], overlap["day"]) == ("anthropic", "2026-11-02")
    assert [source["source_kind"] for source in overlap["sources"]] == ["requests", "usage_report"]


async def test_costs_in_other_currencies_stand_apart_until_there_is_a_rate(http, mine):
    rows = [
        ROW | {"record_id": "u", "reported_cost": "5"},
        ROW | {"record_id": "e1", "reported_cost": "2.5", "currency": "EUR"},
        ROW
        | {"record_id": "e2", "reported_cost": "4", "currency": "EUR",
           "occurred_at": "2026-11-03T00:00:00Z"},
        ROW | {"record_id": "y", "reported_cost": "300", "currency": "JPY"},
    ]  # fmt: skip
    await http.post("/api/usage", content="\n".join(map(json.dumps, rows)), headers=mine)
    days = {"first_day": "2026-11-01", "last_day": "2026-11-30"}

    async def shown():
        answer = await http.get("/api/usage/currencies", params=days, headers=mine)
        return {
            each["currency"]: (each["amount"], each["converted_amount"], each["converted_usd"])
            for each in answer.json()["currencies"]
        }

    assert await shown() == {"EUR": ("6.5", "0", "0"), "JPY": ("300", "0", "0")}
    given = {
        "rates": [
            {"currency": "EUR", "day": "2026-11-02", "usd": "1.1"},
            {"currency": "EUR", "day": "2026-11-03", "usd": "1.2"},
            {"currency": "JPY", "day": "2026-11-03", "usd": "0.007"},
        ]
    }
    assert (await http.put("/api/prices/rates", json=given, headers=mine)).json() == given

    # 2.5 at 1.1 and 4 at 1.2; the yen were spent before their first rate.
    assert await shown() == {"EUR": ("6.5", "6.5", "7.55"), "JPY": ("300", "0", "0")}
    summary = (await http.get("/api/usage/summary", params=days, headers=mine)).json()
    assert summary["totals"]["reported_cost"] == "5"
    assert (await http.get("/api/prices/rates", headers=mine)).json() == given


async def test_rates_that_contradict_each_other_are_refused(http, bearer, mine):
    rate = {"currency": "EUR", "day": "2026-11-02", "usd": "1.1"}

    for rates in ([rate, rate], [rate | {"currency": "USD"}], [rate | {"usd": "0"}]):
        refused = await http.put("/api/prices/rates", json={"rates": rates}, headers=mine)
        assert refused.status_code == 422
    allowed = {"json": {"rates": [rate]}, "headers": bearer("bob", org="acme")}
    assert (await http.put("/api/prices/rates", **allowed)).status_code == 403
