r"""Read which option an answer states: one explicit letter in any dress, or the text of exactly one option.

Part of the `strict` answer rules (`harness/answers.py`). What is accepted, and nothing else:

- a letter alone, in brackets, Markdown, LaTeX or full-width form: `B`, `(b)`, `**B.**`, `\boxed{B}`, `B选项`;
- a letter with its own option's text: `B. dog`, `(B) dog`, `B dog`;
- a letter that is said to be right: `B is correct`, `B是正确的`;
- a capital letter with a mark (or `because`...) and free text: `B. It has floppy ears`, as long as the free text has
  no other option's letter or text in it and takes nothing back (`not`, `no`, `wrong`, `actually`...);
- any of these, or an option's text, after a lead: `Answer:`, `The correct answer is`, `Option`, `I choose`, `答案是`;
- a last sentence of that kind with such a lead (`... The answer is B.`), if no other option's letter stands before.

An option's text is compared by `harness.answers_text.text_key`: case, blanks and punctuation aside, never as a part of
a longer answer. Two letters, a negation, a letter with another option's text, a letter that is no option, an article
("A dog" where A is not dog), a text that two options share, and a text that is one option's letter and another one's
text state nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from string import ascii_uppercase
from typing import Final

from harness.answers_text import MAX_CHARACTERS, fold, lines, plain_key, text_key, undress

_THINKS: Final = r"(?:i (?:think|believe) (?:that )?)?"
_OPENER: Final = rf"(?:(?:so|therefore|thus|hence|finally|overall|in conclusion|ok|okay|sure|well),? ?)?{_THINKS}"
_ADJECTIVES: Final = (
    r"(?:(?:final|correct|right|best|most likely|most appropriate|most suitable|closest|chosen|selected) ){0,3}"
)
_NOUN: Final = r"(?:answer|ans\.?|option|choice|letter|response|selection)(?: (?:choice|option|letter))?"
_LINK: Final = r"(?: ?(?:(?:is|would be|should be|must be|will be)(?![a-z])|:|=|->|→|-)){0,3}"
_NOUN_AGAIN: Final = r"(?: ?(?:the )?(?:option|choice|letter|answer)(?![a-z]):?)?"
_SAYS: Final = rf"(?:the |my |our )?{_ADJECTIVES}{_NOUN}(?: to (?:the|this) question)?(?![a-z]){_LINK}{_NOUN_AGAIN}"
_CHOOSES: Final = (
    r"i(?:'d| would| will|'ll| think| believe){0,2} (?:choose|select|pick|say|go with|answer)(?: with)?(?![a-z]):?"
    rf"{_NOUN_AGAIN}"
)
_IT_IS: Final = r"it(?:'s| is| must be| should be)(?![a-z])(?: (?:the )?(?:option|choice|letter|answer)(?![a-z]))?"
_CHINESE_OPENER: Final = r"(?:因此|所以|故|综上所述|综上),? ?"
_CHINESE_SAYS: Final = (
    r"(?:我(?:认为|觉得)?)?(?:本题|此题|这道题|该题)?的?(?:应该|应当|应)?"
    r"(?:\[(?:(?:正确|最终|参考|标准)的?)?答案\]|正确的(?=[是为])"
    r"|(?:(?:正确|最终|最佳|最合适|标准)的?)?(?:答案|选项|选择|选|答(?!え)))"
    r"(?:应该|应当|应)?(?:是|为|选择|选)?(?:选项)? ?:?"
)
_CHINESE: Final = rf"(?:{_CHINESE_OPENER})?{_CHINESE_SAYS}"
_JAPANESE_KOREAN: Final = r"(?:正解|答え|정답|답)(?:は|은)? ?:?"
_LEAD: Final = re.compile(
    rf"(?:{_OPENER}(?:{_SAYS}|{_CHOOSES}|(?P<weak>{_IT_IS}))|{_JAPANESE_KOREAN}|{_CHINESE})[ \n]?", re.IGNORECASE
)
_STATEMENT: Final = re.compile(
    rf"(?:(?<=[,;])|(?<=[,;] ))(?={_CHINESE_OPENER}{_CHINESE_SAYS})(?P<concluded>)"
    rf"|(?:(?<=[.!?\n])|(?<=[.!?:;,] ))(?=(?:(?P<opened>(?:so|therefore|thus|hence),? )?{_THINKS}{_SAYS})|{_CHINESE})",
    re.IGNORECASE,
)
_MOST_STATEMENTS: Final = 64
"""A text with more statements than this has no last one worth believing."""

_BULLET: Final = re.compile(r"\A[-*>+•] (?=[A-Za-z(])")
_LETTER: Final = re.compile(r"[(\[{<\"']? ?(?P<letter>[A-Za-z])(?P<close> ?[)\]}>\"'])?(?![A-Za-z0-9_'])")
_LETTER_DRESS: Final = re.compile(r"[(\[]?[a-z](?:[.):\]]|\Z)")
_OPTION_WORD: Final = re.compile(r"\A ?(?:选项|项(?!目))")
_TAIL: Final = re.compile(r"(?P<before>[ \n]*)(?P<marks>[-.:,;)\]!?=→]*)(?P<gap>[ \n]*)")
_CLOSING: Final = ".,;:!?)]}>\"' \n"
_SAID_RIGHT: Final = re.compile(
    r"(?:(?:is|would be|seems|must be|should be)(?: the)?"
    r"(?: (?:correct|right|best|final|most likely|answer|option|choice|one)){1,3}"
    r"|です|입니다|(?:才?是)?(?:正确|对)的?(?:答案|选项)?)[.! ]*\Z",
    re.IGNORECASE,
)
_BECAUSE: Final = re.compile(r"(?:because|since|due to|given that|因为|由于)(?![a-z])", re.IGNORECASE)
_STRONG_MARKS: Final = frozenset(".:,;)]-")
_EXPLAINS: Final = re.compile(r"[^\W\d_]")
"""Free text has words in it; other numbers than the option's own are no explanation."""
_TAKES_BACK: Final = re.compile(
    r"\b(?:not|no|nor|neither|never|wrong|incorrect|false|actually|wait|sorry|instead|rather|unless|maybe|perhaps|either|or)"
    r"\b|n't\b|不|没|错|或",
    re.IGNORECASE,
)
_FIRST_CJK: Final = "\u2e80"
_OTHER_LETTER: Final = re.compile(
    r"(?<![A-Za-z0-9_'])([A-Z])(?![A-Za-z0-9_'])(?! [a-z])|(?<![A-Za-z0-9_'])([B-HJ-Z])(?![A-Za-z0-9_'])|\(([a-z])\)"
)


