"""Take the dress off a text: Unicode variants, Markdown, LaTeX and HTML wrappers, quotes, JSON around the one answer.

Part of the `strict` answer rules (`harness/scoring/answers/check.py`). Every step is linear in the text. Nothing here
removes what can carry meaning: signs, decimal points, the case of units, brackets around more than one word, operators,
a mark that has no partner ("A*" is no "A").
"""

from __future__ import annotations

import json
import re
import unicodedata
from functools import lru_cache
from typing import Final, cast

MAX_CHARACTERS: Final = 16_384
"""A longer answer is not read by a strict rule: no letter, number or short text is that long."""

_REMEMBERED_CHARACTERS: Final = 64
"""Keys of longer texts are computed each time, which bounds the memory of the others."""

_LONGEST_PILE: Final = 64
"""More combining marks than this in a row make Unicode normalisation quadratic, and are no writing."""
_PILE_MATTERS: Final = 512
"""Shorter texts cannot hold a pile that costs anything."""

_LONGEST_GROWTH: Final = 4
"""Writing grows less than this by folding; a few ligatures grow eighteenfold."""

UNSEEN: Final = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
"""Characters of no width."""
_FOLD: Final = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u00b4\u2032", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033\u300c\u300d\u300e\u300f\u300a\u300b", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63", "-"),
        **dict.fromkeys(UNSEEN, None),
        "\u3010": "[",
        "\u3011": "]",
        "\u3002": ".",
        "\u3001": ",",
        "\u2044": "/",
        "\u2215": "/",
    }
)
_SUPERSCRIPTS: Final = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_SUPERSCRIPT_RUN: Final = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+")
_VULGAR_AFTER_DIGIT: Final = re.compile(r"(?<=\d)(?=[¼½¾⅐-⅞])")
_DRESS: Final = re.compile(r"[\\$*_`#<]")
_FRACTION: Final = re.compile(
    # \frac, \dfrac, \tfrac, \cfrac of two groups or two digits: \frac12 too.
    r"([A-Za-z\d)/^]?)\\[dtc]?frac ?(?:\{(?P<top>[^{}]*)\}|(?P<top_digit>\d))"
    r" ?(?:\{(?P<bottom>[^{}]*)\}|(?P<bottom_digit>\d))"
    # A factor behind it, but no text, blank, bracket or degree of LaTeX.
    r"(?:(?=[A-Za-z\d(^!]| ?\\(?!text|math|[%, ;:!)\]]|quad|circ|degree))(?P<factor>))?"
)
"""A LaTeX fraction of two groups or single digits, what stands before it, and whether a factor follows: a unit in a
wrapper or after a blank is none."""
_PRODUCT: Final = re.compile(r"[+-]?[\w./%°$ ]*\Z")
"""Above the line this needs no brackets: a/b stays a product when it is divided by c."""
_ATOM: Final = re.compile(
    # A number; a letter; nothing at all.
    r"(?:[\d.,]+|[^\W\d_]|)\Z"
)
"""Below the line only a number or one letter needs no brackets: 1/2x and 1/ab can be read in two ways."""
_WRAPPER: Final = re.compile(
    # A box, fonts of text, fonts of formulas, and the other commands that only change how their content looks.
    r"\\(?:boxed|fbox|text(?:bf|it|rm|sf|tt)?|math(?:rm|bf|it|sf)|emph|operatorname|bm) ?\{([^{}]*)\}"
)
_NESTED_WRAPPERS: Final = 4
_DEGREES: Final = re.compile(
    # 30^\circ and 30^{\circ}, then \degree, and \circ where the caret was forgotten.
    r"\^ ?\{?\\circ\}?|\\degree|\\circ"
)
_LATEX_NO_BLANK: Final = re.compile(
    # Thin spaces and commands that show nothing.
    r"\\[,;:!]|\\(?:displaystyle|left|right)(?![A-Za-z])"
)
_LATEX_BLANK: Final = re.compile(
    # Spaces as wide as a blank.
    r"\\ |\\q?quad(?![A-Za-z])|~"
)
_MATHS_MARKS: Final = re.compile(r"\\[()\[\]]")
_MATHS: Final = re.compile(r"\$\$?([^$]*)\$\$?(?!\d)")
"""What stands between two dollar signs; a closing one before a digit is money."""
_HEADING: Final = re.compile(r"(?m)^ {0,3}#+ ")
_EMPHASIS: Final = re.compile(
    # The marks need a partner and words inside: "C*", "A*", "2 * 3" and "a_b" say something else without them.
    r"(?<![\w*])(?P<stars>\*{1,3})(?![\s*])(?P<starred>[^*]*)(?<!\s)(?P=stars)(?![\w*])"
    # Lines, between which a name may hold some itself.
    r"|(?<![\w_])(?P<lines>_{1,2})(?![\s_])(?P<underlined>(?:[^_]|(?<=\w)_(?=[^\W_]))*)(?<!\s)(?P=lines)(?![\w_])"
    # Backticks of one line or of a fence.
    r"|(?P<ticks>`{1,3}+)(?P<code>[^`]*)(?P=ticks)"
)
_LINE_BREAK: Final = re.compile(r"<br ?/?>", re.IGNORECASE)
_NESTED_EMPHASIS: Final = 3
_FENCE_NAME: Final = re.compile(r"\A[a-z]*(?=\n)")
"""What a fenced block says about its language."""
_DUNDER: Final = re.compile(r"__[a-z\d_]+__\Z")
"""A name of the Python kind; whoever marks a word writes asterisks."""
_INLINE_TAG: Final = re.compile(
    # Bold, slanted, underlined, marked, code; span and p, which only hold.
    r"<(b|i|u|em|strong|mark|code|span|p)>([^<]*)</\1>",
    re.IGNORECASE,
)
"""HTML that only dresses what is inside. A lone "<b>" is a text of its own, and <sup> carries meaning."""
_CASED_UNIT: Final = re.compile(
    # After a number the case of these decides what is meant: mega or milli, kelvin or thousand, bits or bytes.
    # MW is no mW, PF no pF, a G, T, S, N, H, K or B alone no g, t and so on, Mb no MB, nM no nm, pA no PA.
    r"(?<=\d)( ?)(?=(?:M(?:[WVAJNmgsLlΩ]|Hz|Pa|eV|Wh)?|P[FHsgWJVmN]|[GTSNHKB]|[kMGTP]b(?:ps|/s)?|[nmμ][MS]|pA)"
    r"(?![A-Za-zΩ]))"
    # A Greek capital by itself is a symbol: Δ is no δ, Ω no ω.
    r"|(?<![\u0370-\u03ff])(?=[ΓΔΘΛΞΠΣΦΨΩ](?![\u0370-\u03ff]))"
)
_CAPITAL: Final = "\ue000"
"""Marks a unit whose capital letter stays, in a plane of Unicode that no writing uses."""
_BLANK_AT_MARK: Final = re.compile(
    # Before a mark, or behind one.
    r" (?=[^\w ])|(?<=[^\w ]) "
)
_BEFORE_TEXT: Final = " :;,"
_AFTER_TEXT: Final = " .,;:?!"
_AROUND_TEXT: Final = {'"': '"', "'": "'", "(": ")", "[": "]", "{": "}"}
_QUOTES: Final = "\"'"
_END_MARKS: Final = " \n\t\"'”’!?！？.)]*_`"


