"""Parse a model's raw text into SATORI's stages: caption, boxes, thinking, answer.

Nothing is judged here and nothing a model writes raises: what is wrong with the text has a fault name. Every reading is
one pass over the text, so a megabyte of anything costs milliseconds.

What a `Selection` reads:

- `last` (the protocol `vlmevalkit`): tags in any case, `<name>` and `</name>`; blanks and attributes inside of them do
  no harm to the reading and cost the format. An opening tag and the next closing tag of its name make a complete stage
  when no stage of the format opens between them. Of each kind the last complete stage counts; nothing is ever read from
  an unclosed tag. Marks of turns and ends around the whole text are not part of it, and `</think>` before any tag of a
  thought ends one that the chat template opened (see `_with_opened_thought`).
- `strict` (the protocol of that name): as `last`; an answer stage inside of a thought, a caption, the boxes or a
  comment is no answer, and what surrounds an answer is not the answer (`bare_answer`).
- `lmms_eval` (the protocol `lmms-eval`): as `last`; the answer as that program hands it to its scorers.
- `paper_benchmark`, `paper_reward` (SATORI's released code): lower-case tags, the first match of `<name>(.*?)</name>`,
  where a benchmark's answer has to stand on one line and is not stripped.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, Literal, TypeAlias, get_args

from harness.scoring.box_dialects import read_dialect_boxes
from harness.scoring.surroundings import (
    bare_answer,
    strip_as_lmms_eval,
    thought_spans,
    without_outer_marks,
    without_spoken_turn,
)
from harness.scoring.written_boxes import read_boxes_paper
from harness.values import (
    FREE_STAGES,
    NO_CHOICE,
    SATORI_LIST,
    STAGE_FORMATS,
    BoxDialect,
    Fault,
    FreeStage,
    KeptStages,
    Response,
    StageFormat,
    order_faults,
)

Selection: TypeAlias = Literal["strict", "last", "lmms_eval", "paper_benchmark", "paper_reward"]
"""Which of the stages in a text are read; see the head of this file."""

SELECTIONS: Final[tuple[Selection, ...]] = get_args(Selection)
_SELECTIONS_OF_LAST: Final[frozenset[Selection]] = frozenset({"strict", "last", "lmms_eval"})

StageKind: TypeAlias = Literal["caption", "bbox", "thinking", "answer"]
"""What a stage holds; its tag has the same name, but that thinking may be tagged `<think>`."""

STAGES: Final[dict[StageFormat, tuple[StageKind, ...]]] = {
    "satori": ("caption", "bbox", "answer"),
    "satori-think": ("caption", "bbox", "thinking", "answer"),
    "satori-adaptive": ("caption", "bbox", "answer"),
    "freeform": ("thinking", "answer"),
    "plain": (),
}
"""The stages of each format, in the order that the format asks for."""

MAY_BE_LEFT_OUT: Final[dict[StageFormat, tuple[FreeStage, ...]]] = {
    form: FREE_STAGES if form == "satori-adaptive" else () for form in STAGES
}
"""The stages of each format that a text may leave out: without any tag of theirs they are no fault."""

_TAGS: Final[dict[StageFormat, dict[str, StageKind]]] = {
    "satori": {"caption": "caption", "bbox": "bbox", "answer": "answer"},
    "satori-think": {
        "caption": "caption",
        "bbox": "bbox",
        "thinking": "thinking",
        "think": "thinking",
        "answer": "answer",
    },
    "satori-adaptive": {"caption": "caption", "bbox": "bbox", "answer": "answer"},
    "freeform": {"think": "thinking", "answer": "answer"},
    "plain": {},
}
"""Tag names that each format knows; a tag of any other name is text."""


def may_leave_out(form: str) -> bool:
    """Return whether texts of a format, by whatever name, may leave stages out."""
    return any(form == name and free for name, free in MAY_BE_LEFT_OUT.items())


def parse(
    text: str,
    form: StageFormat,
    selection: Selection,
    *,
    truncated: bool = False,
    dialect: BoxDialect | None = SATORI_LIST,
) -> Response:
    """Read the stages of a raw text.

    Args:
        text: The model's text, unchanged; any string, also an empty one.
        form: The stages that were asked for. `plain` has none: its answer is the whole text, under `strict` and
            `lmms_eval` without what surrounds it.
        selection: Which stages count.
        truncated: Whether the token budget ended the text; adds the fault `truncated` and changes nothing else.
        dialect: How boxes are written, of which the paper's selections know nothing; None, not known: the strict list.
            A dialect of its own (any but `satori`) is also looked for outside of the stages where the text has no
            complete stage of boxes: the place counts, the fault of the stage stays.

    Returns:
        The stages that were found, and as faults of the format's stages: `missing` (no tag of that stage, where the
        format does not let it be left out), `unclosed`
        (a tag without its partner), `empty` (nothing but blanks in the stage that counts, or an empty list of boxes),
        and under `last` also `multiple` (more than one complete stage of a kind) and `bad_order` (the stages that
        count are not in the format's order, or nothing else is wrong and text stands outside of them, or one of their
        tags is not written exactly); then those of
        its boxes. `format_ok` under `last`: the whole text, outer blanks apart, is the stages in order, each once and
        not empty, only blanks between, with at least one well-formed box. Under the paper's selections: what the
        reference's regular expression says (for the formats that the reference does not have, the same expression with
        their stages).

    Raises:
        ValueError: `form` or `selection` is not a known name.
    """
    if form not in STAGES:
        raise ValueError(f"format {form!r} is not known; choose one of {', '.join(STAGE_FORMATS)}")
    if selection not in SELECTIONS:
        raise ValueError(f"selection {selection!r} is not known; choose one of {', '.join(SELECTIONS)}")
    if form == "plain":
        return _plain(text, selection, truncated=truncated)
    if selection in _SELECTIONS_OF_LAST:
        return _read_last(text, form, selection, dialect or SATORI_LIST, truncated=truncated)
    return _read_first(text, form, on_one_line=selection == "paper_benchmark", truncated=truncated)


def boxes_text(text: str, form: StageFormat) -> str:
    """Return the text in which boxes are looked for: their last complete stage, else what is outside of stages."""
    if "bbox" in STAGES[form]:
        whole = _WHOLE_PATTERNS[form].fullmatch(text)
        if whole is not None and whole["bbox"] is not None:
            return whole["bbox"].strip()
    stage = _last_stages(text, form)[0].get("bbox")
    return _outside_of_stages(text, form) if stage is None else stage


def stage_spans(text: str, form: StageFormat) -> dict[StageKind, tuple[int, int]]:
    """Return where the content of the stages that `strict` reads lies in a raw text, by what they hold."""
    drafts = _no_answers_in(text)
    spans: dict[StageKind, tuple[int, int]] = {}
    for stage in _STAGE_PATTERNS[form].finditer(text) if STAGES[form] else ():
        kind = _TAGS[form][stage[1].lower()]
        if kind != "answer" or not _inside(stage.start(), drafts):
            spans[kind] = stage.span(2)
    return spans


def _plain(text: str, selection: Selection, *, truncated: bool) -> Response:
    """Take the whole text for the answer, but for what the selection says is none."""
    faults: set[Fault] = {"truncated"} if truncated else set()
    answer = _scored_text(without_spoken_turn(text) if selection == "strict" else text, selection)
    faults |= _answer_faults(answer)
    return Response(answer=answer, faults=order_faults(faults))


def _scored_text(text: str, selection: Selection) -> str | None:
    """Return the part of an answer's text that is scored; None when a thought in it never ends."""
    if selection == "strict":
        return bare_answer(text)
    if selection != "lmms_eval":
        return text
    # ChartQA's scorer is the only one there that does not strip; called by itself it sees the blanks.
    left = strip_as_lmms_eval(text)
    return text if left == text.strip() else left


