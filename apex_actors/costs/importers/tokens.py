"""Token counts of sources that count differently, made into what a record counts."""

InputTokens = dict[str, int]
"""The fields of a record that say what went in; `input_tokens` includes the other three."""


def beside_cache(
    uncached: int, *, read: int = 0, write_5m: int = 0, write_1h: int = 0
) -> InputTokens:
    """Of a source whose input excludes what was read from and written to the cache."""
    return {
        "input_tokens": uncached + read + write_5m + write_1h,
        "cache_read_tokens": read,
        "cache_write_5m_tokens": write_5m,
        "cache_write_1h_tokens": write_1h,
    }


def including_cache(
    input_tokens: int, *, read: int = 0, write_5m: int = 0, write_1h: int = 0
) -> InputTokens:
    """Of a source whose input includes them. More cache than input means that it does not."""
    if read + write_5m + write_1h > input_tokens:
        return beside_cache(input_tokens, read=read, write_5m=write_5m, write_1h=write_1h)
    return {
        "input_tokens": input_tokens,
        "cache_read_tokens": read,
        "cache_write_5m_tokens": write_5m,
        "cache_write_1h_tokens": write_1h,
    }


def by_total(
    input_tokens: int, output_tokens: int, total: int | None, *, read: int = 0, write: int = 0
) -> InputTokens:
    """Of a source that says neither, but a total: it tells whether input excludes the cache."""
    if total is not None and total == input_tokens + output_tokens + read + write:
        return beside_cache(input_tokens, read=read, write_5m=write)
    return including_cache(input_tokens, read=read, write_5m=write)
