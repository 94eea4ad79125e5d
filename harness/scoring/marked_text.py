"""Read a text by the marks of its format: thought, answer, and boxes with the steps that they are.

As in `stages.py`, nothing is judged and nothing a model writes raises. Marks are literal and read in any case; each
kind of them is looked for in one pass, so that a megabyte of anything costs milliseconds.

- What tools and users say in a transcript of several turns is not the model's: it is passed over.
- A thought that the chat template opened ends with the first closing mark that no opening one stands before. One that
  never ends goes on to the answer that follows it, or to the end of its turn.
- A thought that the format does not ask for is one all the same, in any family's marks: what stands in it is neither
  answer nor place, and one that never ends has no answer behind it.
- An answer inside of a thought is a draft, and under `strict` one inside of a comment is none. The last complete one
  counts; of one inside of another the inner.
- Words outside of all marks cost nothing: works differ in what may stand there, and none scores it.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Final

from harness.scoring.box_dialects import read_dialect_boxes
from harness.scoring.stages import Selection
from harness.scoring.surroundings import THOUGHTS, bare_answer, strip_as_lmms_eval, without_outer_marks
from harness.scoring.written_boxes import BoxReading
from harness.values import Box, BoxDialect, Fault, GroundedFormat, Marks, Response, Step, order_faults

MAX_STEPS: Final = 1_000
"""Most pieces of a text that are read for boxes; a sensible one has a handful. Beyond, the text is `malformed`."""

_NOT_THE_MODELS: Final = re.compile(
    # Up to the closing mark, or to where the assistant speaks again; a turn that never ends takes the rest.
    r"(?s:<tool_response>.*?(?:</tool_response>|\Z))"
    r"|(?s:<\|im_start\|>(?:user|tool|system|observation)\b.*?(?:(?=<\|im_start\|>assistant)|\Z))",
    re.IGNORECASE | re.ASCII,
)
"""What others say in a transcript, in the marks of Qwen's chat template, in which these works are written."""
_NEXT_TURN: Final = re.compile(r"<\|im_start\|>assistant\b", re.IGNORECASE | re.ASCII)
"""Where the assistant speaks again in a transcript."""
_COMMENT: Final = re.compile(
    # It ends by its mark, where the assistant speaks again, or with the text.
    r"(?s:<!--.*?(?:-->|(?=<\|im_start\|>assistant\b)|\Z))",
    re.IGNORECASE | re.ASCII,
)
"""A comment; one that never ends holds the rest of the turn, as in `stages.py`. Each character is looked at once."""
_BRACED: Final = re.compile(r"[^{}]*+(?:\{[^{}]*+(?:\{[^{}]*+(?:\{[^{}]*+\}[^{}]*+)*+\}[^{}]*+)*+\}[^{}]*+)*+(\})")
"""Up to the brace that closes one opened before, with three more inside of each other: `\\boxed{\\frac{1}{2}}`. Each
part between two braces is looked at from at most four opening ones, so that it stays linear."""
_OBJECT: Final = re.compile(r"\{[^{}]*+\}")
_NUMBERS: Final = re.compile(r"[\[(][\s0-9.,+eE-]{7,400}+[\])]")
_FENCE: Final = re.compile(r"```(?:json)?", re.IGNORECASE)
_LEFT_OF_LISTS: Final = re.compile(
    # Brackets and commas at the beginning; lists that are empty now; brackets and commas at the end.
    r"\A[\s\[\],;]*+|\[[\s,;]*+\]|[\s\[\],;]*+\Z"
)
_VALUE: Final = r"\s{0,8}+:\s{0,8}+(?:\"((?:[^\"\\]|\\.)*+)\"|'((?:[^'\\]|\\.)*+)'|([^\s,}\]\"']{1,200}+))"
"""What follows a key of JSON, or of Python's way to write it: a text in double (1) or single (2) quotation marks, or a
number or a word (3). The next key begins with a quotation mark, where the text before it ends, so that no part is
looked at twice."""
MAX_CUT_CHARACTERS: Final = 100_000
"""A longer text is not searched for what is left beside its boxes: all of it is the answer."""
_SHORT_VALUE: Final = r"\s{0,8}+:\s{0,8}+[\"']?+([\w.-]{1,64}+)"