def _answer_faults(answer: str | None) -> set[Fault]:
    """Return what is wrong with an answer that was written: a thought that never ends, or nothing."""
    if answer is None:
        return {"unclosed"}
    return set() if answer.strip() else {"empty"}


# The last complete stage of each kind


_BLANKS: Final = r"\s{0,8}"
_ATTRIBUTE: Final = r"(?:\s{1,8}[\w-]{1,20}=(?:\"[^\"<>]{0,64}\"|'[^'<>]{0,64}'))?"
"""What a tag may hold besides its name, bounded so that every `<` costs a few steps at most."""


def _stage_pattern(names: str) -> re.Pattern[str]:
    """Return what finds complete stages: the name of the tag (group 1) and the content (2)."""
    content = rf"[^<]*+(?:<(?!{_BLANKS}(?:/{_BLANKS}\1|(?:{names}){_ATTRIBUTE}){_BLANKS}>)[^<]*+)*+"
    return re.compile(
        rf"<{_BLANKS}({names}){_ATTRIBUTE}{_BLANKS}>({content})<{_BLANKS}/{_BLANKS}\1{_BLANKS}>",
        re.IGNORECASE | re.ASCII,
    )


_STAGE_PATTERNS: Final[dict[StageFormat, re.Pattern[str]]] = {
    form: _stage_pattern("|".join(tags)) for form, tags in _TAGS.items() if tags
}
_TAG_PATTERNS: Final[dict[StageFormat, re.Pattern[str]]] = {
    # Any tag that the format knows, opening or closing.
    form: re.compile(rf"<{_BLANKS}(/?){_BLANKS}({'|'.join(tags)}){_ATTRIBUTE}{_BLANKS}>", re.IGNORECASE | re.ASCII)
    for form, tags in _TAGS.items()
    if tags
}
_EXACT_STAGE: Final = re.compile(r"<([a-z]+)>.*</\1>\Z", re.IGNORECASE | re.ASCII | re.DOTALL)
_CONTAINER: Final = re.compile(
    # It begins: a comment, or the tag of a stage that is no answer. It ends: either of them.
    rf"(?P<begins><!--|<{_BLANKS}(?:caption|bbox){_BLANKS}>)|-->|<{_BLANKS}/{_BLANKS}(?:caption|bbox){_BLANKS}>",
    re.IGNORECASE | re.ASCII,
)
"""Where a comment, a caption or a list of boxes begins and ends."""


