"""Replay through a prompt cache, by hand."""

from hypothesis import given
from hypothesis import strategies as st

from apex_actors.costs.levers.replay import NOT_CACHED, Prompt, replay


def reads(*prompts: tuple[float, int, tuple[int, ...]], ttl_s: int = 300, minimum: int = 512):
    return replay([Prompt(*prompt) for prompt in prompts], ttl_s=ttl_s, minimum_tokens=minimum)


def test_a_repeated_prefix_is_read():
    assert reads((0, 1536, (1, 2, 3)), (10, 1536, (1, 2, 4))) == [0, 1024]


def test_only_the_leading_run_is_read():
    assert reads((0, 1536, (1, 2, 3)), (10, 1536, (1, 9, 3))) == [0, 512]


def test_the_short_last_block_counts_its_real_tokens():
    assert reads((0, 700, (1, 2)), (10, 700, (1, 2))) == [0, 700]


def test_a_block_dies_after_its_time_and_lives_at_its_very_end():
    assert reads((0, 512, (1,)), (300, 512, (1,))) == [0, 512]
    assert reads((0, 512, (1,)), (300.001, 512, (1,))) == [0, 0]
    assert reads((0, 512, (1,)), (3600, 512, (1,)), ttl_s=3600) == [0, 512]


def test_use_refreshes():
    assert reads((0, 512, (1,)), (200, 512, (1,)), (400, 512, (1,))) == [0, 512, 512]


def test_a_miss_is_written_anew():
    assert reads((0, 512, (1,)), (1000, 512, (1,)), (1100, 512, (1,))) == [0, 0, 512]


def test_a_prefix_under_the_minimum_is_not_read_but_refreshed():
    first, second, third = reads(
        (0, 2048, (1, 2, 3, 4)), (200, 2048, (1, 8, 8, 8)), (400, 1536, (1, 8, 8)), minimum=1024
    )

    assert (first, second) == (0, 0)
    assert third == 1536


def test_a_prompt_under_the_minimum_is_neither_read_nor_written():
    assert reads((0, 600, (1, 2)), (10, 2048, (1, 2, 3, 4)), minimum=1024) == [NOT_CACHED, 0]


PROMPTS = st.lists(
    st.tuples(st.integers(0, 2000), st.lists(st.integers(0, 4), min_size=1, max_size=6)),
    max_size=30,
).map(
    lambda rows: [
        # Each hash covers all blocks before it.
        Prompt(at, 512 * len(path), tuple(hash(tuple(path[: end + 1])) for end in range(len(path))))
        for at, path in sorted(rows)
    ]
)


@given(PROMPTS)
def test_a_longer_life_never_reads_less(prompts):
    short = replay(prompts, ttl_s=300, minimum_tokens=512)
    long = replay(prompts, ttl_s=3600, minimum_tokens=512)

    assert all(a <= b for a, b in zip(short, long, strict=True))


@given(PROMPTS)
def test_no_more_is_read_than_was_sent_before(prompts):
    read = replay(prompts, ttl_s=300, minimum_tokens=512)

    for place, (prompt, tokens) in enumerate(zip(prompts, read, strict=True)):
        sent = {block for earlier in prompts[:place] for block in earlier.blocks}
        assert set(prompt.blocks[: tokens // 512]) <= sent