_ANSWER_FIELDS: Final = frozenset(("answer", "final_answer", "final answer", "choice", "option", "result"))
_EXPLAINING_FIELDS: Final = frozenset(
    ("explanation", "reason", "reasoning", "rationale", "thought", "thoughts", "thinking", "analysis", "confidence")
)
_MOST_LISTED: Final = 100
_TAGGED: Final = re.compile(
    # Marks of Markdown may dress the tags; blanks may stand inside of them. No other tag may stand between.
    r"\s*+(?:\*\*)?<\s{0,4}answer\s{0,4}>\s*+([^<]*)<\s{0,4}/\s{0,4}answer\s{0,4}>(?:\*\*)?\s*+\Z",
    re.IGNORECASE,
)
_JSON_OBJECT: Final = re.compile(r"\A(?:```(?:json)?\s*+)?(\{.*\})\s*+(?:```)?\Z", re.DOTALL)
_PYTHON_OBJECT: Final = re.compile(r"\A\{ ?'(?:final_)?answer' ?: ?'([^'\\{}]*)' ?\}\Z", re.IGNORECASE)


def json_answer(text: str) -> str:
    """Return the answer that a JSON object states, as it is written there; any other text comes back unchanged.

    The object has one field for the answer ("answer", "choice"...) with a text, a number, true or false, or a list of
    one of them in it, and beside it nothing but fields that explain. A longer list comes back in brackets: only who
    asked for a list finds an answer in it. A field that is written twice states nothing that can be read.
    """
    text = text.strip()
    if text[:1] not in {"{", "`"} or len(text) > MAX_CHARACTERS:
        return text
    quoted = _PYTHON_OBJECT.match(text)
    if quoted:
        return quoted[1]
    written = _JSON_OBJECT.match(text)
    try:
        pairs = json.loads(written[1], object_pairs_hook=tuple, parse_int=str, parse_float=str) if written else ()
    except (ValueError, RecursionError):  # nested thousands deep
        return text
    fields = {str(name).strip().lower(): value for name, value in pairs}
    named = [value for name, value in fields.items() if name in _ANSWER_FIELDS]
    known = fields.keys() <= _ANSWER_FIELDS | _EXPLAINING_FIELDS and len(fields) == len(pairs)
    said = _said_by(named[0]) if known and len(named) == 1 else None
    return text if said is None else said


