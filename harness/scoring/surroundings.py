"""Take away what surrounds an answer and is not the answer: thoughts, marks of turns and ends, marks of the answer.

`bare_answer` is our own reading (`strict`) and knows the spellings of the model families. `strip_as_lmms_eval` is what
lmms-eval 0.7.3 does to every text before it scores it (`lmms_eval/api/reasoning.py`), right or wrong. Both are linear,
whatever a model writes, and a text without any mark comes back as it was.

The families and where their marks are described: Qwen, DeepSeek, GLM, InternVL, MiMo, Step (`<think>`), Keye
(`<analysis>`), EXAONE (`<thought>`), Seed (`<seed:think>`), LLaVA-CoT (`<REASONING>`, `<CONCLUSION>`), GRIT
(`<rethink>`), Magistral (`[THINK]`), Kimi-VL (`◁think▷`), Kimi K3 (`<|open|>think<|sep|>`), OpenThinker and Sky-T1
(`<|begin_of_thought|>`), Command A (`<|START_THINKING|>`), Apertus (`<|inner_prefix|>`), MedGemma (`<unused94>`),
Gemma 4 (`<|channel>`), gpt-oss (`<|channel|>analysis<|message|>`), s1 (`<|im_start|>think`), Granite 3.2
(`Here is my thought process:`): their chat templates and vLLM's `vllm/reasoning`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

_TAG_NAMES: Final = (
    *("think", "thinking", "thought", "thoughts", "rethink", "reason", "reasoning", "analysis", "reflection"),
    *("scratchpad", "cot", "seed:think", "mm:think", "antml:thinking", "longcat_think"),
)
"""Names of thoughts in angle brackets."""

THOUGHTS: Final = (
    *((f"<{name}>", f"</{name}>") for name in _TAG_NAMES),
    *((f"<|{name}|>", f"<|/{name}|>") for name in ("think", "thinking")),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|thought_start|>", "<|thought_end|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<unused94>", "<unused95>"),
    ("<|channel>", "<channel|>"),
    ("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
    ("<start_working_out>", "<end_working_out>"),
)
"""Opening and closing mark of a thought; read in any case."""

MARKED_ANSWERS: Final = (
    ("<|begin_of_solution|>", "<|end_of_solution|>"),
    ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ("<|open|>response<|sep|>", "<|close|>response<|sep|>"),
    ("<|begin_of_box|>", "<|end_of_box|>"),
)
"""Opening and closing mark of an answer that no other text has, from the outermost to the innermost."""

_ANSWER_TAGS: Final = ("response", "output", "solution", "conclusion", "final", "final_answer", "answer")
"""Marks of an answer behind a thought. Without a thought such tags are nobody's layout, so they stay text."""

MARK_TOKENS: Final = frozenset(
    {
        *(mark for pair in (*THOUGHTS, *MARKED_ANSWERS) for mark in pair),
        *("<|open|>", "<|close|>", "<|sep|>", "<|channel|>", "<|constrain|>", "<|message|>"),
    }
)
"""Tokens that set thoughts and answers apart: a text that lost them can't be read any more."""

ENDS: Final = (
    *("<|im_end|>", "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>", "<|eot|>", "<|eom|>", "<|end|>"),
    *("<|return|>", "<|call|>", "<|eos|>", "<|endofturn|>", "<|end_of_turn|>", "<|END_OF_TURN_TOKEN|>", "<|im_sep|>"),
    *(
        "<|end_of_sentence|>",
        "<|end_of_message|>",
        "<|end_of_msg|>",
        "<|endofassistant|>",
        "<|assistant_end|>",
        "<|action_end|>",
    ),
    *(
        "<end_of_turn>",
        "<end_of_utterance>",
        "<turn|>",
        "<eos>",
        "[EOS]",
        "[EOT]",
        "[|endofturn|]",
        "<eot>",
        "<eod>",
        "<eop>",
        "<eoa>",
    ),
    *("[UNUSED_TOKEN_145]", "<|tts_eos|>", "</longcat_s>", "<seed:eos>", "<seed:bos>", "<|role_end|>", "[e~["),
    *("<bos>", "<pad>", "<|pad|>", "<|begin_of_text|>", "<|startoftext|>", "<|begin_of_sentence|>"),
)
"""Marks of the end of a turn, and of the beginning and padding of a text: none stands inside of an answer."""

