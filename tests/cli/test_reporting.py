"""Error reports at a shell: listed, shown by the beginning of an id, and nothing that a terminal obeys."""

import json
from functools import partial
from uuid import UUID

import psycopg
import pytest

FIRST, SECOND = UUID("0c8e2f0a" + "0" * 24), UUID("0c8e2f0b" + "0" * 24)
RUN = UUID(int=7)


@pytest.fixture
def apex(apex):
    """The commands ``apex errors …``."""
    return partial(apex, "errors")


@pytest.fixture
def stored(database_url):
    """Two reports of one user, the second an hour after the first."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        [user_id] = connection.execute(
            "insert into apex.users (org, sub) values ('acme', 'ann') returning id"
        ).fetchone()
        for report_id, hour, message in (
            (FIRST, 10, "no room\nat all"),
            (SECOND, 11, "\x1b[2Jgone"),
        ):
            connection.execute(
                """
                insert into apex.error_reports
                    (id, user_id, run_id, kind, message, stack, context, created_at)
                values (%s, %s, %s, 'MemoryError', %s, %s, '{"attempt": 2}', %s)
                """,
                (
                    report_id,
                    user_id,
                    RUN,
                    message,
                    f"Traceback\n  line\n{message}\n",
                    f"2026-11-22 {hour}:00Z",
                ),
            )


@pytest.mark.usefixtures("stored")
def test_reports_are_listed_the_latest_first(apex):
    assert apex("list").stdout.splitlines() == [
        "0c8e2f0b  2026-11-22T11:00:00.000Z  ann (of acme)  MemoryError: \\x1b[2Jgone",
        "0c8e2f0a  2026-11-22T10:00:00.000Z  ann (of acme)  MemoryError: no room",
    ]
    listed = json.loads(apex("list", "--limit", "1", "--json").stdout)
    assert listed == {
        "reports": [
            {
                "id": str(SECOND),
                "created_at": "2026-11-22T11:00:00.000Z",
                "kind": "MemoryError",
                "message": "\x1b[2Jgone",
                "run_id": str(RUN),
                "org": "acme",
                "sub": "ann",
            }
        ]
    }
    since = apex("list", "--user", "ann", "--since", "2026-11-22T10:30:00Z", "--json").stdout
    assert [report["id"] for report in json.loads(since)["reports"]] == [str(SECOND)]
    nobody = apex("list", "--user", "bob")
    assert (nobody.returncode, nobody.stdout) == (0, "There are no such reports.\n")


@pytest.mark.usefixtures("stored")
def test_a_report_is_shown_by_its_id_or_a_beginning_that_no_other_has(apex):
    shown = apex("show", "0c8e2f0a")
    assert shown.returncode == 0
    assert str(FIRST) in shown.stdout
    assert "ann (of acme)" in shown.stdout
    assert "attempt  2" in shown.stdout
    assert shown.stdout.endswith("Traceback\n  line\nno room\nat all\n")
    assert "\x1b" not in apex("show", str(SECOND)).stdout
    whole = json.loads(apex("show", str(SECOND), "--json").stdout)
    assert (whole["id"], whole["context"]) == (str(SECOND), {"attempt": 2})
    assert whole["stack"].startswith("Traceback")


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("prefix", "reason"),
    [
        ("0c8e", "give more of it"),
        ("ff", "apex errors list"),
        ("run-1", "hexadecimal"),
    ],
)
def test_an_id_that_names_no_one_report_exits_1_and_says_what_to_do(apex, prefix, reason):
    refused = apex("show", prefix)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert reason in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("arguments", [(), ("list", "--limit", "0"), ("show",), ("clear",)])
def test_a_wrong_call_exits_2(apex, arguments):
    assert apex(*arguments).returncode == 2


def test_a_database_of_another_version_is_left_alone(apex, database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("delete from apex.schema_migrations where version = 4")
    refused = apex("list")
    assert refused.returncode == 1
    assert "apex migrate" in refused.stderr