@dataclass(frozen=True, slots=True)
class _Span:
    """Where a marked part of a text lies."""

    begin: int
    """Where its opening mark begins."""
    start: int
    """Where its content begins."""
    stop: int
    """Where its content ends."""
    end: int
    """Where its closing mark ends."""

    def moved(self, by: int) -> _Span:
        """Return where it lies in a text that has so many characters before."""
        return _Span(self.begin + by, self.start + by, self.stop + by, self.end + by) if by else self


@dataclass(frozen=True, slots=True)
class _Marked:
    """The parts of one kind."""

    complete: tuple[_Span, ...]
    """Those with both marks, in order."""
    lone: _Span | None = None
    """The first opening mark that nothing closes, with what follows it."""


def read_marked(
    text: str, form: GroundedFormat, selection: Selection, dialect: BoxDialect | None, *, truncated: bool
) -> Response:
    """Read a text by its format.

    Args:
        text: The model's text, unchanged; any string, also an empty one.
        form: Where what is.
        selection: `strict` takes thoughts and marks around an answer away, `lmms_eval` what that program does; `last`
            leaves the answer as it is.
        dialect: How its boxes are written; None: nobody knows, and they are read as lists.
        truncated: Whether the token budget ended the text; adds the fault `truncated`.

    Returns:
        What was found, and as faults: `missing` (no answer, thought or box where the format needs one), `unclosed` (an
        opening mark without its partner), `empty` (an answer or a thought with nothing in it), `multiple` (more than
        one complete answer), `bad_order` (a thought or a step ends behind the answer), and those of the boxes.
        `format_ok`: there is none of these.
    """
    text = _others_blanked(without_outer_marks(text))
    thoughts, faults = _thoughts(text, form)
    inside = [(span.begin, span.end) for span in thoughts]
    answers = _marked(_blanked(text, inside), form.answer)
    spoken = _spoken(text, inside, answers, selection)
    if answers.lone is not None:
        faults.add("unclosed")
        faults.add("unclosed")
    if len(spoken) > 1:
        faults.add("multiple")
    answer_span = spoken[-1] if spoken else None
    boxes = _boxes(text, form, _Parts(inside, answer_span), dialect)
    faults |= boxes.faults
    answer = _answer(text, form, answer_span, inside, boxes.places)
    if answer is None and "unclosed" not in faults:
        faults.add("missing")
    if answer:
        answer = _scored(answer, selection)
        if answer is None:
            faults.add("unclosed")
    if answer is not None and not answer.strip():
        faults.add("empty")
    if answer_span is not None and any(end > answer_span.end for end in (*(end for _, end in inside), boxes.end)):
        faults.add("bad_order")
    return Response(
        answer=answer,
        thinking="\n\n".join(text[span.start : span.stop].strip() for span in thoughts) if thoughts else None,
        boxes_written=boxes.counted,
        format_ok=not faults,
        faults=order_faults({*faults, "truncated"} if truncated else faults),
        steps=boxes.steps,
    )


@dataclass(frozen=True, slots=True)
class Call:
    """One call in a model's turn, as it is written."""

    said: str
    """The turn up to the end of this call, from the end of the call before it."""
    step: Step | None
    """The place that it names; None where it speaks of none."""