@dataclass(frozen=True, slots=True)
class Options:
    """A question's options, prepared for reading answers."""

    names: Mapping[str, str]
    """Capital letter in an answer to the option's own name; by position, unless all names are letters themselves."""
    texts: Mapping[str, str]
    """Option name to its text's key."""
    by_exact_text: Mapping[str, tuple[str, ...]]
    """Stripped option text to the names of the options that have it."""
    by_text: Mapping[str, tuple[str, ...]]
    """Text key to the names of the options that have it."""
    plain: Mapping[str, str]
    """The commonest ways to write an answer, as far as they are unambiguous, to names: no second look is needed."""


@lru_cache(maxsize=2048)
def options_of(choices: tuple[tuple[str, str], ...]) -> Options:
    """Prepare (name, text) pairs; without any, every letter names itself."""
    if not choices:
        letters = {letter: letter for letter in ascii_uppercase}
        return Options(letters, {}, {}, {}, {**letters, **{letter.lower(): letter for letter in letters}})
    own = [name.strip().upper() for name, _ in choices]
    lettered = all(len(name) == 1 and name in ascii_uppercase for name in own) and len(set(own)) == len(own)
    letters = own if lettered else list(ascii_uppercase)
    names = {letter: name for letter, (name, _) in zip(letters, choices, strict=False)}
    texts = {name: text_key(text) for name, text in choices}
    by_text = _grouped((key, name) for name, key in texts.items() if key)
    exact = _grouped((text.strip(), name) for name, text in choices if text.strip())
    return Options(names, texts, exact, by_text, _plain_answers(names, dict(choices), texts, by_text))