_HEADERS: Final = (
    r"<\|im_start\|>\s*+\w*+(?:<\|im_sep\|>)?",
    r"<\|(?:start_header_id|header_start|start_of_role)\|>\s*+\w*+\s*+(?:<\|(?:end_header_id|header_end|end_of_role)\|>)?",
    r"<(?:start_of_turn>|\|turn>|\|start\|>)\s*+\w*+",
    r"<[|｜](?:user|assistant|system|observation|tool|USER_TOKEN|CHATBOT_TOKEN|SYSTEM_TOKEN)[|｜]>",
    r"<\|START_OF_TURN_TOKEN\|>",
    r"\[\|(?:user|assistant|system)\|\]",
    r"\[/?INST\]",
    r"<longcat_(?:user|assistant|system)>",
)
"""What opens a turn, with the speaker's name where it has one."""

_CHANNEL: Final = (
    r"<\|channel\|>[^<]{1,60}(?:<\|constrain\|>[^<]{1,60})?<\|message\|>|<\|im_start\|>\s*+(?:think|answer)\b"
)
"""What opens a message of gpt-oss, of which only the channel `final` holds the answer, or a part of s1's turn."""

_OWN_TURN: Final = re.compile(
    # What in the marks of _HEADERS says that the model itself speaks: <|assistant|>; <start_of_turn>model;
    # <|CHATBOT_TOKEN|>; <|START_OF_TURN_TOKEN|>, which names nobody; [/INST], behind which the model answers.
    r"assistant|model|chatbot|START_OF_TURN_TOKEN|/INST",
    re.IGNORECASE,
)

_SPOKEN_TURN: Final = re.compile(r"\A\s*+(?:(?:ASSISTANT|[Aa]ssistant)[ \t]*+:|assistant[ \t]*+\n)")
"""Vicuna's and LLaVA's turn ("ASSISTANT: B"), and any family's whose marks were dropped by decoding; in capitals on a
line of its own the word may stand in a picture."""
_SPOKEN_THOUGHT: Final = re.compile(
    # "Here is my thought process:", "Here's my thought process: A."
    r"\s*+(?:here is|here's) my thought process:",
    re.IGNORECASE,
)
_SPOKEN_ANSWER: Final = re.compile(
    # "Here is my response:", "Here's my response: C".
    r"(?:here is|here's) my response:",
    re.IGNORECASE,
)
_BARE_CHANNELS: Final = re.compile(r"\s*+analysis(?=[A-Z\"'])")
"""A text of gpt-oss whose marks were dropped by decoding: `analysisThe sign…assistantfinalB`."""
_BARE_FINAL: Final = "assistantfinal"


_ANSWER_END: Final = re.compile(r"<\s{0,8}/\s{0,8}answer\s{0,8}>", re.IGNORECASE | re.ASCII)


def _written(mark: str) -> str:
    """Return a pattern for a mark: blanks inside of the brackets of a plain tag, bars and blanks of other widths."""
    pattern = re.escape(mark)
    if mark[0] == "<" and "|" not in mark:
        pattern = pattern.replace("<", r"<[ \t]*+").replace("/", r"/[ \t]*+").replace(">", r"[ \t]*+>")
    return pattern.replace(r"\|", "[|｜]").replace("_", "[_▁]")


def _any_of(marks: Sequence[str]) -> str:
    return "|".join(map(_written, marks))


_MARK: Final = re.compile(
    # The look ahead only spares the many alternatives where none can begin.
    r"(?=<[ \t]*+[a-z/|｜]|\[[a-z/|]|◁)(?:(?P<s>(?:<s>)++)|(?P<end_s></s>)"
    rf"|(?P<channel>{_CHANNEL})|(?P<opens>{_any_of([opening for opening, _ in THOUGHTS])})"
    rf"|(?P<closes>{_any_of([closing for _, closing in THOUGHTS])})|(?P<ends>{_any_of(ENDS)})"
    rf"|(?P<header>{'|'.join(_HEADERS)}))",
    re.IGNORECASE | re.ASCII,
)
_ONE_SPELLING: Final = {ord(" "): None, ord("\t"): None, ord("｜"): "|", ord("▁"): "_"}
_CLOSING: Final = {opening.lower(): closing.lower() for opening, closing in THOUGHTS}
_MESSAGE_END: Final = "<|end|>"
"""Stands for all that ends a message of gpt-oss: any mark of an end, a turn or a channel."""
_OUTER: Final = frozenset({"ends", "end_s", "s", "header"})

_Pair: TypeAlias = tuple[re.Pattern[str], re.Pattern[str]]


def _pair(opening: str, closing: str) -> _Pair:
    flags = re.IGNORECASE | re.ASCII
    return re.compile(_written(opening), flags), re.compile(_written(closing), flags)


_ANSWER_MARKS: Final = tuple(_pair(*marks) for marks in MARKED_ANSWERS)
_TAGGED_ANSWERS: Final = tuple(_pair(f"<{name}>", f"</{name}>") for name in _ANSWER_TAGS)
_ANSWER_MARK: Final = re.compile(_any_of([mark for pair in MARKED_ANSWERS for mark in pair]), re.IGNORECASE | re.ASCII)
_NO_WORDS: Final = re.compile(r"[\s.。!]*+")