def _whole_pattern(form: StageFormat) -> re.Pattern[str]:
    """Return what matches a text of all stages in order with nothing but blanks between: groups by kind of stage."""
    stages: list[str] = []
    for kind in STAGES[form]:
        names = "|".join(name for name, tagged in _TAGS[form].items() if tagged == kind)
        stage = rf"<(?P<{kind}_tag>{names})>(?P<{kind}>[^<]*+)</(?P={kind}_tag)>\s*+"
        stages.append(f"(?:{stage})?+" if kind in MAY_BE_LEFT_OUT[form] else stage)
    return re.compile(r"\s*+" + "".join(stages))


_WHOLE_PATTERNS: Final[dict[StageFormat, re.Pattern[str]]] = {
    form: _whole_pattern(form) for form in STAGES if STAGES[form]
}
"""Texts as the formats ask for them, without any other `<`: most of a trained model's, read in one go."""


_CLOSING_THINK: Final = re.compile("</think>", re.IGNORECASE | re.ASCII)
_OPENING_THOUGHT: Final = re.compile("<think(?:ing)?>", re.IGNORECASE | re.ASCII)
_STAGE_TAGS: Final[dict[StageFormat, re.Pattern[str]]] = {
    # The same as the format writes them, without blanks and attributes.
    form: re.compile(rf"</?(?:{'|'.join(tags)})>", re.IGNORECASE | re.ASCII)
    for form, tags in _TAGS.items()
    if tags
}


