"""The commands as a shell sees them: output, errors that say what to do, exit codes."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from apex_actors.protocol.scalars import parse_timestamp

NATIVE = {
    "record_id": "r1",
    "occurred_at": "2026-11-01T10:00:00Z",
    "grain": "request",
    "request_count": 1,
    "provider": "openai",
    "model": "gpt-5-mini",
    "input_tokens": 1000,
    "output_tokens": 100,
}


def test_help_lists_the_commands_and_each_has_its_own(apex):
    listed = apex("--help")
    assert listed.returncode == 0
    for command in (
        "up",
        "serve",
        "worker",
        "ask",
        "token",
        "revoke",
        "errors",
        "prices",
        "import",
        "migrate",
        "doctor",
    ):
        assert f"\n  {command} " in listed.stdout
    assert "--once" in apex("up", "--help").stdout


def test_a_wrong_call_exits_2(apex):
    assert apex("dance").returncode == 2
    assert apex("serve", "--role", "both").returncode == 2


def test_settings_that_do_not_fit_exit_1_with_their_names(apex):
    refused = apex("serve", APEX_MODE="production")
    assert refused.returncode == 1
    assert "APEX_AUTH__SECRET" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_port_that_is_taken_is_said_so_in_production(apex, live_server):
    port = live_server.url.rsplit(":", 1)[1]
    refused = apex(
        "serve", "--port", port, "--host", "127.0.0.1", APEX_MODE="production",
        APEX_AUTH__SECRET="s" * 40,
    )  # fmt: skip
    assert refused.returncode == 1
    assert f"port {port}" in refused.stderr
    assert "--port" in refused.stderr


def test_a_wrong_password_of_the_database_ends_the_start_with_what_to_do(apex, database_url):
    url = psycopg.conninfo.make_conninfo(database_url, password="not this one")
    refused = apex("serve", "--port", "0", APEX_DATABASE_URL=url)
    assert refused.returncode == 1
    assert "APEX_DATABASE_URL" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "not this one" not in refused.stderr


def test_migrate_check_finds_nothing_after_migrate(apex):
    assert apex("migrate").stdout == "The schema is up to date.\n"
    checked = apex("migrate", "--check", "--json")
    assert checked.returncode == 0
    assert json.loads(checked.stdout) == {"check": True, "steps": []}


def test_doctor_finds_all_well_or_says_what_to_do(apex):
    well = apex("doctor", "--json")
    assert well.returncode == 0
    report = json.loads(well.stdout)
    assert report["ok"]
    assert {"database", "cache", "settings"} <= {finding["name"] for finding in report["findings"]}
    ill = apex("doctor", "--json", APEX_REDIS_URL="redis://127.0.0.1:1/0")
    assert ill.returncode == 1
    [cache] = [f for f in json.loads(ill.stdout)["findings"] if f["name"] == "cache"]
    assert not cache["ok"]
    assert "APEX_REDIS_URL" in cache["advice"]


def test_import_takes_a_file_once_and_keeps_bad_rows_aside(apex, tmp_path):
    path = Path(tmp_path, "usage.jsonl")
    bad = NATIVE | {"record_id": "r2", "input_tokens": -5}
    path.write_text(json.dumps(NATIVE) + "\n" + json.dumps(bad) + "\n", encoding="utf-8")
    first = json.loads(apex("import", str(path), "--org", "acme", "--json").stdout)
    assert (first["inserted"], first["rejected"]) == (1, 1)
    again = apex("import", str(path), "--org", "acme")
    assert again.returncode == 0
    assert "0 new, 1 known already, 1 refused" in again.stdout
    assert "line 2" in again.stdout


def test_a_dry_run_says_what_an_import_would_do_and_keeps_nothing(apex, tmp_path):
    path = Path(tmp_path, "usage.jsonl")
    path.write_text(json.dumps(NATIVE) + "\n", encoding="utf-8")
    for _ in range(2):
        dry = apex("import", str(path), "--org", "acme", "--dry-run")
        assert dry.returncode == 0
        assert "1 new, 0 known already" in dry.stdout
        assert "nothing was kept" in dry.stdout
    summary = json.loads(apex("import", str(path), "--org", "acme", "--json").stdout)
    assert (summary["inserted"], summary["duplicates"]) == (1, 0)


def test_import_says_what_a_trace_lacks(apex, tmp_path):
    path = Path(tmp_path, "trace.csv")
    path.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.97,480,10\n", encoding="utf-8"
    )
    refused = apex("import", str(path), "--org", "acme")
    assert refused.returncode == 1
    assert "provider" in refused.stderr
    taken = apex(
        "import", str(path), "--org", "acme", "--provider", "openai", "--model", "gpt-5-mini"
    )
    assert "1 new" in taken.stdout


def test_a_file_that_is_not_there_is_named(apex):
    refused = apex("import", "nowhere.jsonl", "--org", "acme")
    assert refused.returncode == 1
    assert "nowhere.jsonl" in refused.stderr


def test_a_token_is_made_with_the_servers_secret(apex):
    made = apex("token", "ann", "--org", "acme", "--json")
    assert made.returncode == 0
    assert json.loads(made.stdout)["token"].count(".") == 2
    assert apex("token", "ann", "--lifetime-s", "999999999").returncode == 1
    assert apex("token", "ann", "--role", "king").returncode == 1


def test_tokens_are_made_by_the_issuer_where_keys_are_published(apex, tmp_path):
    refused = apex(
        "token", "ann", APEX_MODE="production", APEX_AUTH__ALGORITHM="RS256",
        APEX_AUTH__JWKS_FILE=str(tmp_path / "keys.json"),
    )  # fmt: skip
    assert refused.returncode == 1
    assert "issuer" in refused.stderr


def test_revoke_stores_who_is_revoked_and_for_how_long(apex, database_url):
    made = apex("revoke", "--user", "ann", "--org", "acme", "--json")
    assert made.returncode == 0, made.stderr
    shown = json.loads(made.stdout)
    assert (shown["org"], shown["sub"]) == ("acme", "ann")
    before, end = (parse_timestamp(shown[name]) for name in ("issued_before", "expires_at"))
    assert end - before == timedelta(days=1, seconds=5)
    own = apex("revoke", "--user", "bob", "--issued-before", "2000-01-01T12:00:00+02:00")
    assert own.returncode == 1
    assert "have expired" in own.stderr
    lately = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    said = apex("revoke", "--user", "bob", "--issued-before", lately)
    assert said.returncode == 0
    assert "bob (of bob)" in said.stdout
    one = json.loads(apex("revoke", "--jti", "t-1", "--json").stdout)
    assert one["jti"] == "t-1"
    until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S")
    timed = json.loads(apex("revoke", "--jti", "t-2", "--expires", until, "--json").stdout)
    assert parse_timestamp(timed["expires_at"]) == parse_timestamp(until + "Z") + timedelta(
        seconds=5
    )
    with psycopg.connect(database_url) as connection:
        stored = connection.execute("select org, sub, jti from apex.revocations order by id")
        assert stored.fetchall() == [
            ("acme", "ann", None),
            ("bob", "bob", None),
            (None, None, "t-1"),
            (None, None, "t-2"),
        ]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--user", "ann", "--jti", "t-1"),
        ("--jti", "t-1", "--org", "acme"),
        ("--jti", "t-1", "--issued-before", "2026-11-22"),
        ("--user", "ann", "--expires", "2026-11-22"),
        ("--user", "ann", "--issued-before", "yesterday"),
    ],
)
def test_a_revocation_that_is_not_clear_exits_2(apex, arguments):
    assert apex("revoke", *arguments).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--user", ""), "1 to 128"),
        (("--user", "a\nb"), "1 to 128"),
        (("--jti", "x" * 129), "1 to 128"),
        (("--user", "ann", "--issued-before", "2999-01-01"), "future"),
        (("--jti", "t-1", "--expires", "2000-01-01"), "have expired"),
    ],
)
def test_a_revocation_that_makes_no_sense_exits_1(apex, arguments, reason):
    refused = apex("revoke", *arguments)
    assert refused.returncode == 1
    assert reason in refused.stderr
    assert "Traceback" not in refused.stderr


def test_revoke_leaves_a_database_of_another_version_alone(apex, database_url):
    with psycopg.connect(database_url) as connection:
        connection.execute("delete from apex.schema_migrations where version = 3")
    refused = apex("revoke", "--user", "ann")
    assert refused.returncode == 1
    assert "apex migrate" in refused.stderr


def test_ask_shows_each_frame_as_a_line_and_exits_0(apex, live_server):
    asked = apex("ask", "Analyze my AI costs", "--url", live_server.url, "--json")
    assert asked.returncode == 0, asked.stderr
    frames = [json.loads(line) for line in asked.stdout.splitlines()]
    assert frames[0]["type"] == "connection_ready"
    assert frames[-1]["type"] == "run_finished"
    assert "final_response" in {frame["type"] for frame in frames}


def test_ask_without_a_server_says_how_to_start_one(apex):
    refused = apex("ask", "How much?", "--url", "http://127.0.0.1:1")
    assert refused.returncode == 1
    assert "apex up" in refused.stderr