def _said_by(value: object) -> str | None:
    """Return the text of a JSON value that states an answer; None for objects, nested lists, null and nothing."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return None
    listed = cast("list[object]", value)
    if not 0 < len(listed) <= _MOST_LISTED:
        return None
    parts = [part for part in listed if isinstance(part, str)]
    if len(parts) != len(listed):
        return None
    return parts[0] if len(parts) == 1 else f"[{', '.join(parts)}]"


def tagged_answer(text: str) -> str:
    """Return what stands between the one pair of answer tags around a whole text; any other text comes back unchanged.

    Nobody asked for the tags where a text comes here with them, but a reader looks through them: "<answer>B</answer>".
    """
    tagged = _TAGGED.match(text) if len(text) <= MAX_CHARACTERS else None
    return text if tagged is None else tagged[1]


def fold(text: str) -> str:
    """Return the text in Unicode's compatibility form, with plain quotes, dashes and full stops.

    What that form would glue to the digits before it is set apart first: 10² is 10^2 and not 102, 3½ is 3 1/2.

    A text with a pile of combining marks comes back unchanged, as normalising it would cost seconds, and so does one
    that grows many times over.
    """
    if text.isascii() or (len(text) > _PILE_MATTERS and _has_pile(text)):
        return text
    apart = _SUPERSCRIPT_RUN.sub(lambda run: "^" + run.group().translate(_SUPERSCRIPTS), text)
    folded = unicodedata.normalize("NFKC", _VULGAR_AFTER_DIGIT.sub(" ", apart))
    return text if len(folded) > _LONGEST_GROWTH * len(text) + _PILE_MATTERS else folded.translate(_FOLD)


def _has_pile(text: str) -> bool:
    """Return whether the text has a long run of combining marks."""
    run = 0
    for character in text:
        run = run + 1 if unicodedata.combining(character) else 0
        if run > _LONGEST_PILE:
            return True
    return False


def undress(text: str) -> str:
    """Return a folded text without Markdown emphasis and LaTeX wrappers; fractions become `a/b`."""
    if not _DRESS.search(text):
        return text
    if "\\" in text:
        text = undress_latex(text)
    return without_marks(_MATHS.sub(r"\1", text))


def without_marks(text: str) -> str:
    """Return the text without the marks of Markdown and HTML around words: # x, **x**, _x_, `x`, <b>x</b>."""
    if "<" in text:
        text = _INLINE_TAG.sub(r"\2", _LINE_BREAK.sub("\n", text))
    text = _HEADING.sub("", text)
    if text.startswith("**") and text.count("*") == len("**"):
        return text[2:]  # bold that was cut before its end
    for _ in range(_NESTED_EMPHASIS):
        plain = _EMPHASIS.sub(_emphasised, text)
        if plain == text:
            break
        text = plain
    return text