def _read_last(text: str, form: StageFormat, selection: Selection, dialect: BoxDialect, *, truncated: bool) -> Response:
    """Read the last complete stage of each kind."""
    whole = _WHOLE_PATTERNS[form].fullmatch(text)
    if whole is None:
        text = _with_opened_thought(without_outer_marks(text), form)
        whole = _WHOLE_PATTERNS[form].fullmatch(text)
    contents: dict[StageKind, str]
    unpaired: set[StageKind] = set()
    if whole is None:
        contents, unpaired, faults = _last_stages(text, form, _no_answers_in(text) if selection == "strict" else ())
    else:
        contents = {kind: whole[kind].strip() for kind in STAGES[form] if whole[kind] is not None}
        faults: set[Fault] = {"empty"} if "" in contents.values() else set()
    format_ok = not faults
    boxes = None
    if "bbox" in contents:
        reading = read_dialect_boxes(contents["bbox"], dialect)
        boxes = reading.boxes
        faults.update(reading.faults)
        format_ok = format_ok and reading.keeps_format
    elif "bbox" in STAGES[form] and dialect.syntax != "satori":
        reading = read_dialect_boxes(_outside_of_stages(text, form), dialect)
        if reading.boxes:
            boxes = reading.boxes
            faults.update(reading.faults)
    answer = contents.get("answer")
    if answer:
        answer = _scored_text(answer, selection)
        faults |= _answer_faults(answer)
        format_ok = format_ok and bool(answer)
    if truncated:
        faults.add("truncated")
    return Response(
        answer=answer,
        caption=contents.get("caption"),
        thinking=contents.get("thinking"),
        boxes_written=boxes,
        format_ok=format_ok,
        faults=order_faults(faults),
        kept=_kept(form, contents, unpaired, boxes_are_there=boxes is not None),
    )


def _kept(
    form: StageFormat, contents: Mapping[StageKind, str], unpaired: set[StageKind], *, boxes_are_there: bool
) -> KeptStages:
    """Return which stages a text has of those that it may leave out; see `KeptStages`.

    Boxes of a dialect of its own that stand outside of any stage are kept too: they were written.
    """
    free = MAY_BE_LEFT_OUT[form]
    if not free:
        return NO_CHOICE
    there = {kind: kind in contents or (kind == "bbox" and boxes_are_there) for kind in free}
    answers = bool(contents.get("answer", "").strip())
    said = {kind: kind not in unpaired and (there[kind] or answers) for kind in free}
    return KeptStages(**{kind: there[kind] if said[kind] else None for kind in free})


def _outside_of_stages(text: str, form: StageFormat) -> str:
    """Return what of a text is neither a complete stage of the format nor a thought."""
    pieces: list[str] = []
    position = 0
    for begin, end in thought_spans(text):
        pieces.append(text[position:begin])
        position = max(position, end)
    pieces.append(text[position:])
    return _STAGE_PATTERNS[form].sub(" ", " ".join(pieces))


def _with_opened_thought(text: str, form: StageFormat) -> str:
    """Return the text with the `<think>` that the chat template wrote before it, where it ends such a thought.

    Templates of thinking models end the prompt with `<think>`, so that `</think>` comes before any opening tag. The
    thought is what stands before it: for `freeform` from the start of the text, for `satori-think` from its last stage,
    if the text began with one. Where the format asks for no thought, or for one that the text writes as well, the
    template's is not part of the text; a stage inside of it leaves the text as it is.
    """
    closing = _CLOSING_THINK.search(text)
    if closing is None:
        return text
    lead, rest = text[: closing.start()], text[closing.end() :]
    if _OPENING_THOUGHT.search(lead):
        return text
    if form == "freeform":
        return f"<think>{text}"
    tags = list(_STAGE_TAGS[form].finditer(lead))
    if form == "satori-think" and (tags or not _OPENING_THOUGHT.search(rest)):
        begin = tags[-1].end() if tags else 0
        return f"{text[:begin]}<think>{text[begin:]}"
    return text if tags else rest


def _last_stages(
    text: str, form: StageFormat, no_answers_in: Sequence[tuple[int, int]] = ()
) -> tuple[dict[StageKind, str], set[StageKind], set[Fault]]:
    """Return the content of the last complete stage of each kind, kinds with lone tags, and what is wrong with them.

    An answer stage inside of one of the spans `no_answers_in` is a draft or a quotation and no answer.
    """
    tags, expected = _TAGS[form], STAGES[form]
    last: dict[StageKind, re.Match[str]] = {}
    complete = dict.fromkeys(tags, 0)
    drafts = 0
    for stage in _STAGE_PATTERNS[form].finditer(text):
        name = stage[1].lower()
        complete[name] += 1
        if tags[name] == "answer" and _inside(stage.start(), no_answers_in):
            drafts += 1
        else:
            last[tags[name]] = stage
    unpaired = _kinds_with_lone_tags(text, form, complete)
    contents: dict[StageKind, str] = {kind: stage[2].strip() for kind, stage in last.items()}
    faults: set[Fault] = set()
    if unpaired:
        faults.add("unclosed")
    if len(contents) < len(expected) and not unpaired.issuperset(_asked_for(form) - contents.keys()):
        faults.add("missing")
    if "" in contents.values():
        faults.add("empty")
    if sum(complete.values()) > len(last) + (0 if "answer" in last else drafts):
        faults.add("multiple")
    in_order = [last[kind] for kind in expected if kind in last]
    if any(left.start() > right.start() for left, right in pairwise(in_order)):
        faults.add("bad_order")
    exact = all(_EXACT_STAGE.match(stage[0]) for stage in in_order)
    if not faults and not (exact and _only_blanks_outside(text, in_order)):
        faults.add("bad_order")  # text stands where none may, or a tag is dressed
    return contents, unpaired, faults


