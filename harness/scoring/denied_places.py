"""Know which places a sentence states, and which it denies, leaves open or takes back.

Part of the rules `box` and `point` (`harness/scoring/places.py`): an answer that is a place may stand in a sentence,
and "It is not at [20, 30, 60, 80]" names none. As for numbers and options, a hedge, two places joined by "or" and a
question state nothing; a place that is denied, or stands before "Wait, ..." or another retraction, goes, and what is
left counts.

Words in quotes and between the tags of a reference are about the thing, not about the place ("the man without a hat").
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

from harness.scoring.answers.retractions import RETRACTION
from harness.scoring.answers.text import asks, fold
from harness.scoring.written_boxes import MAX_BOX_CHARACTERS

_PLACE: Final = re.compile(
    # Numbers in brackets or in a tag of their own, location tokens, or coordinates by name; all repetitions end soon.
    # "[100, 200, 400, 600]", "(250,400)", "{"point": [400, 250]}", with marks of a family around it.
    r"(?:<\|?[a-z_]{2,12}\|?>\s{0,3}){0,2}[\[({<]{1,4}\s{0,4}[-+]?\.?\d[\d\s.,;()\[\]{}<>+-]{0,400}[\])}>]"
    r"(?:\s{0,3}<[|/]{1,2}[a-z_|]{2,14}>){0,2}"
    # <point x="25.0" y="40.0" alt="box">box</point>.
    r"|<points?\b[^>]{0,200}>(?:[^<]{0,80}</points?>)?"
    # <loc0205><loc0102><loc0614><loc0410>.
    r"|(?:<loc_?\d{1,4}>){2,8}"
    # "x=", "y1:": coordinates by name, two to five of them.
    r"|\bx_?\d?\s{0,2}[=:]\s{0,2}[\d.]{1,12}(?:[,;\s]{1,3}(?:and )?[a-z]{1,6}_?\d?\s{0,2}[=:]\s{0,2}[\d.]{1,12}){1,4}",
    re.IGNORECASE,
)
_MARK: Final = "\ue000"
_ABOUT_THE_THING: Final = re.compile(
    # A quotation, in which "not red or blue" is a label; what is between a family's marks of a thing's name.
    r'"[^"\[\](){}<>\n]{0,200}"|<\|object_ref_start\|>.{0,200}?<\|object_ref_end\|>|<(ref|p)>.{0,200}?</\1>',
    re.DOTALL,
)
_SENTENCE_END: Final = re.compile(r"[.!;\n。！；]")
_HEDGED: Final = re.compile(
    # "Maybe [100, 200, 400, 600]", "I am not sure, it could be at".
    r"\b(?:maybe|perhaps|possibly|might|may be|could be|unsure|uncertain|not (?:sure|certain)|no idea|guess\w*"
    # "either at" one place or another, conditions, "I cannot tell."; 可能, 如果.
    r"|either|unless|if|whether|cannot tell|can't tell|don't know|do not know)\b|可能|也许|不确定|如果",
)
_BETWEEN: Final = rf"[^{_MARK}.;!?\n]{{0,40}}"
_ALTERNATIVES: Final = re.compile(
    # "or not" behind a place; "or" between two of them. "The cup or glass is at" has it elsewhere.
    rf"{_MARK} ?,? or not\b|{_MARK}{_BETWEEN}(?:\bor\b|或){_BETWEEN}{_MARK}"
)
_FILLER: Final = (
    r"(?:(?:really|actually|exactly|located|found|shown|visible|seen|placed|at|in|on|inside|within|near|around|be|by"
    r"|the|a|this|that|box|region|area|point|position|coordinates|spot|place|of|to|click|tap|press|here"
    r"|there|quite|:)[ ,]{1,2}){0,6}"
)
_DENIED_BEFORE: Final = re.compile(
    # "It is not at", "neither", "The lamp stands outside", "excluding".
    rf"(?:\b(?:not|never|nor|neither|cannot|instead of|rather than|except(?: for)?|other than|excluding|outside(?: of)?"
    # "The lamp isn't located in the box", with words between that say where; 它不在.
    rf"|anywhere but|no longer)|n't)[ :]{{1,2}}{_FILLER}\Z|(?:不在|不是|并非|而非|而不是|除了)[^{_MARK},.，。]{{0,6}}\Z"
)
_DENIED_AFTER: Final = re.compile(
    # "[100, 200, 400, 600] is wrong.", also "which is not"; "is excluded", "is ruled out".
    r"\s{0,2}\)?(?:,? (?:which|that))? ?(?:(?:is|are|was|were|would be) (?:not|never|wrong|incorrect|false|ruled out"
    # "isn't", "does not"; "wrong" at once, behind a comma or not; 不对, 不正确, 是错.
    r"|excluded|out)\b|(?:is|are|was|were|does|do)n't\b|does not\b|,? (?:is )?(?:wrong|incorrect)\b|不对|不正确|是错)"
)
_ALSO_DENIED: Final = re.compile(
    # "It is not at [100, 200, 400, 600] or [600, 200, 900, 600].", "nor", a list by commas.
    r"(?:,|,? ?\b(?:and|or|nor)\b)[ ,](?:at |in )?\Z"
)
_TAKES_BACK: Final = re.compile(
    # "Correction: [600, 200, 900, 600]"; "Wait, it is at [100, 200, 400, 600]." and words like it behind a mark.
    rf"{RETRACTION}|[.!;\n,] ?(?:wait|no,|no wait|oops|sorry|actually)\b"
)
_WORTH_A_LOOK: Final = re.compile(
    # A word of each alternative above and of RETRACTION, in their order: denied, hedged, taken back.
    r"\b(?:not|never|nor|neither|cannot|or|instead|rather|except|other|excluding|outside|but|longer|wrong|incorrect"
    r"|false|ruled|excluded|maybe|perhaps|possibly|might|may|could|unsure|uncertain|idea|guess\w*|either|unless|if"
    r"|whether|tell|know|wait|no|oops|sorry|actually|correction|hmm+|mistake|on (?:second|reflection)|ignore|scratch"
    r"|forget|disregard|strike|i (?:was|take|changed|disagree)|let me|lie|error|joke|opposite|reverse)\b"
    # What has no blanks around it.
    r"|n't|\?|[不非除或错]|可能|也许|如果|更正|纠正"
)
"""Most answers hold none of these, and are what they are."""


def stated_places(answer: str) -> str | None:
    """Return an answer without the places that it denies or takes back; None where it states none of its places.

    A text without any place comes back as it is, and so does one that is longer than boxes are read from.
    """
    lowered = answer.lower()
    if len(answer) > MAX_BOX_CHARACTERS or not _WORTH_A_LOOK.search(lowered):
        return answer
    places = list(_PLACE.finditer(answer))
    if not places:
        return answer
    marked = _marked(answer, places)
    if asks(answer) or _ALTERNATIVES.search(marked):
        return None
    if any(_MARK in sentence and _HEDGED.search(sentence) for sentence in _SENTENCE_END.split(marked)):
        return None
    pieces = marked.split(_MARK)
    kept = [not gone for gone in _denied(pieces)]
    taken_back = [found.start() for found in _TAKES_BACK.finditer(marked)]
    if taken_back:
        before = marked[: taken_back[-1]].count(_MARK)
        if before:
            kept[:before] = [False] * before
    if not any(kept):
        return None
    return _without(answer, [place for place, stays in zip(places, kept, strict=True) if not stays])


def _marked(answer: str, places: list[re.Match[str]]) -> str:
    """Return the folded text in lower case with a mark for each place, and without what is only about the thing."""
    ends = [0, *(place.end() for place in places)]
    starts = [*(place.start() for place in places), len(answer)]
    between = (answer[end:start] for end, start in zip(ends, starts, strict=True))
    return _ABOUT_THE_THING.sub('""', _MARK.join(fold(piece).lower().replace(_MARK, " ") for piece in between))


def _denied(pieces: list[str]) -> list[bool]:
    """Return of each place whether the words before or after it deny it; "not at [a] or [b]" denies both."""
    found: list[bool] = []
    for before, after in pairwise(pieces):
        also = bool(found) and found[-1] and _ALSO_DENIED.fullmatch(before) is not None
        tail = before[-120:] if before.endswith((" ", ":")) else f"{before[-120:]} "
        denied = _DENIED_BEFORE.search(tail) is not None or _DENIED_AFTER.match(after) is not None
        found.append(also or denied)
    return found


def _without(answer: str, gone: list[re.Match[str]]) -> str:
    """Return an answer without some places."""
    text, end = "", 0
    for place in gone:
        text += answer[end : place.start()] + " "
        end = place.end()
    return text + answer[end:]
