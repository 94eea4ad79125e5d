r"""Read which option an answer states: one explicit letter in any dress, or the text of exactly one option.

Part of the `strict` answer rules (`harness/scoring/answers/check.py`). What is accepted, and nothing else:

- a letter alone, in brackets, Markdown, LaTeX or full-width form: `B`, `(b)`, `**B.**`, `\boxed{B}`, `B选项`;
- a letter with its own option's text: `B. dog`, `(B) dog`, `B dog`;
- a letter that is said to be right: `B is correct`, `B是正确的`;
- a capital letter with a mark (or `because`...) and free text: `B. It has floppy ears`, as long as the free text has
  no other option's letter or text in it and takes nothing back: no negation, doubt, condition or contrast, no word
  about options, no predicate of the letter (`B) is excluded`);
- any of these, or an option's text, after a lead: `Answer:`, `The correct answer is`, `Option`, `I choose`, `I think`,
  `Probably`, `答案是`;
- an outright statement of that kind (a lead, or the option's own text) with sentences after it that go through the
  other options, each of which they rule out, and never take the statement back;
- a last sentence of that kind with such a lead (`... The answer is B.`), if every other option's letter before it is
  ruled out there or taken back (`The answer is A. Wait, it barks: B is correct.`).

An option's text is compared by `harness.scoring.answers.text.text_key`: case, blanks and punctuation aside, never as a
part of a longer answer. Two letters, a negation, a question (`B?`), a letter with another option's text, a letter that
is no option, an article ("A dog" where A is not dog), a text that two options share, and a text that is one option's
letter and another one's text state nothing. Where the options' texts are each other's letters (a question about
labels), a letter is the option's letter.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Final

from harness.scoring.answers.option_words import (
    ALL_BUT,
    ASKS_WHY,
    CLAUSE_END,
    CLOSING,
    CONDITION,
    CONTRAST,
    EXPLANATION,
    LEAD,
    NEGATED_RIGHT,
    NEW_SENTENCE,
    ON_THE_OTHERS,
    OTHERS_OUT,
    PREAMBLE,
    RETRACTS,
    RULED_OUT,
    SAID_RIGHT_LAST,
    SAYS_OTHER_RIGHT,
    SENTENCE_END,
    STATEMENT,
    UNDOES,
    UNSURE,
)
from harness.scoring.answers.options import (
    LETTER,
    MAX_OPTIONS,
    TAIL,
    Options,
    holds_words,
    letter_of,
    named_by_letter,
    names_other_letter,
    statement_of,
)
from harness.scoring.answers.text import MAX_CHARACTERS, UNSEEN, fold, lines, plain_key, undress, without_marks

_MOST_STATEMENTS: Final = 64
"""A text with more statements than this has no last one worth believing."""

_BULLET: Final = re.compile(
    # Marks of Markdown's lists and quotations, and •, before a blank; signs that conclude, "∴ B"; ticks, "✅ B".
    r"\A(?:[-*>+•] |(?:∴|=>|->|→|[✓✔✅☑]\ufe0f?) ?)(?=[A-Za-z(])"
)
_LISTED: Final = re.compile(
    # Before the next letter, or before a word and the last one.
    r"(?<=[A-Z]),(?= ?(?:(?:or|nor|and) |[和或])?[A-Z](?![A-Za-z]))"
)
"""The comma in a list of letters: "A, C or D"."""
_OR: Final = re.compile(
    # Between two options by name, each with an article or without.
    r" (?:or|nor|and) (?:an? |the )?",
    re.IGNORECASE,
)
_MOST_CONTRASTS: Final = 4
_MOST_OPENINGS: Final = 4
"""An outright statement is over after so many sentence ends: "B. a dog" has one inside."""


def read_choice(answer: str, options: Options) -> str | None:
    """Return the name of the option that the answer states, or None; see the module for what counts."""
    answer = answer.strip()
    plain = options.plain.get(answer)
    if plain is not None:
        return plain
    if not answer or len(answer) > MAX_CHARACTERS:
        return None
    exact = options.by_exact_text.get(answer) or options.by_exact_text.get(without_marks(answer).strip(UNSEEN))
    text = _BULLET.sub("", lines(undress(fold(answer))))
    if exact is None:
        text = _without_contrast(_without_exception(PREAMBLE.sub("", text)), options)
    return statement_of(text, exact, options) or _first_statement(text, options) or _last_statement(text, options)


def _without_exception(text: str) -> str:
    """Return a text that says an option by ruling out all others as one that names it: "all but B are wrong"."""
    found = ALL_BUT.match(text)
    return text if found is None else f"The answer is {found['kept'] or found['left'] or found['only']}"


def _without_contrast(text: str, options: Options) -> str:
    """Return a text without other options that it says the thing is not, next to the one that it says it is.

    "It is a dog, not a cat" names the dog. Nothing goes unless an option's text stands before it, nor an option's own
    words: "a dog, not a cat" may be one.
    """
    if len(options.texts) > MAX_OPTIONS or any(CONTRAST.search(raw) for raw in options.by_exact_text):
        return text

    def cut(found: re.Match[str]) -> str:
        denied = {plain_key(part) for part in _OR.split(found["what"])}
        key = plain_key(text[: found.start()])
        named = {own for own in options.by_text if holds_words(key, own)}
        return "" if named and denied <= options.by_text.keys() and not named & denied else found.group()

    return CONTRAST.sub(cut, text, count=_MOST_CONTRASTS)


def _first_statement(text: str, options: Options) -> str | None:
    """Return the option that the text states outright at its beginning and never takes back."""
    if len(options.texts) > MAX_OPTIONS or CONDITION.search(text):
        return None
    ends = [found.start() for found in islice(SENTENCE_END.finditer(text), _MOST_OPENINGS)]
    for end in sorted({*ends, *_end_of_own_text(text, options)}, reverse=True):
        name = _outright(text[:end].strip(), options, own_line=text[end] == "\n")
        if name is not None:
            explained = len(text[:end].strip(CLOSING + "([{<")) > 1 or _is_about_options(text[end:], name, options)
            return name if explained and _stands(text[end:], name, options) else None
    return None


def _is_about_options(rest: str, name: str, options: Options) -> bool:
    """Return whether what follows a bare letter on its own line explains it, or goes through the other options."""
    first = SENTENCE_END.split(rest.lstrip(" \n"), maxsplit=1)[0]
    return bool(EXPLANATION.match(first) or ON_THE_OTHERS.search(first)) or _names_other(first, name, options)


def _end_of_own_text(text: str, options: Options) -> tuple[int, ...]:
    """Return where a leading letter's own text ends, if a new sentence starts there without a full stop before it."""
    lead = LEAD.match(text)
    start = lead.end() if lead else 0
    found = LETTER.match(text, start)
    name = options.names.get(found["letter"].upper()) if found else None
    if found is None or name is None:
        return ()
    begun, own = TAIL.match(text, found.end()), options.texts.get(name, "")
    assert begun is not None, "the pattern matches the empty text"
    start = begun.end()
    end = start + len(own)
    return (end,) if own and plain_key(text[start:end]) == own and NEW_SENTENCE.match(text, end) else ()