def read_calls(text: str, form: GroundedFormat, dialect: BoxDialect | None) -> tuple[tuple[Call, ...], bool]:
    """Read the calls of one turn of a model, where the format has boxes in calls, and whether it answers as well.

    The steps are those that `read_marked` finds in a transcript under `strict`; calls that name no place are none.
    """
    text = _others_blanked(without_outer_marks(text))
    inside = [(span.begin, span.end) for span in _thoughts(text, form)[0]]
    spoken = _spoken(text, inside, _marked(_blanked(text, inside), form.answer), "strict")
    parts = _Parts(inside, spoken[-1] if spoken else None)
    marked = _marked(text, form.boxes).complete
    calls: list[Call] = []
    end = 0
    for span in [span for span in marked if parts.hold(span.begin, form.boxes_in)][:MAX_STEPS]:
        written = text[span.start : span.stop]
        names_place = not form.box_key or form.box_key in written
        calls.append(Call(text[end : span.end], _step(written, form, _as_list(dialect)) if names_place else None))
        end = span.end
    return tuple(calls), bool(spoken)


def marked_boxes_text(text: str, form: GroundedFormat) -> str:
    """Return the text in which a format has its boxes, for checks that ask what the numbers could be."""
    text = _others_blanked(without_outer_marks(text))
    thoughts, _ = _thoughts(text, form)
    inside = [(span.begin, span.end) for span in thoughts]
    answers = _marked(_blanked(text, inside), form.answer).complete
    parts = _Parts(inside, answers[-1] if answers else None)
    if form.boxes:
        spans = [(span.start, span.stop) for span in _pieces(text, form, parts)[0]]
    else:
        spans = parts.regions(form.boxes_in, len(text))
    return " ".join(text[begin:end] for begin, end in (spans[-1:] if form.counted == "last" else spans))


def marked_spans(text: str, form: GroundedFormat) -> tuple[list[tuple[int, int]], tuple[int, int] | None]:
    """Return where a raw text's boxes lie, in order, and where the answer that counts does, if it is marked.

    Boxes that nothing marks lie where a list or an object of numbers stands in the parts that may hold them.
    """
    inner = without_outer_marks(text)
    before = max(text.find(inner), 0)
    inner = _others_blanked(inner)
    thoughts, _ = _thoughts(inner, form)
    inside = [(span.begin, span.end) for span in thoughts]
    answers = _marked(_blanked(inner, inside), form.answer).complete
    parts = _Parts(inside, answers[-1] if answers else None)
    if form.boxes:
        boxes = [(span.start, span.stop) for span in _pieces(inner, form, parts)[0][:MAX_STEPS]]
    else:
        boxes = [
            found.span()
            for begin, end in parts.regions(form.boxes_in, len(inner))
            for found in _NUMBERS.finditer(inner, begin, end)
        ][:MAX_STEPS]
    answer = None if parts.answer is None else (before + parts.answer.start, before + parts.answer.stop)
    return [(before + begin, before + end) for begin, end in boxes], answer


def _scored(answer: str, selection: Selection) -> str | None:
    """Return the part of an answer that is scored; None when a thought in it never ends."""
    if selection == "strict":
        return bare_answer(answer.strip())
    return strip_as_lmms_eval(answer) if selection == "lmms_eval" else answer.strip()


def _others_blanked(text: str) -> str:
    """Return the text with blanks in place of what tools and users say, so that places stay what they are."""
    return _NOT_THE_MODELS.sub(lambda said: " " * len(said[0]), text) if "<" in text else text


