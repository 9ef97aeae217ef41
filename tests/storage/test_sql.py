"""Named SQL: found, named, and refused when it is ambiguous."""

import pytest

from apex_actors.storage.sql import load_queries, parse_queries


def test_statements_are_found_by_name_and_carry_it():
    queries = parse_queries(
        "-- A file.\n\n-- name: one\n-- why\nselect 1;\n\n-- name: two\nselect 2\n", origin="x"
    )
    assert queries == {"one": b"/* one */ -- why\nselect 1", "two": b"/* two */ select 2"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("-- name: one\nselect 1\n-- name: one\nselect 2", "twice"),
        ("-- name: one\n-- name: two\nselect 2", "no statement"),
    ],
)
def test_an_ambiguous_file_is_refused(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_queries(text, origin="x.sql")


@pytest.mark.parametrize("noun", ["events", "runs", "threads"])
def test_the_files_of_the_package_are_read(noun):
    assert load_queries(noun)


def test_what_statements_share_stands_in_each_of_them():
    come = load_queries("usage_import")["merge_incoming"].decode()
    gone = load_queries("usage_imports")["remove_records"].decode()
    [shared] = {
        statement[statement.index("summed as (") : statement.rindex("\nselect")]
        for statement in (come, gone)
    }
    assert "insert into apex.usage_rollups_day" in shared


def test_a_shared_part_may_have_shared_parts_itself():
    totals = load_queries("usage")["totals"].decode()
    assert "include" not in totals
    assert "%(only_team)s" in totals
