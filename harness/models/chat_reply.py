"""Read what a chat server replied: the answer, the thought beside it, or the server's own words why there is none.

Servers file a model's words in many places: `content` as a text or as a list of parts, thoughts under
`reasoning_content`, `reasoning`, `reasoning_details`, `thinking_blocks` and more, a refusal under `refusal`. They also
answer 200 with an error inside, with `choices: null`, or with a finish reason that says that nobody finished. Spellings
are those of OpenAI, vLLM, SGLang, TGI, llama.cpp, OpenRouter, LiteLLM, Mistral, DeepSeek, Gemini, Anthropic, Cohere,
Zhipu and MiniMax, as their documentation and public bug reports show them.

A reply is as untrusted as any text of a model: nothing in it raises, and what is quoted of it is bounded and one line.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

MOST_REASON_CHARACTERS = 300
"""Of a server's words, so much is kept."""
_MOST_TOKENS = 10**9
_DEEPEST = 5
"""Levels of an error object, or of a part in a part, that are looked into."""
_MOST_READ_CHARACTERS = 4_000
"""Of a server's words, so much is looked at before they are cut down."""

_FINISHED = frozenset(
    {
        "stop", "eos", "eos_token", "end_turn", "end_of_turn", "stop_sequence", "stop_token", "complete", "completed",
        "finish", "finished", "done",
    }
)  # fmt: skip
"""Finish reasons after which the answer stands."""
_CUT_OFF = frozenset(
    {
        "length", "max_tokens", "max_length", "model_length", "max_output_tokens", "max_new_tokens",
        "max_completion_tokens", "token_limit", "max_token", "limit", "model_context_window_exceeded",
    }
)  # fmt: skip
"""Finish reasons that say that the budget, or the context, ended the text."""

_CALLED = frozenset({"tool_calls", "tool_call", "tool_use", "function_call", "tool"})
"""Finish reasons that say that a tool is called."""
_MOST_CALLS = 100
"""Of the calls in a message, so many are read."""

_FILTERED = frozenset(
    {"content_filter", "safety", "sensitive", "blocklist", "prohibited_content", "recitation", "spii"}
)
"""Finish reasons with which a filter takes an answer away."""

_THOUGHT_FIELDS = (
    "reasoning_content",
    "reasoning",
    "reasoning_text",
    "thinking",
    "thinking_content",
    "thought",
    "thoughts",
    "reasoning_details",
    "thinking_blocks",
)
"""Where a message's thought may be filed; several often hold the same words."""
_PART_TEXTS = ("text", "content", "parts", "value", "output_text", "refusal")
"""Where a part keeps its text."""
_SAID = (
    "message", "msg", "detail", "error_msg", "error_message", "errorMessage", "status_msg", "description", "reason",
    "title", "raw", "error", "errors", "metadata", "fault", "block_reason", "blockReason", "promptFeedback",
)  # fmt: skip
"""Where an error object keeps its words."""
_KINDS = ("code", "status", "status_code", "error_code", "http_code", "type", "provider_name")
"""Where an error object keeps its kind."""

