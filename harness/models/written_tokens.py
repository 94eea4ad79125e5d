"""Find the tokens that wrote a part of a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache


def tokens_of_spans(
    token_ids: Sequence[int], spans: Sequence[tuple[int, int]], text_of: Callable[[Sequence[int]], str]
) -> list[range]:
    """Return the tokens that wrote each span of a text: every token that wrote one of its characters or more.

    Args:
        token_ids: What was generated.
        spans: From the first character to behind the last, in the text of all of them.
        text_of: Decodes tokens as the text was decoded.

    A token is found by halving over the lengths of the texts of the first tokens, about ten decodings a span. Where a
    character is written by several tokens, a text cut within it may be longer than the whole by a mark; the span then
    begins or ends a token early at most.
    """

    @cache
    def length_of(count: int) -> int:
        return len(text_of(token_ids[:count]))

    def first_reaching(length: int, low: int = 0) -> int:
        """The least count of tokens whose text has more than `length` characters; all where none has."""
        high = len(token_ids)
        while low < high:
            middle = (low + high) // 2
            if length_of(middle) > length:
                high = middle
            else:
                low = middle + 1
        return low

    found: list[range] = []
    for begin, end in spans:
        if begin >= end:
            found.append(range(0))
            continue
        first = first_reaching(begin) - 1
        last = first_reaching(end - 1, max(first, 0))
        found.append(range(max(first, 0), min(last, len(token_ids))))
    return found
