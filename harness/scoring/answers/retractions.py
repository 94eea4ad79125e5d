"""Know the sentences that take back what a text said before them; every reader of answers asks here.

What a single statement denies ("not 5", "B is wrong") is each reader's own business: a number, a yes and an option are
denied in different words. A sentence such as "Correction: ..." or "I take that back." undoes any of them alike.
"""

from __future__ import annotations

from typing import Final

RETRACTING: Final = (
    # "Correction: …", "Hmm.", "Oops!", "Just kidding.", "No idea.", "My mistake."
    r"(?:(?:correction|hmm+|oops|just kidding|(?:i have )?no idea|my (?:mistake|bad))\b"
    # "On second thought, that is off.", "On reflection, the opposite."
    r"|on (?:second thoughts?|reflection)\b"
    # "Ignore that.", "Scratch that.", "Strike that."
    r"|(?:ignore|scratch|forget|disregard|strike) (?:that|this|it|the above|my)\b"
    # "I disagree.", "I was wrong.", "I take that back."
    r"|i (?:disagree|was wrong|changed my mind|take (?:that|this|it|everything) back)\b"
    # "Let me recheck.", "Let me reconsider."
    r"|let me (?:re-?check|re-?count|re-?examine|re-?think|reconsider|revise|correct)\b"
    # "That's a lie."
    r"|(?:that|this)(?:'s| is| was) (?:a lie|a mistake|an error|a joke)\b"
    # "The opposite is true."
    r"|(?:quite )?the (?:opposite|reverse) (?:is true|holds|is the case)\b"
    # "Actually it is not so."; without a negation the word only stresses what follows.
    r"|actually,? [^.!?\n]{0,60}?(?:\b(?:not|no|never)\b|n't\b)"
    # 更正。 and the like: corrected, I was wrong, I said it wrong.
    r"|更正|纠正|我错了|说错了)"
)
"""How such a sentence begins, in lower case, as part of a larger pattern."""

RETRACTION: Final = rf"[.!?;\n。！？][\"')\]*_]* {{0,2}}{RETRACTING}"
"""The same behind the end of another sentence: at the beginning of a text there is nothing yet to take back."""
