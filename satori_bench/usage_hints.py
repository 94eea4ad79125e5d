"""Say what a person who typed the command wrongly may have meant: other programs' words for verbs and options.

Nothing here guesses on anybody's behalf: the command is refused, and the hint is the end of its one line of error.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from harness.errors import did_you_mean

VERB_WORDS: MappingProxyType[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("eval", "evaluate", "bench", "benchmark", "test", "infer", "resume", "continue"), "run"),
        **dict.fromkeys(("diff", "cmp"), "compare"),
        **dict.fromkeys(("open", "serve", "browse", "page"), "view"),
        **dict.fromkeys(("ls", "list"), "runs list"),
        "show": "runs show",
        "verify": "runs verify",
        "sft": "train sft",
        "grpo": "train grpo",
        "check": "doctor",
        "help": "--help",
        "version": "--version",
    }
)
"""Verbs by what other programs call them."""

OPTION_WORDS: MappingProxyType[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("-m", "--ckpt", "--checkpoint", "--model-path", "--model_path", "--pretrained", "--model-name-or-path",
             "--model_name_or_path", "--model-args", "--model_args"),
            "--model",
        ),
        **dict.fromkeys(("-t", "--task", "--benchmark", "--benchmarks", "--data", "--datasets"), "--tasks"),
        **dict.fromkeys(("-n", "--num", "--samples", "--num-samples", "--max-samples", "--num_samples"), "--limit"),
        **dict.fromkeys(("-b", "--bs", "--batch"), "--batch-size"),
        **dict.fromkeys(
            ("--output-path", "--output_path", "--output-dir", "--output_dir", "--work-dir", "--outdir"), "--out"
        ),
        **dict.fromkeys(("--max-tokens", "--max_tokens", "--max-gen-toks", "--max_gen_toks"), "--max-new-tokens"),
        **dict.fromkeys(("--force", "--rerun", "--overwrite", "--new"), "--again"),
        **dict.fromkeys(("--url", "--api-base", "--host"), "--base-url"),
        **dict.fromkeys(("--temp",), "--temperature"),
        **dict.fromkeys(("--base", "-a"), "--baseline"),
    }
)  # fmt: skip
"""Options by what other programs call them."""

_BY_COMMAS = ("--tasks", "--protocols", "--kinds", "--benchmarks", "--reward-sets")
"""Options that take several names as one word."""


@dataclass(frozen=True, slots=True)
class KnownOption:
    """An option of a verb, as far as a hint needs it."""

    flag: str
    """Its long flag."""
    takes_value: bool
    """Whether a word follows it."""
    repeats: bool
    """Whether it may be given several times."""
    required: bool
    """Whether the verb cannot do without it."""


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of the command line that is no option and no option's value."""

    text: str
    after: KnownOption | None
    """The option whose value stands before it, with nothing but such words between."""
    value: str
    """That value."""


def key_hint(key: str, known: Sequence[str]) -> str:
    """Return the key of a verb's table in a file that an unknown one may stand for, as `did_you_mean` does."""
    for flag in (f"--{key}", f"--{key}".replace("_", "-")):
        ours = OPTION_WORDS.get(flag, "").removeprefix("--").replace("-", "_")
        if ours in known:
            return f" Did you mean {ours!r}?"
    return did_you_mean(key, list(known))


def extra_words_hint(
    arguments: Sequence[str], extra: Sequence[str], options: Mapping[str, KnownOption], *, takes_list: bool = False
) -> str:
    """Return how to give words that a verb does not take, such as the `b` of `--tasks a b`; else the empty text.

    Args:
        arguments: What follows the verb.
        extra: The last of its words, which nothing takes; at least one.
        options: The verb's options by every flag that they have.
        takes_list: Whether the one word that the verb takes may be several, by commas.
    """
    every = _words(arguments, options)
    words = every[-len(extra) :]
    first = words[0] if words else _Word(extra[0], None, "")
    given = {options[text.partition("=")[0]].flag for text in arguments if text.partition("=")[0] in options}
    flags = {option.flag for option in options.values()}
    if first.text == "help":
        return "for help: --help"
    if takes_list and first.after is None:
        return f"several go by commas: {','.join(word.text.strip(',') for word in every if word.after is None)}"
    if first.after is not None and first.after.flag in _BY_COMMAS:
        together = [first.value, *(word.text for word in words if word.after == first.after)]
        return f"several go by commas: {first.after.flag} {','.join(text.strip(',') for text in together)}"
    if first.after is not None and first.after.repeats:
        return f"repeat the option: {first.after.flag} {first.value} {first.after.flag} {shlex.quote(first.text)}"
    needed = [option.flag for option in options.values() if option.required and option.flag not in given]
    needed += ["--model"] if "--model" in flags - given else []
    if needed:
        return f"say {needed[0]} {shlex.quote(first.text)}"
    return f"{first.after.flag} takes one value" if first.after is not None else ""


def _words(arguments: Sequence[str], options: Mapping[str, KnownOption]) -> list[_Word]:
    """Return the words that are no options and no option's value."""
    found: list[_Word] = []
    after, value = None, ""
    rest = list(arguments)
    while rest:
        text = rest.pop(0)
        flag, equals, given = text.partition("=")
        if not text.startswith("-") or text == "-":
            found.append(_Word(text, after, value))
        elif text == "--":
            found += [_Word(word, None, "") for word in rest]
            break
        else:
            option = options.get(flag)
            after = option if option is not None and option.takes_value else None
            value = given
            if after is not None and not equals and rest:
                value = rest.pop(0)
    return found