PASSING_STATUSES = frozenset({408, 409, 425, 429}) | frozenset(range(500, 600))
"""Statuses after which asking again may help."""
_PASSING_WORDS = re.compile(
    r"rate.?limit|too many requests|overload|temporar|unavailable|time.?out|timed out|server_error|"
    r"internal.?(?:server.?)?error|at capacity|resource.?exhausted|try again|busy|throttl",
    re.IGNORECASE,
)
"""Words of a fault that passes. Each alternative is a plain word, so the search is linear."""
_LASTING_WORDS = re.compile(r"insufficient.?quota|exceeded your current quota|billing|payment", re.IGNORECASE)
"""Words of a fault that looks like one that passes, but does not: an account without money."""
_SNAPSHOT = re.compile(r"[-@:]v?(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}|[0-9]{6}|[0-9]{4}|0[0-9]{2}|latest|free|beta)")
"""What may follow a model's name without meaning another model: a date or number of its snapshot, a tag."""
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)", re.DOTALL)
"""A terminal's escape sequence: CSI, OSC, or ESC and one character."""


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What a server replied to one request."""

    content: str = ""
    """The answer's text, as the server files it."""
    thought: str = ""
    """The thought that the server files apart from it; empty where there is none."""
    truncated: bool = False
    """Whether the token budget ended the text."""
    tells_end: bool = True
    """Whether the server says why the text ends; where it does not, its budget may have ended it."""
    refused: bool = False
    """Whether the text is a refusal that the server files apart: for a model its words, for a judge no verdict."""
    input_tokens: int | None = None
    """Prompt tokens; None when not told."""
    output_tokens: int | None = None
    """Generated tokens; None when not told."""
    model: str | None = None
    """The model that the server says wrote it; None when not told."""
    failure: str | None = None
    """Why this is no answer, in the server's own words on one line; None when it is one."""
    passing: bool = False
    """Whether the failure is one that passes, so that asking again may help."""
    retry_after_s: float | None = None
    """Seconds that the reply itself asks to wait; None when not told."""

    @property
    def text(self) -> str:
        """The raw text: the thought in tags, as a model without a server's parser writes it, then the answer.

        A thought that the budget ended is closed as well: none of its words are an answer.
        """
        return f"<think>{self.thought}</think>\n{self.content}" if self.thought else self.content


def read_reply(reply: object, *, takes_calls: bool = False) -> ChatReply:
    """Read a chat completion.

    An empty text is an answer (the model said nothing) where the server says that the model stopped by itself and no
    other field says why nothing is there; a refusal that is filed apart is the model's text.

    Args:
        reply: The reply as plain JSON values.
        takes_calls: Whether a tool was offered: calls that the server files apart are then put behind the text, as a
            model without a server's parser writes them.
    """
    fields = _object(reply)
    model = fields.get("model")
    name = one_line(model, 200) if isinstance(model, str) else ""
    usage = _object(fields.get("usage"))
    written = _count(usage.get("completion_tokens"))
    found = _read_choices(fields, takes_calls=takes_calls)
    if written == 0 and found.failure is None and not found.text:
        found = failed("the reply is empty, and no token was generated")
    return ChatReply(
        content=found.content,
        thought=found.thought,
        truncated=found.truncated,
        tells_end=found.tells_end,
        refused=found.refused,
        failure=found.failure,
        passing=found.passing,
        retry_after_s=found.retry_after_s,
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=written,
        model=name or None,
    )


def _read_choices(fields: dict[str, object], *, takes_calls: bool) -> ChatReply:
    """Read the choice that is numbered 0, else the first in the list, or say why there is none."""
    choices = fields.get("choices")
    listed = cast("list[object]", choices) if isinstance(choices, list) else []
    fault = fields.get("error") or fields.get("errors")
    if fault:
        return failed(error_words(fault), fault)
    if not listed:
        said = error_words(fields) if any(fields.get(name) for name in ("base_resp", *_SAID)) else ""
        base = error_words(fields.get("base_resp")) if isinstance(fields.get("base_resp"), dict) else ""
        return failed(": ".join(filter(None, ("the reply has no choices", base or said))), fields)
    numbered = [choice for choice in map(_object, listed) if choice.get("index") == 0]
    choice = numbered[0] if numbered else _object(listed[0])
    return _read_choice(_with_calls_as_text(choice) if takes_calls else choice)


def _read_choice(choice: dict[str, object]) -> ChatReply:
    """Read one choice."""
    if choice.get("error"):
        return failed(error_words(choice["error"]), choice["error"])
    message = _object(choice.get("message"))
    if not message and isinstance(choice.get("text"), str):
        message = {"content": choice["text"]}
    finish = choice.get("finish_reason", choice.get("finishReason"))
    kind = _finish_kind(finish)
    if kind == "other":
        filtered = _finish_word(finish) in _FILTERED
        said = "the server's filter withheld the answer" if filtered else "nobody finished the answer"
        words = [f"{said}, finish_reason {one_line(finish)}", _refusal(message), _calls(message), _native(choice)]
        return failed(": ".join(filter(None, words)), None)
    if not message:
        return failed("the reply has no message", None)
    content, thought = _written(message)
    refusal = "" if content else _refusal(message)
    content = content or refusal or _transcript(message)
    if content or thought:
        return ChatReply(
            content, thought, truncated=kind == "cut_off", tells_end=kind != "unknown", refused=bool(refusal)
        )
    return _nothing(choice, message, kind)