def strip_as_lmms_eval(text: str) -> str:
    """Return the text as lmms-eval 0.7.3 hands it to its scorers by default, outer blanks removed too.

    Blocks of `<think>`, then of `<analysis>`, lower case only, are cut out one after another from the left (what is
    left of two halves may be a tag again); a closing tag without any opening one takes all before it away; an opening
    one without a closing one behind it stays.
    """
    for name in ("think", "analysis"):
        if f"</{name}>" in text:
            text = _without_blocks(text, f"<{name}>", f"</{name}>")
    return text.strip()


def _without_blocks(text: str, opening: str, closing: str) -> str:
    """Cut blocks out from the left in one pass; what is kept never holds a whole opening tag."""
    kept: list[str] = []  # single characters, as a cut may have to give some of them back
    place = 0
    while True:
        # An opening tag may lie across the last cut: some of its characters were kept, the others come next.
        before = "".join(kept[1 - len(opening) :])
        across = (before + text[place : place + len(opening) - 1]).find(opening)
        start = text.find(opening, place) if across < 0 else place - len(before) + across
        end = -1 if across < 0 and start < 0 else text.find(closing, max(start, place))
        if end < 0:
            break
        if start < place:
            del kept[start - place :]
        else:
            kept.extend(text[place:start])
        place = end + len(closing)
    left = "".join(kept) + text[place:]
    return left if opening in left else left.rsplit(closing, 1)[-1]


def bare_answer(text: str) -> str | None:
    """Return what stands behind a text's thoughts, without marks of turns, ends and answers.

    - A thought ends with the closing mark of its own spelling. A closing mark alone makes everything before it a
      thought: the chat template, or a broken nesting, opened it. An opening mark alone leaves no answer.
    - The answer is the last text outside of thoughts that is not blank, up to a mark of the end of the turn.
    - Marks of the answer go; where one pair of them ends the text, what stands between them is the answer. Tags such as
      `<answer>` are marks behind a thought only.
    - A mark quoted in backticks is talked about, not used.

    Returns:
        The answer, blank when nothing stands behind the thoughts; None when a thought never ends. A text without any
        mark is returned unchanged.
    """
    spoken = _without_spoken_thought(text)
    if spoken is None:
        return None
    reading = _Reading(spoken)
    for mark in _marks(spoken):
        reading.take(mark)
    spoke = spoken is not text
    if not (reading.marked or spoke or _ANSWER_MARK.search(text)):
        return text
    said = reading.finish()
    if said is None:
        return None
    return _without_answer_marks(without_outer_marks(said), behind_thought=reading.thought or spoke)


def without_spoken_turn(text: str) -> str:
    """Return a whole text without the speaker's name in words before it, which is a mark of the turn."""
    return _SPOKEN_TURN.sub("", text, count=1)


def _without_spoken_thought(text: str) -> str | None:
    """Return what stands behind a thought that words alone set apart; None when that thought never ends."""
    if _SPOKEN_THOUGHT.match(text):
        parts = _SPOKEN_ANSWER.split(text, maxsplit=1)
        return parts[1] if len(parts) > 1 else None
    if _BARE_CHANNELS.match(text) and _BARE_FINAL in text:
        return text.rpartition(_BARE_FINAL)[2]
    return text


def _marks(text: str) -> Iterator[re.Match[str]]:
    """Yield the marks of a text that are not quoted."""
    for mark in _MARK.finditer(text):
        start, end = mark.span()
        if not (start and text[start - 1] == "`" and text[end : end + 1] == "`"):
            yield mark


