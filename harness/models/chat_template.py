"""Finds a checkpoint's chat template wherever it lies, and tries it on a question with a picture.

Templates have moved over the years: `processor_config.json`, `chat_template.json`, `chat_template.jinja` with
`additional_chat_templates/` beside it, and `tokenizer_config.json`, each as one text or as named ones. transformers'
processor looks into the first three and not into the last; here all count, in that order.

What is tried is rendered by transformers' own function, in its sandbox; nothing of a model is loaded.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from harness.models.checkpoint_files import CheckpointError, JsonObject, items, read_json_if_there
from harness.values import Json

_PROBE_TEXT = "satori-bench-probe"
_MEND = "Put the template that the model was trained with, such as its base's, into chat_template.jinja"
_PLACED_BY_PROCESSOR = frozenset(
    {"paligemma", "blip", "blip-2", "instructblip", "florence2", "kosmos-2", "fuyu", "git", "pix2struct"}
)
"""Model types whose processors put the picture in front of the text themselves."""
_NO_CHAT = frozenset(
    {*_PLACED_BY_PROCESSOR, "kosmos-2.5", "got_ocr2", "udop", "pi0", "pp_chart2table", "pp_formulanet"}
)
"""Model types that were never trained to chat: none of their checkpoints has a template."""
_MOST_WRITTEN = 1_000_000
"""Characters that a template may write around one short question; the longest task prompts have some thousands."""
_LIMIT_S = 20.0
"""Seconds that a template may take for one question: each takes milliseconds, unless it loops."""
_USUAL_TOKENS = ("bos_token", "eos_token", "pad_token", "unk_token")
"""Templates write these without asking whether the tokenizer has them."""


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """The template that turns a chat into a prompt."""

    text: str
    """The Jinja template."""
    file: Path
    """Where it was found."""


class _Renderer(Protocol):
    """What is used of transformers' chat templates."""

    def __call__(
        self, *, conversations: list[list[Json]], chat_template: str, add_generation_prompt: bool, **variables: str
    ) -> tuple[list[str], object]: ...


def find_chat_template(folder: Path) -> ChatTemplate | None:
    """Return a folder's chat template; None where there is none, null and empty ones included.

    Of named templates, `default` is meant; a single one of another name is too.

    Raises:
        CheckpointError: there are several named templates, and none is the default.
    """
    found: list[str] = []
    for place, templates in _places(folder):
        name = "default" if "default" in templates else next(iter(templates)) if len(templates) == 1 else None
        if name is not None:
            return ChatTemplate(templates[name], place / f"{name}.jinja" if place.is_dir() else place)
        found += templates
    if found:
        raise CheckpointError(
            f"{folder} has the chat templates {', '.join(sorted(set(found)))} and none is the default: put the one to "
            "be used into chat_template.jinja"
        )
    return None


def template_at(file: Path) -> ChatTemplate:
    """Return the template that a person gave.

    Raises:
        CheckpointError: the file is not there, is empty, or is not text.
    """
    if not file.is_file():
        raise CheckpointError(f"--chat-template: {file} is no file")
    text = _read_text(file)
    if not text.strip():
        raise CheckpointError(f"--chat-template: {file} is empty")
    return ChatTemplate(text, file)


def no_template_fault(model_type: str, copied_into: Path) -> str:
    """Say that there is no chat template, and what to do about it: what helps depends on the family."""
    served = "serve it with vLLM or SGLang and ask it with --backend openai --base-url URL"
    if model_type in _NO_CHAT:
        return (
            f"no chat template: {model_type} was never trained to chat and has none. Write its own task prompt as a "
            f"Jinja template of a chat and give it as --chat-template FILE, or {served}"
        )
    return (
        "no chat template (chat_template.jinja, chat_template.json or in tokenizer_config.json): copy these files from "
        f"the base model into {copied_into}, save its AutoProcessor there, give one as --chat-template FILE, "
        f"or {served}"
    )


def template_faults(template: ChatTemplate, tokenizer_folder: Path, model_type: str) -> list[str]:
    """Try a template on a question with a picture, and name what is wrong with it."""
    variables = _special_tokens(tokenizer_folder)
    text: Json = {"type": "text", "text": _PROBE_TEXT}
    picture: Json = {"type": "image"}
    try:
        shown = _rendered(template, [picture, text], variables)
        if len(shown) > _MOST_WRITTEN:
            return [f"the chat template in {template.file} writes {len(shown):,} characters around a question. {_MEND}"]
        if _PROBE_TEXT not in shown:
            return [f"the chat template in {template.file} leaves the question's text out. {_MEND}"]
        if model_type in _PLACED_BY_PROCESSOR:
            return []
        blind = _rendered(template, [text], variables)
    except Exception as error:  # noqa: BLE001 - a template raises what its author chose
        return [f"{_failure(template, error)}. {_MEND}"]
    if shown == blind or repr(picture) in shown:
        return [f"the chat template in {template.file} writes no image: the model would be asked blind. {_MEND}"]
    return []