def _asked_for(form: StageFormat) -> set[StageKind]:
    """Return the stages of a format that may not be left out."""
    return set(STAGES[form]).difference(MAY_BE_LEFT_OUT[form])


def _no_answers_in(text: str) -> list[tuple[int, int]]:
    """Return where thoughts, captions, boxes and comments stand, in order; those that overlap are one.

    A caption or list of boxes that never ends holds nothing; a comment that never ends holds the rest of the text.
    """
    spans = list(thought_spans(text))
    open_at: dict[str, int] = {}
    for found in _CONTAINER.finditer(text):
        kind = next((name for name in ("caption", "bbox") if name in found[0].lower()), "comment")
        if found["begins"]:
            open_at.setdefault(kind, found.start())
        elif kind in open_at:
            spans.append((open_at.pop(kind), found.end()))
    if "comment" in open_at:
        spans.append((open_at["comment"], len(text)))
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if merged and begin < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return merged


def _inside(place: int, spans: Sequence[tuple[int, int]]) -> bool:
    """Return whether a place lies in one of the spans, which are in order."""
    after = bisect_right(spans, (place, place))
    return after > 0 and place < spans[after - 1][1]


def _kinds_with_lone_tags(text: str, form: StageFormat, complete: dict[str, int]) -> set[StageKind]:
    """Return the kinds of stage that have more tags, opening or closing, than belong to their complete stages."""
    if text.count("<") == 2 * sum(complete.values()):
        return set()
    written = Counter((found[2].lower(), found[1]) for found in _TAG_PATTERNS[form].finditer(text))
    return {kind for name, kind in _TAGS[form].items() if max(written[name, ""], written[name, "/"]) > complete[name]}


def _only_blanks_outside(text: str, stages: Iterable[re.Match[str]]) -> bool:
    """Return whether outside of the stages, which are in order, there is nothing but blanks."""
    position = 0
    for stage in stages:
        start, end = stage.span()
        if start > position and not text[position:start].isspace():
            return False
        position = end
    return position == len(text) or text[position:].isspace()


# The first match, as the reference reads


def _read_first(text: str, form: StageFormat, *, on_one_line: bool, truncated: bool) -> Response:
    """Read the first match of each stage; a benchmark's answer (`on_one_line`) by its own rule."""
    faults: set[Fault] = {"truncated"} if truncated else set()
    found: dict[StageKind, str | None] = dict.fromkeys(STAGES[form])
    for tag, kind in _TAGS[form].items():
        if found[kind] is None:
            first = _first_on_one_line if on_one_line and kind == "answer" else _first_across_lines
            found[kind] = first(text, f"<{tag}>", f"</{tag}>")
    contents: dict[StageKind, str] = {kind: content for kind, content in found.items() if content is not None}
    absent: set[StageKind] = set(found) - contents.keys()
    unpaired: set[StageKind] = {
        kind for kind in absent for tag, tagged in _TAGS[form].items() if tagged == kind and f"<{tag}>" in text
    }
    if unpaired:
        faults.add("unclosed")
    if _asked_for(form) & (absent - unpaired):
        faults.add("missing")
    if any(not content or content.isspace() for content in contents.values()):
        faults.add("empty")
    boxes = None
    written = found.get("bbox")
    if written is not None:
        reading = read_boxes_paper(written)
        boxes = reading.boxes
        faults.update(reading.faults)
    answer, caption, thinking = found["answer"], found.get("caption"), found.get("thinking")
    if on_one_line:
        answer = " " if answer is None else answer  # what the reference hands to its scorer then
    elif answer is not None:
        answer = answer.strip()
    return Response(
        answer=answer,
        caption=None if caption is None else caption.strip(),
        thinking=None if thinking is None else thinking.strip(),
        boxes_written=boxes,
        format_ok=_keeps_paper_format(text, form),
        faults=order_faults(faults),
        kept=_kept(form, contents, unpaired, boxes_are_there=boxes is not None),
    )