@dataclass(slots=True)
class _Reading:
    """What is known of a text up to one of its marks."""

    text: str
    """The whole text."""
    place: int = 0
    """Where the piece of text that is read now begins."""
    said: str | None = None
    """The last piece outside of thoughts that is not blank; None before any."""
    inside: str | None = None
    """The closing mark of the thought that is open; None outside of thoughts."""
    marked: bool = False
    """Whether there was any mark."""
    thought: bool = False
    """Whether there was any thought."""
    final: bool = False
    """Whether gpt-oss opened its channel for the answer."""
    ended: bool = False
    """Whether the turn ended: what follows is somebody else's, or another turn's."""
    struck: bool = False
    """Whether `<s>` stands in the piece: then `</s>` is HTML, not an end."""

    def take(self, mark: re.Match[str]) -> None:
        """Read on to a mark and take it in."""
        kind, name = mark.lastgroup, mark[0].lower().translate(_ONE_SPELLING)
        self.marked = True
        if self.inside is not None:
            self._take_in_thought(mark, kind, name)
        elif kind == "channel":
            self._open_channel(mark, name)
        elif kind == "opens":
            self._keep(mark.start(), mark.end())
            self.inside, self.thought = _CLOSING[name], True
        elif kind == "closes":
            self._end_unopened_thought(mark)
        elif kind == "s":
            self.struck = True
        elif kind != "end_s" or not self.struck:
            self._keep(mark.start(), mark.end())
            stranger = kind == "header" and not _OWN_TURN.search(mark[0])
            self.ended = self.ended or self.said is not None or stranger

    def finish(self) -> str | None:
        """Return the answer at the end of the text; None inside of a thought."""
        if self.inside is None:
            self._keep(len(self.text), len(self.text))
        elif not self.ended:
            return None
        return self.said or ""

    def _keep(self, end: int, place: int) -> None:
        """Keep the piece that ends here, and begin the next one at `place`."""
        piece = self.text[self.place : end]
        if piece.strip() and not self.ended:
            self.said = piece
        self.place, self.struck = place, False

    def _take_in_thought(self, mark: re.Match[str], kind: str | None, name: str) -> None:
        """Take a mark in that stands inside of a thought: only the thought's own end means anything there."""
        closed = kind in ("channel", "ends", "header") if self.inside == _MESSAGE_END else name == self.inside
        if closed:
            self.inside, self.place = None, mark.end()
            if kind == "channel":
                self._open_channel(mark, name)

    def _open_channel(self, mark: re.Match[str], name: str) -> None:
        """Open a message of gpt-oss or s1: the first final one is the answer, whatever stood before it."""
        if "final" not in name and "answer" not in name:
            self._keep(mark.start(), mark.end())
            self.inside = _MESSAGE_END
        elif not self.final:
            self.said, self.ended, self.final, self.place, self.struck = None, False, True, mark.end(), False
        self.thought = True

    def _end_unopened_thought(self, mark: re.Match[str]) -> None:
        """Take everything before for the thought, unless the turn is over."""
        if not self.ended:
            self.said = None
        self.thought, self.place, self.struck = True, mark.end(), False


def thought_spans(text: str) -> list[tuple[int, int]]:
    """Return where the thoughts of a text in stages lie, in order.

    The first one has no opening mark where the chat template wrote it; then words have to follow its closing mark. One
    that never ends goes on to the end of the text when words follow the last answer in it, as in a text that was cut;
    one that ends with an answer only lacks its closing mark and is none.
    """
    spans: list[tuple[int, int]] = []
    opened: re.Match[str] | None = None
    for mark in _marks(text):
        name = mark[0].lower().translate(_ONE_SPELLING)
        if mark.lastgroup == "opens":
            opened = opened or mark
        elif mark.lastgroup == "closes" and opened and name == _CLOSING[opened[0].lower().translate(_ONE_SPELLING)]:
            spans.append((opened.start(), mark.end()))
            opened = None
        elif mark.lastgroup == "closes" and not opened and not spans and text[mark.end() :].strip():
            spans.append((0, mark.end()))
    if opened and text[max((end.end() for end in _ANSWER_END.finditer(text)), default=0) :].strip():
        spans.append((opened.start(), len(text)))
    return spans


def without_outer_marks(text: str) -> str:
    """Return a text without the marks of turns and ends that stand before and behind its words.

    Where `</s>` stands between its words, `<s>` is HTML and the text stays as it is.
    """
    start, end = 0, len(text)
    marks = [mark for mark in _MARK.finditer(text) if mark.lastgroup in _OUTER]
    for mark in marks:
        if text[start : mark.start()].strip():
            break
        start = mark.end()
    for mark in reversed(marks):
        if mark.end() <= start or text[mark.end() : end].strip():
            break
        end = mark.start()
    struck = any(mark.lastgroup == "end_s" and start < mark.start() < end for mark in marks)
    return text if struck else text[start:end]


def _without_answer_marks(text: str, *, behind_thought: bool) -> str:
    """Take the marks of an answer away; what a pair of them at the end of the text holds is the answer."""
    if behind_thought:
        for opening, closing in _TAGGED_ANSWERS:
            text = _between(text, opening, closing) or text
    for opening, closing in _ANSWER_MARKS:
        held = _between(text, opening, closing)
        text = closing.sub("", opening.sub("", text)) if held is None else held
    return text.strip()


def _between(text: str, opening: re.Pattern[str], closing: re.Pattern[str]) -> str | None:
    """Return what the only pair of marks of its kind holds, if no words follow it; else None."""
    starts, ends = list(opening.finditer(text)), list(closing.finditer(text))
    if len(starts) != 1 or len(ends) != 1 or starts[0].end() > ends[0].start():
        return None
    return text[starts[0].end() : ends[0].start()] if _NO_WORDS.fullmatch(text, ends[0].end()) else None