def _blanked(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Return the text with blanks in place of spans, in order and apart: a mark in one of them opens nothing."""
    if not spans:
        return text
    kept: list[str] = []
    place = 0
    for begin, end in spans:
        kept.extend((text[place:begin], " " * (end - begin)))
        place = end
    return "".join((*kept, text[place:]))


def _is_inside(place: int, spans: Sequence[tuple[int, int]]) -> bool:
    """Return whether a place lies in one of the spans, which are in order and apart."""
    after = bisect_right(spans, place, key=lambda span: span[0])
    return after > 0 and place < spans[after - 1][1]


def _spoken(text: str, thoughts: Sequence[tuple[int, int]], answers: _Marked, selection: Selection) -> list[_Span]:
    """Return the complete answers that count, in order: under `strict` those that stand in no comment."""
    comments = _comments(text, thoughts, answers) if selection == "strict" else []
    return [span for span in answers.complete if not _is_inside(span.begin, comments)]


def _comments(text: str, thoughts: Sequence[tuple[int, int]], answers: _Marked) -> list[tuple[int, int]]:
    """Return where comments stand, in order; what looks like one inside of a thought or an answer is a part of that."""
    said = [(span.begin, span.end) for span in answers.complete]
    spans = [found.span() for found in _COMMENT.finditer(text)]
    return [span for span in spans if not any(_is_inside(span[0], parts) for parts in (thoughts, said))]


# Marks


@lru_cache(maxsize=256)
def _openings(pairs: tuple[Marks, ...]) -> tuple[re.Pattern[str], dict[str, tuple[str, ...]]]:
    """Return what finds opening marks, the longest first, and the closing marks of each, in the order of the pairs."""
    closings: dict[str, tuple[str, ...]] = {}
    for opening, closing in pairs:
        closings[opening.lower()] = (*closings.get(opening.lower(), ()), closing)
    longest_first = sorted(closings, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE | re.ASCII), closings


@lru_cache(maxsize=256)
def _literal(mark: str) -> re.Pattern[str]:
    return re.compile(re.escape(mark), re.IGNORECASE | re.ASCII)


def _marked(text: str, pairs: tuple[Marks, ...], begin: int = 0, *, innermost: bool = True) -> _Marked:
    """Find the parts between pairs of marks, in one pass.

    Args:
        text: The text.
        pairs: Opening and closing marks; none finds nothing.
        begin: Where to begin.
        innermost: Whether a part begins with the last opening mark before its closing one, or with the first.
    """
    if not pairs:
        return _Marked(())
    opening, closings = _openings(pairs)
    complete: list[_Span] = []
    lone: _Span | None = None
    open_ended: set[tuple[str, str]] = set()  # pairs whose closing mark does not come any more
    place = begin
    while len(open_ended) < len(pairs) and (mark := opening.search(text, place)) is not None:
        name, span = mark[0].lower(), None
        for closing in closings[name]:
            if (name, closing) not in open_ended:
                span = _closed(text, mark, closing, innermost=innermost)
                if span is not None:
                    break
                if not _is_braced(name, closing):
                    open_ended.add((name, closing))
        if span is None:
            lone = lone or _Span(mark.start(), mark.end(), len(text), len(text))
            place = mark.end()
        else:
            complete.append(span)
            place = span.end
    return _Marked(tuple(complete), lone)


def _is_braced(opening: str, closing: str) -> bool:
    return opening.endswith("{") and closing == "}"


def _closed(text: str, mark: re.Match[str], closing: str, *, innermost: bool) -> _Span | None:
    """Return the part that an opening mark begins; None where nothing closes it."""
    begin, start = mark.span()
    if closing in {"", "\n"}:
        stop = text.find(closing, start) if closing else -1
        stop = len(text) if stop < 0 else stop
        return _Span(begin, start, stop, stop)
    if _is_braced(mark[0], closing):
        braced = _BRACED.match(text, start)
        return None if braced is None else _Span(begin, start, braced.start(1), braced.end())
    closed = _literal(closing).search(text, start)
    if closed is None:
        return None
    if innermost:
        for inner in _literal(mark[0]).finditer(text, start, closed.start()):
            begin, start = inner.span()
    return _Span(begin, start, closed.start(), closed.end())


def _thoughts(text: str, form: GroundedFormat) -> tuple[list[_Span], set[Fault]]:
    """Return where the thoughts lie, in order, and what is wrong with them."""
    pairs = form.thought or _unasked_thoughts(form)
    if not pairs:
        return [], set()
    spans: list[_Span] = []
    faults: set[Fault] = set()
    starts = [0, *(found.end() for found in _NEXT_TURN.finditer(text))]
    for start, stop in pairwise((*starts, len(text))):
        found, is_closed = _thoughts_of_turn(text[start:stop], form, pairs)
        spans.extend(span.moved(start) for span in found)
        if not is_closed:
            faults.add("unclosed")
    if not form.thought:
        return spans, faults
    if not spans:
        faults.add("missing")
    elif not any(text[span.start : span.stop].strip() for span in spans):
        faults.add("empty")
    return spans, faults


def _thoughts_of_turn(turn: str, form: GroundedFormat, pairs: tuple[Marks, ...]) -> tuple[list[_Span], bool]:
    """Return where the thoughts of one turn lie, in order, and whether all of them end."""
    spans: list[_Span] = []
    first = _openings(pairs)[0].search(turn)
    closings = [found for _, closing in pairs if closing.strip() and (found := _literal(closing).search(turn))]
    closed = min(closings, key=lambda found: found.start(), default=None)
    if closed is not None and (first is None or closed.start() < first.start()):
        spans.append(_Span(0, 0, closed.start(), closed.end()))
    marked = _marked(turn, pairs, spans[0].end if spans else 0, innermost=False)
    spans.extend(marked.complete)
    if marked.lone is None:
        return spans, True
    answer = next(iter(_marked(turn, form.answer, marked.lone.start).complete), None) if form.thought else None
    stop = len(turn) if answer is None else answer.begin
    spans.append(_Span(marked.lone.begin, marked.lone.start, stop, stop))
    return spans, False


@lru_cache(maxsize=256)
def _unasked_thoughts(form: GroundedFormat) -> tuple[Marks, ...]:
    """Return the marks of thoughts that a model writes unasked, but those that are something else in a format."""
    used = {mark.lower() for pair in (*form.answer, *form.boxes) for mark in pair}
    return tuple(pair for pair in THOUGHTS if used.isdisjoint(mark.lower() for mark in pair))


# Boxes


@dataclass(frozen=True, slots=True)
class _Parts:
    """Where thoughts and answer lie."""

    thoughts: list[tuple[int, int]]
    """In order and apart."""
    answer: _Span | None
    """The answer that counts; None without marks of one."""

    def hold(self, place: int, boxes_in: str) -> bool:
        """Return whether boxes at a place are where the format has them."""
        in_answer = self.answer is not None and self.answer.begin <= place < self.answer.end
        if boxes_in == "answer":
            return in_answer
        if boxes_in == "thought":
            return _is_inside(place, self.thoughts)
        return not in_answer and (boxes_in == "calls" or not _is_inside(place, self.thoughts))

    def regions(self, boxes_in: str, end: int) -> list[tuple[int, int]]:
        """Return the parts of a text of length `end` in which the format has its boxes."""
        if boxes_in == "answer":
            return [] if self.answer is None else [(self.answer.start, self.answer.stop)]
        if boxes_in == "thought":
            return self.thoughts
        taken = [] if boxes_in == "calls" else list(self.thoughts)
        if self.answer is not None:
            taken.append((self.answer.begin, self.answer.end))
        return _between(sorted(taken), end)


@dataclass(frozen=True, slots=True)
class _Boxes:
    """What a text says of places."""

    counted: tuple[Box, ...] | None = None
    """The boxes that are compared, as written; None when nothing that should hold boxes is there."""
    steps: tuple[Step, ...] = ()
    """The steps, where the format has any."""
    faults: frozenset[Fault] = frozenset()
    """What is wrong with them."""
    places: tuple[tuple[int, int], ...] = ()
    """Where marked boxes lie, marks included."""
    end: int = 0
    """Where the last step ends; 0 where the format has none."""


def _between(taken: Sequence[tuple[int, int]], end: int) -> list[tuple[int, int]]:
    """Return what lies between spans, which are in order."""
    free: list[tuple[int, int]] = []
    place = 0
    for begin, stop in taken:
        if begin > place:
            free.append((place, begin))
        place = max(place, stop)
    return [*free, (place, end)] if place < end else free


def _boxes(text: str, form: GroundedFormat, parts: _Parts, dialect: BoxDialect | None) -> _Boxes:
    """Read the boxes, marked or bare."""
    dialect = _as_list(dialect)
    return _marked_boxes(text, form, parts, dialect) if form.boxes else _bare_boxes(text, form, parts, dialect)


def _as_list(dialect: BoxDialect | None) -> BoxDialect:
    """Return a dialect with lists in place of SATORI's own: the list of that format alone is no layout of these."""
    if dialect is None or dialect.syntax == "satori":
        return replace(dialect or BoxDialect("list"), syntax="list")
    return dialect


def _pieces(text: str, form: GroundedFormat, parts: _Parts) -> tuple[list[_Span], _Span | None]:
    """Return the marked pieces that hold boxes, in order, and the first opening mark that nothing closes."""
    marked = _marked(text if form.has_steps else _blanked(text, parts.thoughts), form.boxes)
    pieces = [span for span in marked.complete if parts.hold(span.begin, form.boxes_in)]
    if form.box_key:
        pieces = [span for span in pieces if form.box_key in text[span.start : span.stop]]
    lone = marked.lone is not None and parts.hold(marked.lone.begin, form.boxes_in)
    return pieces, marked.lone if lone else None


def _marked_boxes(text: str, form: GroundedFormat, parts: _Parts, dialect: BoxDialect) -> _Boxes:
    """Read the boxes between marks: every marked piece is a step."""
    pieces, lone = _pieces(text, form, parts)
    faults: set[Fault] = set()
    if lone is not None:
        faults.add("unclosed")
    elif not pieces and form.boxes_needed:
        faults.add("missing")
    if len(pieces) > MAX_STEPS:
        faults.add("malformed")
        del pieces[MAX_STEPS:]
    steps: list[Step] = []
    for span in pieces:
        steps.append(_step(text[span.start : span.stop], form, dialect))
        faults.update(steps[-1].faults)
    counted = None if not pieces else _counted(steps, form)
    ended = pieces[-1].end if pieces and form.has_steps else 0
    places = tuple((span.begin, span.end) for span in pieces)
    return _Boxes(counted, tuple(steps) if form.has_steps else (), frozenset(faults), places, ended)


def _step(written: str, form: GroundedFormat, dialect: BoxDialect) -> Step:
    """Read a marked piece that holds boxes."""
    reading = read_dialect_boxes(written, dialect)
    boxes = _in_one_unit(reading.boxes, form, dialect)
    wrong = _wrong_here(reading)
    if not boxes and not wrong:
        wrong.add("malformed")
    return Step(boxes, _source(written, form), order_faults(wrong))


def _bare_boxes(text: str, form: GroundedFormat, parts: _Parts, dialect: BoxDialect) -> _Boxes:
    """Read the boxes of whole parts of a text: every box is a step."""
    boxes: list[Box] = []
    faults: set[Fault] = set()
    regions = parts.regions(form.boxes_in, len(text))
    for begin, end in regions:
        reading = read_dialect_boxes(text[begin:end], dialect)
        boxes.extend(_in_one_unit(reading.boxes, form, dialect))
        faults |= _wrong_here(reading)
    faults -= {"malformed", "empty"}  # words around boxes are no list that went wrong
    if not boxes and not faults:
        meant = form.box_key and any(form.box_key in text[begin:end] for begin, end in regions)
        faults |= {"malformed"} if meant else {"missing"} if form.boxes_needed else set()
    if len(boxes) > MAX_STEPS:
        faults.add("malformed")
        del boxes[MAX_STEPS:]
    steps = [Step((box,)) for box in boxes] if form.has_steps else []
    counted = _counted(steps, form) if steps else tuple(boxes)
    return _Boxes(counted if boxes else None, tuple(steps), frozenset(faults))


def _wrong_here(reading: BoxReading) -> set[Fault]:
    """Return what is wrong with boxes where a format's own marks hold them: SATORI's list of lists is not asked for."""
    faults = set(reading.faults)
    four_numbers = bool(reading.boxes) or not faults.isdisjoint(("inverted", "degenerate", "non_finite"))
    if four_numbers and not reading.nested and "other_dialect" not in faults:
        faults.discard("malformed")  # one flat list
    return faults - {"other_dialect"}


def _counted(steps: Sequence[Step], form: GroundedFormat) -> tuple[Box, ...]:
    """Return the boxes of the steps that count: all, or the last that has any."""
    if form.counted == "all":
        return tuple(box for step in steps for box in step.boxes_written)
    return next((step.boxes_written for step in reversed(steps) if step.boxes_written), ())


def _in_one_unit(boxes: tuple[Box, ...], form: GroundedFormat, dialect: BoxDialect) -> tuple[Box, ...]:
    """Return boxes in the dialect's unit where the format has another one for boxes with greater numbers."""
    if form.unit_above_one is None or isinstance(dialect.unit, str):
        return boxes
    factor = dialect.unit / form.unit_above_one
    return tuple(
        (x1 * factor, y1 * factor, x2 * factor, y2 * factor) if max(x1, y1, x2, y2) > 1 else (x1, y1, x2, y2)
        for x1, y1, x2, y2 in boxes
    )


@lru_cache(maxsize=256)
def _value_of(key: str, value: str) -> re.Pattern[str]:
    return re.compile(f"[\"']{re.escape(key)}[\"']{value}")


def _source(written: str, form: GroundedFormat) -> int:
    """Return which picture a step lies in: 0 the image, n the n-th crop, -1 what is no picture's name."""
    if not form.source_key:
        return 0
    found = _value_of(form.source_key, _SHORT_VALUE).search(written)
    named = "" if found is None else found[1].lower()
    if not named or named in map(str.lower, form.source_image):
        return 0  # works that leave the name out mean the image
    before = form.source_crop.lower()
    number = named.removeprefix(before)
    if not number.isdecimal() or len(number) > len(str(MAX_STEPS)) or not named.startswith(before):
        return -1
    crop = int(number) - form.first_crop + 1
    return crop if crop > 0 else -1


# The answer


def _answer(
    text: str,
    form: GroundedFormat,
    marked: _Span | None,
    thoughts: Sequence[tuple[int, int]],
    boxes: Sequence[tuple[int, int]],
) -> str | None:
    """Return the answer's text; None where there is none."""
    if form.answer_key:
        spoken = "".join(text[begin:end] for begin, end in _between(thoughts, len(text))) if thoughts else text
        last = deque(_value_of(form.answer_key, _VALUE).finditer(spoken), maxlen=1)
        return _json_text(last[0]) if last else None
    if form.answer:
        return None if marked is None else text[marked.start : marked.stop]
    spoken = "".join(text[begin:end] for begin, end in _between(sorted([*thoughts, *boxes]), len(text)))
    return spoken if form.boxes else _beside_boxes(spoken)


def _json_text(value: re.Match[str]) -> str:
    """Return the text that a value of JSON says; as it is written where it is no JSON."""
    if value[1] is None:
        return value[3] if value[2] is None else value[2].replace("\\'", "'")
    try:
        return str(json.loads(f'"{value[1]}"', strict=False))
    except ValueError:
        return value[1]


def _beside_boxes(text: str) -> str:
    """Return the words beside boxes that nothing marks; all of a text that is nothing but boxes, or too long."""
    if len(text) > MAX_CUT_CHARACTERS:
        return text
    words = _OBJECT.sub(lambda written: "" if written[0].count(",") >= 3 else written[0], text)
    words = _LEFT_OF_LISTS.sub("", _FENCE.sub("", _NUMBERS.sub("", words)))
    return words or text
