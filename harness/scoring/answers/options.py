"""A question's options, and which of them one statement names: a letter in any dress, or an option's text.

Part of the `strict` answer rules; `harness/scoring/answers/choice.py` says what counts, and reads texts of several
sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_uppercase
from typing import Final

from harness.scoring.answers.option_words import (
    BECAUSE,
    CLOSING,
    CONFIRMS,
    EXPLANATION,
    FIRST_CJK,
    LEAD,
    OTHER_LETTER,
    RETRACTS,
    RULED_OUT,
    SAID_RIGHT,
    SPEAKS_OF_LETTER,
    TAKES_BACK,
    UNSURE,
)
from harness.scoring.answers.text import plain_key, text_key

_LEAST_LABELS: Final = 2
"""One option that is another one's letter may be a text ("C" beside "C++"); two are labels."""
LETTER: Final = re.compile(r"[(\[{<\"']? ?(?P<letter>[A-Za-z])(?P<close> ?[)\]}>\"'])?(?![A-Za-z0-9_'])")
_LETTER_LAST: Final = re.compile(
    # "dog (B)", "dog (option B)".
    r"(?P<text>[^()\n]{1,400}) ?\((?:option |choice )?(?P<letter>[A-Za-z])\)[. ]*\Z",
    re.IGNORECASE,
)
"""An option's text with its letter behind it: dog (B)."""
_LETTER_DRESS: Final = re.compile(
    # A mark that belongs to a letter follows, or nothing.
    r"[(\[]?[a-z](?:[.):\]]|\Z)"
)
_OPTION_WORD: Final = re.compile(
    # B选项, B项; 项目 is another word.
    r"\A ?(?:选项|项(?!目))"
)
TAIL: Final = re.compile(r"(?P<before>[ \n]*)(?P<marks>[-.:,;)\]!?=→]*)(?P<gap>[ \n]*)")
_BRACKETED: Final = re.compile(r"[(\[]([^()\[\]\n]{1,400})[)\]][. ]*")
"""What a letter is explained by in brackets: B (a dog)."""
_CLOSING_MARKS: Final = frozenset(CLOSING)
_CLOSING_QUOTES: Final = " \n\"')]"
_STRONG_MARKS: Final = frozenset(".:,;)]-")
_EXPLAINS: Final = re.compile(r"[^\W\d_]")
"""Free text has words in it; other numbers than the option's own are no explanation."""
MAX_OPTIONS: Final = 64
"""Free text beside a letter is not compared with more options than this; no benchmark has as many."""


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
    labels: bool
    """Whether the question is about labels: texts of options are other options' letters. Then a letter is a letter."""
    plain: Mapping[str, str]
    """The commonest ways to write an answer, as far as they are unambiguous, to names: no second look is needed."""


@lru_cache(maxsize=2048)
def options_of(choices: tuple[tuple[str, str], ...]) -> Options:
    """Prepare (name, text) pairs; without any, every letter names itself."""
    if not choices:
        letters = {letter: letter for letter in ascii_uppercase}
        return Options(letters, {}, {}, {}, False, {**letters, **{letter.lower(): letter for letter in letters}})
    own = [name.strip().upper() for name, _ in choices]
    lettered = all(len(name) == 1 and name in ascii_uppercase for name in own) and len(set(own)) == len(own)
    letters = own if lettered else list(ascii_uppercase)
    names = {letter: name for letter, (name, _) in zip(letters, choices, strict=False)}
    texts = {name: text_key(text) for name, text in choices}
    by_text = _grouped((key, name) for name, key in texts.items() if key)
    exact = _grouped((text.strip(), name) for name, text in choices if text.strip())
    of_labels = sum(names.get(key.upper(), name) != name for name, key in texts.items() if len(key) == 1)
    labels = of_labels >= _LEAST_LABELS
    return Options(names, texts, exact, by_text, labels, _plain_answers(names, dict(choices), texts, by_text, labels))