def _first_across_lines(text: str, opening: str, closing: str) -> str | None:
    """Return what `opening(.*?)closing` captures first when a dot matches line ends too; None without a match."""
    start = text.find(opening)
    if start < 0:
        return None
    start += len(opening)
    end = text.find(closing, start)
    return None if end < 0 else text[start:end]  # no later opening tag could find a closing one either


def _first_on_one_line(text: str, opening: str, closing: str) -> str | None:
    """Return what `opening(.*?)closing` captures first when a dot stops at line ends; None without a match."""
    start = text.find(opening)
    while start >= 0:
        end = text.find(closing, start)
        if end < 0:
            return None
        # No closing tag stands between start and end: only an opening tag on the line of that end can match.
        line_start = text.rfind("\n", start, end) + 1 or start
        start = text.find(opening, line_start, end)
        if start >= 0:
            return text[start + len(opening) : end]
        start = text.find(opening, end)
    return None


_OPENING_LIST: Final = r"\[\["
_CLOSING_LIST: Final = r"\]\]\s*+"
_PAPER_END: Final = re.compile(
    # Blanks, then a line break or the end of the text.
    r"</answer>[^\S\n]*+(?:\n|\Z)"
)
"""The reference's `</answer>\\s*$`, whose `$` matches at any line end."""


def _paper_joints(tags: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    r"""Return what has to follow one another in a text of these stages, with anything (`.*?`) between them.

    For `satori`: the opening caption tag (at the start), `</caption>\s*<bbox>\s*\[\[`, `\]\]\s*</bbox>\s*<answer>`.
    """
    joints = [rf"\s*+<{tags[0]}>" + (rf"\s*+{_OPENING_LIST}" if tags[0] == "bbox" else "")]
    for left, right in pairwise(tags):
        before = _CLOSING_LIST if left == "bbox" else ""
        after = rf"\s*+{_OPENING_LIST}" if right == "bbox" else ""
        joints.append(rf"{before}</{left}>\s*+<{right}>{after}")
    return tuple(re.compile(joint) for joint in joints)


_PAPER_FORMATS: Final[dict[StageFormat, tuple[tuple[re.Pattern[str], ...], ...]]] = {
    "satori": (_paper_joints(("caption", "bbox", "answer")),),
    "satori-think": (
        _paper_joints(("caption", "bbox", "thinking", "answer")),
        _paper_joints(("caption", "bbox", "think", "answer")),
    ),
    "satori-adaptive": tuple(
        _paper_joints((*kept, "answer")) for kept in (("caption", "bbox"), ("caption",), ("bbox",), ())
    ),
    "freeform": (_paper_joints(("think", "answer")),),
}


def _keeps_paper_format(text: str, form: StageFormat) -> bool:
    """Return what the reference's format reward says (SATORI-R1 plugin.py), in linear time.

    It is one regular expression: the stages in order with blanks between, `[[` and `]]` just inside of the box tags,
    and a line end after the last tag. With anything allowed inside the stages, taking the earliest match of each joint
    leaves the most room for the next one, so no backtracking is needed.
    """
    return any(_joints_follow(text, joints) for joints in _PAPER_FORMATS[form])


def _joints_follow(text: str, joints: tuple[re.Pattern[str], ...]) -> bool:
    """Return whether the text starts with the first joint and the others, then the end, are found one after another."""
    joint = joints[0].match(text)
    for pattern in (*joints[1:], _PAPER_END):
        if joint is None:
            return False
        joint = pattern.search(text, joint.end())
    return joint is not None