def _nothing(choice: dict[str, object], message: dict[str, object], kind: str) -> ChatReply:
    """Read a message without words: the model said nothing, unless some field tells another reason."""
    why = _calls(message) or _native(choice) or _filtered(choice)
    content = message.get("content")
    if not why and content is not None and not isinstance(content, str) and content != []:
        why = f"the reply's content is no text but {_described(content)}"
    if not why and kind == "unknown":
        why = "the reply is empty and gives no finish_reason"
    return failed(why, None) if why else ChatReply(truncated=kind == "cut_off")


def failed(words: str, fault: object = None, *, status: int | None = None, wait_s: float | None = None) -> ChatReply:
    """Return what stands for a reply that is no answer.

    Args:
        words: Why it is none.
        fault: The object that says why, if one does.
        status: The HTTP status of a refusal; None where the reply itself came with a good one, or none came.
        wait_s: Seconds that the reply's head asks to wait; None when not told.
    """
    asked_s = _retry_after(fault)
    lasts = asked_s is None and wait_s is None and _LASTING_WORDS.search(f"{words} {error_words(fault)}") is not None
    passes = _is_passing(fault) if status is None else status in PASSING_STATUSES
    return ChatReply(
        failure=one_line(words) or "the server gives no reason", passing=passes and not lasts, retry_after_s=asked_s
    )


def error_words(value: object, depth: int = 0) -> str:
    """Return what an error object says: its messages, then its kind in brackets; the empty text for nothing."""
    if depth > _DEEPEST or value is None or isinstance(value, bool):
        return ""
    if isinstance(value, str | int | float):
        return _printable(str(value)[:_MOST_READ_CHARACTERS])
    if isinstance(value, list):
        items = cast("list[object]", value)[:3]
        return "; ".join(dict.fromkeys(filter(None, (error_words(item, depth + 1) for item in items))))
    fields = _object(value)
    said = dict.fromkeys(filter(None, (error_words(fields.get(name), depth + 1) for name in _SAID)))
    kinds = dict.fromkeys(
        _printable(str(fields[name])[:100]) for name in _KINDS if isinstance(fields.get(name), str | int)
    )
    words = "; ".join(said) or ("" if kinds else _described(fields))
    return f"{words} ({', '.join(kinds)})" if words and kinds else words or ", ".join(kinds)


def same_model(asked: str, said: str) -> bool:
    """Whether two names stand for one model: equal but for case, a provider in front, and a date or tag behind."""
    one, other = (name.casefold().rstrip("/").rsplit("/", 1)[-1] for name in (asked, said))
    short, long = sorted((one.removesuffix("-latest"), other.removesuffix("-latest")), key=len)
    rest = long[len(short) :] if long.startswith(short) else None
    return rest == "" or (rest is not None and bool(short) and _SNAPSHOT.fullmatch(rest) is not None)


