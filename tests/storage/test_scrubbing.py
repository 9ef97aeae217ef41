"""Secrets in texts that are kept: whatever stands around them, they are not in what comes out."""

import string
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apex_actors.storage.scrubbing import GONE, scrubbed

MAX_CHARS = 5_000

#: Long, of characters of which words are made, and in no text around it.
SECRETS = st.text(string.ascii_letters + string.digits + "_-", min_size=16, max_size=60).map(
    lambda text: f"Q7x{text}9zK"
)
AROUND = st.text(st.characters(exclude_categories=["Cs"]), max_size=60).filter(
    lambda text: "Q7x" not in text
)

FORMS = [
    "postgresql://apex:{}@db.example.com:5432/apex",
    "postgres://apex:{}@/apex?host=/run/postgresql",
    "redis://:{}@127.0.0.1:6379/0",
    "rediss://default:{}/more@cache.example.com",
    "https://user:{}@example.com/path",
    "host=db user=apex password={} dbname=apex",
    "password='{}'",
    "{{'password': '{}'}}",
    '{{"api_key": "{}"}}',
    "APEX_AUTH__SECRET={}",
    "access_token: {}",
    "Authorization: Bearer {}",
    "authorization: bearer   {}",
    "Basic {}",
    "eyJ{}.eyJ{}.{}",
    "ZXlK{}",
    "sk-{}",
    "ghp_{}",
    "/api/runs/1/report.html?signature={}&expires=1",
]


@pytest.mark.parametrize("form", FORMS)
@given(secret=SECRETS, before=AROUND, after=AROUND)
@example(secret="Q7xaaaaaaaaaaaaaaaa9zK", before="", after="")
def test_no_secret_comes_through_in_any_form(form, secret, before, after):
    text = f"{before} {form.replace('{}', secret)} {after}"
    assert secret not in scrubbed(text, max_chars=MAX_CHARS)


@given(AROUND, AROUND, SECRETS, st.sampled_from(FORMS))
def test_scrubbing_again_changes_nothing(before, after, secret, form):
    once = scrubbed(f"{before} {form.replace('{}', secret)} {after}", max_chars=MAX_CHARS)
    assert scrubbed(once, max_chars=MAX_CHARS) == once


@given(st.integers(0, 400), SECRETS)
def test_no_cut_leaves_half_a_secret(offset, secret):
    text = "x" * offset + f" postgresql://apex:{secret}@db/apex " + "y " * 1000
    for max_chars in (20, 50, 100):
        assert secret[:8] not in scrubbed(text, max_chars=max_chars)


@pytest.mark.parametrize(
    "text",
    [
        "division by zero",
        'File "/app/apex_actors/agents/data_agent.py", line 12, in work',
        "connection to server at 10.0.0.1, port 5432 failed: Connection refused",
        "see https://example.com/docs?page=2",
        "the tokeniser took 3 s; a basic plan; user@example.com",
        "run 0c8e2f0a-7f0e-4a38-9d0c-1d0e6f2b7a11 was taken over",
    ],
)
def test_what_is_no_secret_stays(text):
    assert scrubbed(text, max_chars=MAX_CHARS) == text


def test_who_and_where_can_still_be_told():
    text = scrubbed("cannot reach postgresql://apex:pw@db:5432/apex", max_chars=MAX_CHARS)
    assert text == f"cannot reach postgresql://{GONE}@db:5432/apex"


@pytest.mark.parametrize("piece", ["a://", "password=", "eyJaaaaa.", "'", "password='", "bearer "])
def test_no_text_takes_long(piece):
    began = time.monotonic()
    scrubbed(piece * 20_000, max_chars=20_000)
    assert time.monotonic() - began < 5