def _plain_answers(
    names: Mapping[str, str],
    raw_texts: Mapping[str, str],
    texts: Mapping[str, str],
    by_text: Mapping[str, tuple[str, ...]],
    labels: bool,
) -> dict[str, str]:
    """Return the commonest ways to write each option; none when an option's text looks like a letter's dress."""
    if not labels and any(_LETTER_DRESS.match(key) for key in by_text):
        return {}
    plain: dict[str, str] = {}
    for letter, name in names.items():
        text = raw_texts[name].strip()
        dresses = (letter, f"{letter}.", f"({letter})", f"{letter})")
        plain.update(dict.fromkeys((*dresses, letter.lower(), f"({letter.lower()})"), name))
        if texts[name]:
            plain.update(dict.fromkeys((f"{dress} {text}" for dress in dresses[1:]), name))
        if len(by_text.get(texts[name], ())) == 1 and not LETTER.match(texts[name]):
            plain[text] = name
    return plain


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return key to all its names."""
    grouped: dict[str, list[str]] = {}
    for key, name in pairs:
        grouped.setdefault(key, []).append(name)
    return {key: tuple(names) for key, names in grouped.items()}


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


def statement_of(text: str, exact: tuple[str, ...] | None, options: Options) -> str | None:
    """Return the option that the whole text states.

    Args:
        text: The folded and undressed answer.
        exact: Options whose text the raw answer is, letter for letter; None for none.
        options: The options.
    """
    lead = LEAD.match(text)
    body = text[lead.end() :] if lead else text
    if (marked := _LETTER_LAST.match(body)) and marked["letter"].upper() in options.names:
        said = options.names[marked["letter"].upper()]
        return said if _named_by(marked["text"], options) == (said,) and not exact else None
    name, firmly = letter_of(body, options, weak=lead is not None and lead["weak"] is not None)
    if options.labels and (exact is None or len(exact) > 1 or name is not None):
        exact = ()
        named: tuple[str, ...] = () if name is not None else _named_by(text, options)
    else:
        named = exact or _named_by(text, options) or (_named_by(body, options) if lead else ())
    if not named:
        return name
    if name is None:
        return named[0] if len(named) == 1 else None
    if name in named:
        return name
    # A letter with free text may be one option's whole text ("E. coli"); a bare letter may not be another one's.
    return named[0] if len(named) == 1 and not firmly else None


def _named_by(text: str, options: Options) -> tuple[str, ...]:
    """Return the options whose text this is; a question is none, unless an option asks one."""
    if not options.by_text:
        return ()
    named = options.by_text.get(plain_key(text), ())
    return () if named and text.rstrip(_CLOSING_QUOTES).endswith("?") and not _asked(options) else named


def _asked(options: Options) -> bool:
    """Return whether a question mark belongs to an option's text."""
    return any("?" in text for text in options.by_exact_text)


def letter_of(body: str, options: Options, *, weak: bool) -> tuple[str | None, bool]:
    """Return the option that a letter at the start of the text states, and whether it is bare or has its own text."""
    found = LETTER.match(body)
    name = options.names.get(found["letter"].upper()) if found else None
    if found is None or name is None or (weak and not found["letter"].isupper()):
        return None, False
    if (found["close"] or "").strip() in {"'", '"'} and found.group()[0] not in "'\"":
        return None, False  # B' is another letter than B
    tail = body[found.end() :]
    if _OPTION_WORD.match(tail) and plain_key(tail) != options.texts.get(name):
        tail = _OPTION_WORD.sub("", tail)  # "B选项", unless 选项 begins the option's own text
    if tail.rstrip(_CLOSING_QUOTES).endswith("?") and not _asked(options):
        return None, False
    if not tail.strip(CLOSING):
        return (name, True) if _only_dress(tail, name, options) else (None, False)
    return _with_tail(found, name, tail, options)


def _only_dress(marks: str, name: str, options: Options) -> bool:
    """Return whether the marks after a letter close it; marks may be an option's whole text, or ask ("B?")."""
    apart = marks.split(maxsplit=1)
    text = (apart[-1] if marks[:1].isspace() or len(apart) > 1 else "").strip()
    if text and (named := options.by_exact_text.get(text)):
        return name in named
    if marks.strip("?!") == "" and (named := options.by_exact_text.get(marks)):
        return name in named
    return "?" not in marks