def _outright(sentence: str, options: Options, *, own_line: bool) -> str | None:
    """Return the option that a sentence states with a lead, with its own text, or as a letter on its own line."""
    name = statement_of(sentence, None, options)
    if name is None:
        return None
    lead = LEAD.match(sentence)
    letter, firmly = letter_of(sentence[lead.end() :] if lead else sentence, options, weak=False)
    bare = letter is not None and len(sentence.strip(CLOSING + "([{<")) == 1
    return name if (firmly or letter is None) and (lead or not bare or own_line) else None


def _stands(rest: str, name: str, options: Options) -> bool:
    """Return whether what follows a statement leaves it standing: other options come up only to be ruled out."""
    on_the_others = False
    for sentence in SENTENCE_END.split(rest):
        asks = sentence.rstrip(" \"')").endswith("?") and not ASKS_WHY.match(sentence)
        if asks or RETRACTS.search(sentence) or UNSURE.search(sentence):
            return False
        on_the_others = on_the_others or ON_THE_OTHERS.search(sentence) is not None
        ruled_out = RULED_OUT.search(sentence) is not None
        if _names_other(sentence, name, options):
            if SAYS_OTHER_RIGHT.search(NEGATED_RIGHT.sub("", sentence)) or not (ruled_out or on_the_others):
                return False
        elif (ruled_out and _names(sentence, name, options)) or (not on_the_others and UNDOES.search(sentence)):
            return False
    return True