def _emphasised(found: re.Match[str]) -> str:
    """Return what Markdown marks stand around."""
    if found["ticks"]:
        code = found["code"]
        return _FENCE_NAME.sub("", code) if len(found["ticks"]) == len("```") else code
    if found["lines"] and _DUNDER.match(found.group()):
        return found.group()
    return found["starred"] if found["stars"] else found["underlined"]


def undress_latex(text: str) -> str:
    """Return the text without LaTeX wrappers, spaces and marks; `$` signs and other commands stay."""
    text = text.replace("{,}", ",")
    text = _DEGREES.sub("\u00b0", text)
    text = _LATEX_BLANK.sub(" ", _LATEX_NO_BLANK.sub("", text))
    text = _MATHS_MARKS.sub(" ", text)
    text = text.replace("\\%", "%").replace("\\$", "$").replace("\\times", "\u00d7").replace("\\cdot", "\u00d7")
    for _ in range(_NESTED_WRAPPERS):
        if "\\" not in text:
            break
        text = _WRAPPER.sub(r"\1", _FRACTION.sub(_plain_fraction, text))
    return text


def _plain_fraction(found: re.Match[str]) -> str:
    r"""Write a LaTeX fraction as `a/b`, in brackets wherever the line would otherwise bind other things.

    A whole number before it is set apart: 2\frac{1}{2} is 2 1/2. A letter before it, or a factor after it, multiplies
    the whole fraction.
    """
    before = found[1]
    top = (found["top"] if found["top_digit"] is None else found["top_digit"]).strip()
    bottom = (found["bottom"] if found["bottom_digit"] is None else found["bottom_digit"]).strip()
    top = top if _PRODUCT.match(top) else f"({top})"
    bottom = bottom if _ATOM.match(bottom) else f"({bottom})"
    whole = f"{top}/{bottom}"
    if before.isdigit():
        return f"{before} {whole}"
    return f"{before}({whole})" if before or found["factor"] is not None else whole


def lines(text: str) -> str:
    """Return the text with every run of blanks as one blank, or as one newline where it holds a newline."""
    return "\n".join(filter(None, (" ".join(line.split()) for line in text.splitlines())))


def text_key(text: str) -> str:
    """Return the form in which two texts are compared: equal keys mean equal answers.

    Folded, undressed, case-folded, blanks collapsed and dropped around marks, wrapping quotes (and brackets around
    one word) dropped, closing punctuation dropped. A text beyond `MAX_CHARACTERS` has the empty key, like a blank one.
    """
    text = text.strip()
    if len(text) <= _REMEMBERED_CHARACTERS:
        return _remembered_key(text)
    return "" if len(text) > MAX_CHARACTERS else plain_key(undress(fold(text)))


@lru_cache(maxsize=4096)
def _remembered_key(text: str) -> str:
    """Return the key of a short text; the answers to a benchmark are few, and come again and again."""
    return plain_key(undress(fold(text)))


def plain_key(text: str) -> str:
    """Return the `text_key` of a text that is folded and undressed already."""
    key = _CASED_UNIT.sub(lambda found: f"{found[1] or ''}{_CAPITAL}", " ".join(text.split())).casefold()
    key = _BLANK_AT_MARK.sub("", key)
    return _unwrapped(_without_end_marks(key.lstrip(_BEFORE_TEXT)))


def _without_end_marks(key: str) -> str:
    """Drop closing punctuation; an exclamation mark after a digit stays, it may be a factorial."""
    bare = key.rstrip(_AFTER_TEXT)
    return f"{bare}!" if bare[-1:].isdigit() and key[len(bare) : len(bare) + 1] == "!" else bare


def _unwrapped(key: str) -> str:
    """Drop quotes around the whole key, and brackets around a single word."""
    closing = _AROUND_TEXT.get(key[:1])
    if closing is None or len(key) < len('"x"') or key[-1] != closing:
        return key
    inner = key[1:-1]
    if key[0] in _QUOTES:
        return key if key[0] in inner else _without_end_marks(inner)
    return inner if inner.isalnum() else key


def asks(text: str) -> bool:
    """Return whether a question mark is among the marks at the end of a text: it asks back and states nothing."""
    end = text[len(text.rstrip(_END_MARKS)) :]
    return "?" in end or "？" in end