def one_line(value: object, most: int = MOST_REASON_CHARACTERS) -> str:
    """Return a stranger's words as one bounded line that does nothing to a terminal."""
    text = " ".join(_printable(str(value)[:_MOST_READ_CHARACTERS]).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def _printable(text: str) -> str:
    """Return a text without escape sequences, control and direction characters, and lone surrogates."""
    kept = _ESCAPE.sub(" ", text)
    return "".join(" " if char in "\r\n\t\u2028\u2029" else char for char in kept if _shows(char))


def _shows(char: str) -> bool:
    return char in "\r\n\t\u2028\u2029" or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co"}


# What a message says


def _written(message: dict[str, object]) -> tuple[str, str]:
    """Return a message's content and its thought, wherever they are filed."""
    texts: list[str] = []
    thoughts: list[str] = []
    for is_thought, text in _parts(message.get("content"), within_thought=False):
        (thoughts if is_thought else texts).append(text)
    joined = "".join(texts)
    found = ["".join(thoughts)]
    provider = _object(message.get("provider_specific_fields"))
    for source in (message, provider):
        found += [
            "".join(text for _, text in _parts(source.get(name), within_thought=True)) for name in _THOUGHT_FIELDS
        ]
    return joined, _one_thought(found, joined)


def _one_thought(found: Sequence[str], content: str) -> str:
    """Return each thought once: servers file the same words under several names, and some leave them in the content."""
    kept: list[str] = []
    for thought in filter(None, map(_without_tags, found)):
        if any(thought in other for other in kept) or ("</think>" in content and thought in content):
            continue
        kept = [other for other in kept if other not in thought] + [thought]
    return "\n".join(kept)


def _without_tags(thought: str) -> str:
    """Return a thought without blanks and tags around it: they are put around it once, by us."""
    return thought.strip().removeprefix("<think>").removesuffix("</think>").strip()


def _parts(value: object, *, within_thought: bool, depth: int = 0) -> Iterator[tuple[bool, str]]:
    """Yield the texts of a content, in order, and whether each is a thought."""
    if depth > _DEEPEST:
        return
    if isinstance(value, str):
        if value:
            yield within_thought, value
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _parts(item, within_thought=within_thought, depth=depth + 1)
    elif isinstance(value, dict):
        yield from _part(_object(cast("object", value)), within_thought=within_thought, depth=depth)


def _part(part: dict[str, object], *, within_thought: bool, depth: int) -> Iterator[tuple[bool, str]]:
    """Yield the texts of one part, such as `{"type": "thinking", "thinking": [...]}`."""
    kind = str(part.get("type", "")).lower()
    if any(word in kind for word in ("encrypted", "redacted", "tool", "function", "image", "audio")):
        return  # no words, or none of an answer
    thinks = within_thought or part.get("thought") is True or bool(re.search("think|reason|thought|analysis", kind))
    for name in ("thinking", "reasoning", "summary"):
        yield from _parts(part.get(name), within_thought=True, depth=depth + 1)
    # of the others the first that holds something: a part has one text under one name
    inner = next((part[name] for name in _PART_TEXTS if part.get(name)), None)
    yield from _parts(inner, within_thought=thinks, depth=depth + 1)


def _refusal(message: dict[str, object]) -> str:
    """Return the words with which a model refuses, filed apart from the content."""
    refusal = message.get("refusal")
    return refusal if isinstance(refusal, str) else ""


def _transcript(message: dict[str, object]) -> str:
    """Return the words of a spoken answer."""
    transcript = _object(message.get("audio")).get("transcript")
    return transcript if isinstance(transcript, str) else ""


def _calls(message: dict[str, object]) -> str:
    """Say which tools a message calls: none was offered, so this is the server's reading of the text, and no answer."""
    named = [
        f"{function.get('name')}({one_line(function.get('arguments', ''), 200)})" for function in _functions(message)
    ]
    return f"a call of a tool that nobody offered: {'; '.join(named)}" if named else ""


def _functions(message: dict[str, object]) -> list[dict[str, object]]:
    """Return the functions that a message calls, with their arguments."""
    listed = message.get("tool_calls")
    calls = [_object(call) for call in cast("list[object]", listed)] if isinstance(listed, list) else []
    functions = [_object(call.get("function")) or call for call in calls]
    return [function for function in (*functions, _object(message.get("function_call"))) if function]


def _with_calls_as_text(choice: dict[str, object]) -> dict[str, object]:
    """Return a choice with the calls of its message behind the message's text, and a finish reason that says so."""
    message = _object(choice.get("message"))
    written = "".join(_call_as_text(function) for function in _functions(message)[:_MOST_CALLS])
    if not written:
        return choice
    content = "".join(text for thinks, text in _parts(message.get("content"), within_thought=False) if not thinks)
    kept = {name: value for name, value in message.items() if name not in {"tool_calls", "function_call"}}
    called = _finish_word(choice.get("finish_reason", choice.get("finishReason"))) in _CALLED
    finish = {"finish_reason": "stop", "finishReason": "stop"} if called else {}
    parts = message.get("content")
    if isinstance(parts, list):  # thoughts among them stay where they are
        return {**choice, **finish, "message": {**kept, "content": [*cast("list[object]", parts), written]}}
    return {**choice, **finish, "message": {**kept, "content": content + written}}


def _call_as_text(function: dict[str, object]) -> str:
    """Return a call as models of Qwen's kind write it."""
    arguments = function.get("arguments", {})
    try:
        written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    except (TypeError, ValueError, RecursionError):
        written = "{}"
    name = json.dumps(str(function.get("name"))[:200])
    return f'\n<tool_call>\n{{"name": {name}, "arguments": {written}}}\n</tool_call>'


def _native(choice: dict[str, object]) -> str:
    """Return the finish reason of the provider behind a router, where it is neither an end nor the budget."""
    native = choice.get("native_finish_reason")
    if not isinstance(native, str) or _finish_kind(native) != "other":
        return ""
    return f"native_finish_reason {one_line(native, 100)}"


def _filtered(choice: dict[str, object]) -> str:
    """Say which of a server's filters withheld an answer."""
    results = _object(choice.get("content_filter_results"))
    named = [name for name, found in results.items() if _object(found).get("filtered") is True]
    return f"the server's filter withheld the answer ({one_line(', '.join(named), 100)})" if named else ""


def _finish_kind(finish: object) -> str:
    """Return what a finish reason says: `finished`, `cut_off`, `unknown` where none is given, else `other`."""
    if finish is None or finish == "":
        return "unknown"
    word = _finish_word(finish)
    return "finished" if word in _FINISHED else "cut_off" if word in _CUT_OFF else "other"


def _finish_word(finish: object) -> str:
    """Return a finish reason as one plain word; FinishReason.STOP, FINISH_REASON_STOP and "end-turn" are others."""
    word = finish.strip().lower().rsplit(".", 1)[-1] if isinstance(finish, str) else ""
    return word.removeprefix("finish_reason_").replace("-", "_").replace(" ", "_")


# Small readings


def _is_passing(fault: object) -> bool:
    """Whether an error object is of a kind that passes: a 429 or a server's error, in whatever dress."""
    if fault is None:
        return False
    return any(code in PASSING_STATUSES for code in _codes(fault)) or bool(_PASSING_WORDS.search(error_words(fault)))


def _codes(fault: object, depth: int = 0) -> Iterator[int]:
    """Yield the whole numbers that an error object names as its code."""
    if depth > _DEEPEST:
        return
    fields = _object(fault)
    for name in _KINDS:
        value = fields.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            yield value
        elif isinstance(value, str) and re.fullmatch(r"[1-5][0-9]{2}", value):
            yield int(value)
    for name in ("error", "metadata", "base_resp"):
        yield from _codes(fields.get(name), depth + 1)


def _retry_after(fault: object) -> float | None:
    """Return the seconds to wait that an error object names; None where it names none."""
    fields = _object(fault)
    fields = _object(fields.get("error")) or fields
    metadata, details = _object(fields.get("metadata")), fields.get("details")
    places = [fields, metadata, _object(metadata.get("headers"))]
    if isinstance(details, list):
        places += [_object(item) for item in cast("list[object]", details)[:_DEEPEST]]
    for place in places:
        for name, value in place.items():
            if name.lower().replace("_", "-") in {"retry-after", "retry-after-seconds", "retrydelay"}:
                return seconds(value)
    return None


def seconds(value: object) -> float | None:
    """Return a number of seconds, such as 3, "3" or "3s"; None for anything else, a negative one and an endless one."""
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?) ?s?", str(value).strip())
    return float(found[1]) if found else None


def _described(value: object) -> str:
    """Say in a few words what a JSON value is."""
    if isinstance(value, list):
        kinds = [str(_object(item).get("type", type(item).__name__)) for item in cast("list[object]", value)[:5]]
        return one_line(f"list of {', '.join(kinds)}", 100)
    try:
        return one_line(json.dumps(value)[:_MOST_READ_CHARACTERS], 100)
    except (TypeError, ValueError, RecursionError):
        return type(value).__name__


def _object(value: object) -> dict[str, object]:
    """Return a JSON object; an empty one for anything else."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    """Return a number of tokens; None for what cannot be one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS else None