def _names_other(sentence: str, name: str, options: Options) -> bool:
    """Return whether a sentence names another option, by its letter or its text."""
    if names_other_letter(sentence, name, options):
        return True
    key, own = plain_key(sentence), options.texts.get(name, "")
    return any(other != own and holds_words(key, other) for other in options.by_text)


def _names(sentence: str, name: str, options: Options) -> bool:
    """Return whether a sentence is about this option."""
    own = options.texts.get(name, "")
    return name in named_by_letter(sentence, options) or bool(own and plain_key(sentence).startswith(own))


def _last_statement(text: str, options: Options) -> str | None:
    """Return the option that the last sentence states with a lead, if others before it are ruled out."""
    retracted = [found.end() for found in islice(RETRACTS.finditer(text), _MOST_STATEMENTS + 1)]
    starts = [
        found.start()
        for found in islice(STATEMENT.finditer(text), _MOST_STATEMENTS + 1)
        if _begins_statement(text, found, retracted, options)
    ]
    if retracted:
        # "Wait, it barks: B is correct": what is said after thinking again is the answer when it is said outright.
        said_right = [found.end() for found in CLAUSE_END.finditer(text, retracted[-1])]
        if said_right and SAID_RIGHT_LAST.match(text[said_right[-1] :].lstrip(" \n")):
            starts.append(said_right[-1])
    if not starts or len(starts) > _MOST_STATEMENTS or len(retracted) > _MOST_STATEMENTS or CONDITION.search(text):
        return None
    name = statement_of(text[starts[-1] :].lstrip(" \n"), None, options)
    if name is None:
        return None
    thought_again = max((end for end in retracted if end <= starts[-1]), default=0)
    before = text[thought_again : starts[-1]]
    if UNSURE.search(before):
        return None
    return name if _leaves_open(before, name, options) else None


def _begins_statement(text: str, found: re.Match[str], retracted: list[int], options: Options) -> bool:
    """Return whether a last statement may begin here: behind a sentence, a conclusion, or what was taken back.

    A bare "so B" concludes only from other options: "I have no idea, so B" is a guess.
    """
    if found["remains"]:
        before = text[: found.start()]
        return OTHERS_OUT.search(before) is not None or next(named_by_letter(before, options), None) is not None
    if found["opened"] or found["concluded"] is not None:
        return True
    behind = text[: found.start()].rstrip(" ")[-1:]
    return behind not in {",", ":", ";"} or (bool(retracted) and found.start() >= retracted[-1])


def _leaves_open(before: str, name: str, options: Options) -> bool:
    """Return whether the text before a last statement rules out each other option's letter in it, and not this one.

    A letter may be described first: "A is a cat, so A is wrong".
    """
    described: set[str] = set()
    out: set[str] = set()
    for clause in CLAUSE_END.split(_LISTED.sub(" ", before)):
        others = {other for other in named_by_letter(clause, options) if other != name}
        if RULED_OUT.search(clause):
            if not others and name in named_by_letter(clause, options):
                return False
            out |= others
        elif others and SAYS_OTHER_RIGHT.search(clause):
            return False
        else:
            described |= others
    return described <= out