def _failure(template: ChatTemplate, error: Exception) -> str:
    """Say how a template failed."""
    from jinja2 import TemplateSyntaxError  # noqa: PLC0415 - only a broken template needs it

    said = (str(error).strip().splitlines() or [""])[0][:200]
    if isinstance(error, TemplateSyntaxError):
        return f"the chat template in {template.file} has a syntax error in line {error.lineno}: {said}"
    if isinstance(error, TimeoutError):
        return f"the chat template in {template.file} does not come to an end: {said}"
    return (
        f"the chat template in {template.file} fails on a question with a picture ({type(error).__name__}: {said}): "
        "it may be one for texts alone"
    )


def _rendered(template: ChatTemplate, content: list[Json], variables: Mapping[str, str]) -> str:
    """Return the prompt of a single user's turn, as the processor would write it."""
    from transformers.utils import chat_template_utils  # noqa: PLC0415 - half a second, and only for a whole folder

    render = cast("_Renderer", chat_template_utils.render_jinja_template)  # pyright: ignore[reportUnknownMemberType]  # its dicts are untyped
    conversation: list[Json] = [{"role": "user", "content": content}]
    with _bounded(_LIMIT_S):
        rendered, _ = render(
            conversations=[conversation], chat_template=template.text, add_generation_prompt=True, **variables
        )
    return rendered[0]


@contextmanager
def _bounded(limit_s: float) -> Generator[None]:
    """End the block with a TimeoutError after some seconds; elsewhere than in a POSIX main thread it takes its time."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    late: list[str] = []

    def give_up(*_: object) -> None:
        late.append(f"not done after {limit_s:g} s")
        raise TimeoutError(late[0])

    handler = signal.signal(signal.SIGALRM, give_up)
    timer = signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    except Exception as error:
        # Jinja2 rewrites tracebacks, and fails on one that an alarm raised between two lines
        if late and not isinstance(error, TimeoutError):
            raise TimeoutError(late[0]) from error
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if handler is None else handler)


def _special_tokens(folder: Path) -> dict[str, str]:
    """Return the texts of the tokenizer's special tokens; the usual ones are empty where it has none."""
    tokens: dict[str, str] = dict.fromkeys(_USUAL_TOKENS, "")
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        for key, value in read_json_if_there(folder / name).items():
            text = value.get("content") if isinstance(value, dict) else value
            if key.endswith("_token") and isinstance(text, str):
                tokens[key] = text
    return tokens


def _places(folder: Path) -> list[tuple[Path, dict[str, str]]]:
    """Return the templates of each place by name, in transformers' order; a single text is the default."""
    json_files = ("processor_config.json", "chat_template.json")
    places = [(folder / name, _named(_template_of(folder / name))) for name in json_files]
    single = folder / "chat_template.jinja"
    if single.is_file():
        places.append((single, _named(_read_text(single))))
    beside = folder / "additional_chat_templates"
    places.append((beside, _texts({file.stem: _read_text(file) for file in sorted(beside.glob("*.jinja"))})))
    tokenizer = folder / "tokenizer_config.json"
    places.append((tokenizer, _named(_template_of(tokenizer))))
    return places


def _template_of(file: Path) -> Json:
    """Return what a JSON file holds as its chat template; chat_template.json may be nothing but one."""
    return read_json_if_there(file).get("chat_template")


def _named(value: Json) -> dict[str, str]:
    """Return templates by name from any form in which they are written: a text, an object, or a list of pairs."""
    if isinstance(value, str):
        return _texts({"default": value})
    if isinstance(value, dict):
        return _texts(value)
    pairs = [entry for entry in items(value) if isinstance(entry, dict)]
    return _texts({str(entry.get("name")): entry.get("template") for entry in pairs})


def _texts(templates: JsonObject) -> dict[str, str]:
    """Return the templates that hold a text."""
    return {name: text for name, text in templates.items() if isinstance(text, str) and text.strip()}


def _read_text(file: Path) -> str:
    """Read a template file.

    Raises:
        CheckpointError: it is not text.
    """
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{file} is not UTF-8 text ({error}): save it again") from error