def _with_tail(found: re.Match[str], name: str, tail: str, options: Options) -> tuple[str | None, bool]:
    """Judge what follows a letter."""
    split = TAIL.match(tail)
    assert split is not None, "the pattern matches the empty text"
    before, marks, gap = split.groups()
    rest = tail[split.end() :]
    said_right = not marks and SAID_RIGHT.match(rest) and name in options.by_text.get(plain_key(rest), (name,))
    if said_right and (split.group() or rest[0] >= FIRST_CJK):
        return name, True
    in_brackets = rest[:1] == "(" and rest[1:2] >= FIRST_CJK  # B(狗): scripts without blanks
    if not split.group() and not found["close"] and not in_brackets:
        return None, False  # glued to something else: "B%", "A/B"
    own = options.texts.get(name, "")
    whole = _whole_number(marks, gap, rest)
    if own and (bracketed := _BRACKETED.fullmatch(whole.strip())) and plain_key(bracketed[1]) == own:
        whole = bracketed[1]
    if name not in options.by_exact_text.get(whole.strip(), (name,)) and whole.strip() not in _CLOSING_MARKS:
        return None, False  # "A. us" where another option is "us" and this one "US"
    key = plain_key(whole)
    if own and key == own:
        return name, True
    if own and not before and marks.count(".") == 1 and key.startswith(".") and plain_key(rest) == own:
        # "B.145": the point belongs to the letter, unless .145 is an option too.
        ambiguous = key in options.by_text or f"0{key}" in options.by_text
        return (None, False) if ambiguous else (name, True)
    marked = marks and (before or gap) and _STRONG_MARKS.issuperset(marks)
    bracketed = found["close"] and (before or gap)
    explained = marked or bracketed or "\n" in before + gap or BECAUSE.match(rest)
    pronoun = found["letter"] == "I" and not found["close"]
    if not explained or pronoun or not found["letter"].isupper() or SPEAKS_OF_LETTER.match(rest):
        return None, False
    return (None, False) if _conflicts(rest, name, options) else (name, False)


def _whole_number(marks: str, gap: str, rest: str) -> str:
    """Return the text after a letter; a sign or point that is glued to a digit belongs to the text."""
    return marks[-1] + rest if marks[-1:] in {"-", "."} and not gap and rest[:1].isdigit() else rest


def _is_taken_back(said: str) -> bool:
    """Return whether free text beside a letter says that the letter is not meant, or not for sure."""
    return any(pattern.search(said) for pattern in (TAKES_BACK, RETRACTS, UNSURE))


def _conflicts(rest: str, name: str, options: Options) -> bool:
    """Return whether free text after a letter names another option or takes the letter back."""
    own = options.texts.get(name, "")
    key = plain_key(rest)
    said = CONFIRMS.sub("", key.removeprefix(own))
    if len(options.texts) > MAX_OPTIONS or _is_taken_back(said) or names_other_letter(rest, name, options):
        return True
    if key in options.by_text or not _EXPLAINS.search(key):
        return True
    if own and not key.startswith(own):
        shortened = set(key.split()) <= set(own.split())
        if RULED_OUT.search(own) if shortened else not EXPLANATION.match(rest):
            return True  # words of the option's text may go, but not its "not"; other words must explain
    if own[:1].isdigit() and key[:1].isdigit() and not key.startswith(own):
        return True  # another number than the option's own: "B. 5 Mm" where B is 5 mm
    key = key.removeprefix(own)
    return any(other != own and holds_words(key, other) for other in options.by_text)


def holds_words(text: str, part: str) -> bool:
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
    return character.isalnum() and character < FIRST_CJK


def named_by_letter(text: str, options: Options) -> Iterator[str]:
    """Yield the options whose letters stand alone in the text; "A" and "I" before a word are no letters."""
    for found in OTHER_LETTER.finditer(text):
        name = options.names.get(found[found.lastindex or 0].upper())
        if name is not None:
            yield name


def names_other_letter(text: str, name: str, options: Options) -> bool:
    """Return whether another option's letter stands alone in the text."""
    return any(other != name for other in named_by_letter(text, options))
