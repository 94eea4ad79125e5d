"""Know the sentences that take back what a text said before them; every reader of answers asks here.

What a single statement denies ("not 5", "B is wrong") is each reader's own business: a number, a yes and an option are
denied in different words. A sentence such as "Correction: ..." or "I take that back." undoes any of them alike.
"""

from __future__ import annotations

from typing import Final

RETRACTING: Final = (
    r"(?:(?:correction|hmm+|oops|just kidding|(?:i have )?no idea|my (?:mistake|bad))\b"
    r"|on (?:second thoughts?|reflection)\b"
    r"|(?:ignore|scratch|forget|disregard|strike) (?:that|this|it|the above|my)\b"
    r"|i (?:disagree|was wrong|changed my mind|take (?:that|this|it|everything) back)\b"
    r"|let me (?:re-?check|re-?count|re-?examine|re-?think|reconsider|revise|correct)\b"
    r"|(?:that|this)(?:'s| is| was) (?:a lie|a mistake|an error|a joke)\b"
    r"|(?:quite )?the (?:opposite|reverse) (?:is true|holds|is the case)\b"
    r"|actually,? [^.!?\n]{0,60}?(?:\b(?:not|no|never)\b|n't\b)"
    r"|更正|纠正|我错了|说错了)"
)
"""How such a sentence begins, in lower case, as part of a larger pattern."""

RETRACTION: Final = rf"[.!?;\n。！？][\"')\]*_]* {{0,2}}{RETRACTING}"
"""The same behind the end of another sentence: at the beginning of a text there is nothing yet to take back."""