def _plain_answers(
    names: Mapping[str, str],
    raw_texts: Mapping[str, str],
    texts: Mapping[str, str],
    by_text: Mapping[str, tuple[str, ...]],
) -> dict[str, str]:
    """Return the commonest ways to write each option; none when an option's text looks like a letter's dress."""
    if any(_LETTER_DRESS.match(key) for key in by_text):
        return {}
    plain: dict[str, str] = {}
    for letter, name in names.items():
        text = raw_texts[name].strip()
        dresses = (letter, f"{letter}.", f"({letter})", f"{letter})")
        plain.update(dict.fromkeys((*dresses, letter.lower(), f"({letter.lower()})"), name))
        if texts[name]:
            plain.update(dict.fromkeys((f"{dress} {text}" for dress in dresses[1:]), name))
        if len(by_text.get(texts[name], ())) == 1 and not _LETTER.match(texts[name]):
            plain[text] = name
    return plain


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return key to all its names."""
    grouped: dict[str, tuple[str, ...]] = {}
    for key, name in pairs:
        grouped[key] = (*grouped.get(key, ()), name)
    return grouped


def read_choice(answer: str, options: Options) -> str | None:
    """Return the name of the option that the answer states, or None; see the module for what counts."""
    answer = answer.strip()
    plain = options.plain.get(answer)
    if plain is not None:
        return plain
    if not answer or len(answer) > MAX_CHARACTERS:
        return None
    exact = options.by_exact_text.get(answer)
    text = _BULLET.sub("", lines(undress(fold(answer))))
    return _reading(text, exact, options) or _last_statement(text, options)


def gold_names(golds: Iterable[str], options: Options, *, texts_first: bool) -> frozenset[str]:
    """Return the names of the options that the gold answers mean; empty when they mean none.

    A gold is a letter or an option's text. Which reading goes first where both fit is the benchmark's habit:
    `texts_first` for MathVista, whose gold is the text.
    """
    found: set[str] = set()
    for gold in golds:
        stripped = gold.strip()
        meant = options.names.get(stripped.upper())
        by_letter = () if meant is None else (meant,)
        by_name = (stripped,) if stripped in options.texts else by_letter
        by_text = options.by_exact_text.get(stripped) or options.by_text.get(text_key(gold), ())
        found.update((by_text or by_name) if texts_first else (by_name or by_text))
    return frozenset(found)


def _reading(text: str, exact: tuple[str, ...] | None, options: Options) -> str | None:
    """Return the option that the whole text states.

    Args:
        text: The folded and undressed answer.
        exact: Options whose text the raw answer is, letter for letter; None for none.
        options: The options.
    """
    lead = _LEAD.match(text)
    body = text[lead.end() :] if lead else text
    name, firmly = _letter(body, options, weak=lead is not None and lead["weak"] is not None)
    named: tuple[str, ...] = exact or _named_by(text, options) or (_named_by(body, options) if lead else ())
    if not named:
        return name
    if name is None:
        return named[0] if len(named) == 1 else None
    if name in named:
        return name
    # A letter with free text may be one option's whole text ("E. coli"); a bare letter may not be another one's.
    return named[0] if len(named) == 1 and not firmly else None


def _named_by(text: str, options: Options) -> tuple[str, ...]:
    """Return the options whose text this is."""
    return options.by_text.get(plain_key(text), ()) if options.by_text else ()


def _letter(body: str, options: Options, *, weak: bool) -> tuple[str | None, bool]:
    """Return the option that a letter at the start of the text states, and whether it is bare or has its own text."""
    found = _LETTER.match(body)
    name = options.names.get(found["letter"].upper()) if found else None
    if found is None or name is None or (weak and not found["letter"].isupper()):
        return None, False
    tail = body[found.end() :]
    if _OPTION_WORD.match(tail) and plain_key(tail) != options.texts.get(name):
        tail = _OPTION_WORD.sub("", tail)  # "B选项", unless 选项 begins the option's own text
    if not tail.strip(_CLOSING):
        return name, True
    return _with_tail(found, name, tail, options)


def _with_tail(found: re.Match[str], name: str, tail: str, options: Options) -> tuple[str | None, bool]:
    """Judge what follows a letter."""
    split = _TAIL.match(tail)
    assert split is not None, "the pattern matches the empty text"
    before, marks, gap = split.groups()
    rest = tail[split.end() :]
    said_right = not marks and _SAID_RIGHT.match(rest) and name in options.by_text.get(plain_key(rest), (name,))
    if said_right and (split.group() or rest[0] >= _FIRST_CJK):
        return name, True
    if not split.group() and not found["close"]:
        return None, False  # glued to something else: "B%", "A/B"
    own = options.texts.get(name, "")
    key = plain_key(_whole_number(marks, gap, rest))
    if own and key == own:
        return name, True
    if own and not before and marks.count(".") == 1 and key.startswith(".") and plain_key(rest) == own:
        # "B.145": the point belongs to the letter, unless .145 is an option too.
        ambiguous = key in options.by_text or f"0{key}" in options.by_text
        return (None, False) if ambiguous else (name, True)
    marked = marks and (before or gap) and _STRONG_MARKS.issuperset(marks)
    bracketed = found["close"] and (before or gap)
    explained = marked or bracketed or "\n" in before + gap or _BECAUSE.match(rest)
    if not explained or not found["letter"].isupper() or _conflicts(rest, name, options):
        return None, False
    return name, False


def _whole_number(marks: str, gap: str, rest: str) -> str:
    """Return the text after a letter; a sign or point that is glued to a digit belongs to the text."""
    return marks[-1] + rest if marks[-1:] in {"-", "."} and not gap and rest[:1].isdigit() else rest


def _conflicts(rest: str, name: str, options: Options) -> bool:
    """Return whether free text after a letter names another option or takes the letter back."""
    if _TAKES_BACK.search(rest) or _names_other_letter(rest, name, options):
        return True
    own = options.texts.get(name, "")
    key = plain_key(rest)
    if key in options.by_text or (own and not _EXPLAINS.search(key)):
        return True
    key = key.removeprefix(own)
    return any(other != own and _holds_words(key, other) for other in options.by_text)


def _holds_words(text: str, part: str) -> bool:
    """Return whether the text holds the part with no letter or digit beside it; scripts without spaces need no gap."""
    place = text.find(part)
    while place >= 0:
        end = place + len(part)
        if not (place and _in_word(text[place - 1])) and not (end < len(text) and _in_word(text[end])):
            return True
        place = text.find(part, end)
    return False


def _in_word(character: str) -> bool:
    """Return whether the character is a letter or digit of a script that puts blanks between words."""
    return character.isalnum() and character < _FIRST_CJK


def _names_other_letter(text: str, name: str, options: Options) -> bool:
    """Return whether another option's letter stands alone in the text; "A" and "I" before a word are no letters."""
    return any(
        options.names.get((found[1] or found[2] or found[3]).upper(), name) != name
        for found in _OTHER_LETTER.finditer(text)
    )


def _last_statement(text: str, options: Options) -> str | None:
    """Return the option that the last sentence states with a lead, unless another letter stands before it."""
    starts = [
        found.start()
        for found in islice(_STATEMENT.finditer(text), _MOST_STATEMENTS + 1)
        if found["opened"]
        or found["concluded"] is not None
        or text[: found.start()].rstrip(" ")[-1:] not in {",", ":", ";"}
    ]
    if not starts or len(starts) > _MOST_STATEMENTS:
        return None
    name = _reading(text[starts[-1] :], None, options)
    return None if name is None or _names_other_letter(text[: starts[-1]], name, options) else name
