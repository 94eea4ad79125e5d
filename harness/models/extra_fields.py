"""Read what a person adds to every request as JSON: fields of its body, and words for the chat template.

Both change what a model is asked, so both stand in the manifest and in the protocol hash.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import cast

from harness.errors import ConfigError
from harness.values import Json

OWN_FIELDS: Mapping[str, str] = {
    "messages": "the question is the benchmark's",
    "prompt": "the question is the benchmark's",
    "images": "the picture is the benchmark's",
    "tools": "a call of a tool is no answer",
    "functions": "a call of a tool is no answer",
    "model": "the server's name for it is --served-name",
    "stream": "replies are read whole",
    "n": "one answer is read",
    "max_tokens": "the budget is --max-new-tokens",
    "max_completion_tokens": "the budget is --max-new-tokens",
    "temperature": "it is --decoding sampled with --temperature",
    "seed": "it is --seed",
    "stop": "it is the task's `until`",
    "chat_template_kwargs": "they are --chat-template-kwargs",
}
"""Fields of a request that an extra body cannot set, and what does."""
TEMPLATE_OWN = frozenset(
    {
        "conversation", "conversations", "messages", "tokenize", "add_generation_prompt", "continue_final_message",
        "return_dict", "return_tensors", "return_assistant_tokens_mask", "chat_template", "processor_kwargs", "padding",
        "truncation", "max_length", "images", "videos", "tools", "documents", "load_audio_from_video",
        "sanitize_control_tokens", "trust_request_chat_template",
    }
)  # fmt: skip
"""What the harness itself tells a chat template, or what would make another question."""
_SECRET_FIELDS = re.compile(r"api.?key|authorization|password|secret|access.?token", re.IGNORECASE)


def read_json_object(given: str | Mapping[str, Json] | None, option: str) -> dict[str, Json]:
    """Read what a person gives as a JSON object; nothing gives an empty one, and an object is itself.

    Raises:
        ConfigError: it is none; says how to write one.
    """
    if given is None or not isinstance(given, str):
        return dict(given or {})
    try:
        value = cast("Json", json.loads(given, parse_constant=_refuse_constant))
    except (ValueError, RecursionError) as fault:
        raise ConfigError(
            f"{option} is no JSON ({fault}): write it in single quotes, such as {option} '{{\"name\": false}}'"
        ) from fault
    if not isinstance(value, dict):
        raise ConfigError(f"{option} is {json.dumps(value)[:60]}, no object: write it as '{{\"name\": value}}'")
    return value


def check_extra_body(fields: Mapping[str, Json]) -> None:
    """Refuse fields that would make another question, or have an option of their own, or hold a key.

    Raises:
        ConfigError: names every such field and its mend.
    """
    faults = [f"{name} ({OWN_FIELDS[name]})" for name in fields if name in OWN_FIELDS]
    secret = _secret_names(dict(fields))
    faults += [f"{name} (a key would be stored with the run: give it with --api-key)" for name in secret]
    if faults:
        raise ConfigError(f"--extra-body cannot set {', '.join(faults)}")


def check_template_kwargs(fields: Mapping[str, Json]) -> None:
    """Refuse what the harness itself tells a chat template.

    Raises:
        ConfigError: names every such field.
    """
    faults = [name for name in fields if name in TEMPLATE_OWN or not name.isidentifier()]
    if faults:
        raise ConfigError(
            f"--chat-template-kwargs cannot set {', '.join(faults)}: give variables of the model's chat template, "
            "such as enable_thinking"
        )


def _secret_names(value: Json, depth: int = 0) -> list[str]:
    """Return the names of fields that look like keys, also of nested ones."""
    if depth > 5 or not isinstance(value, dict):
        return []
    own = [name for name in value if _SECRET_FIELDS.search(name)]
    return own + [name for inner in value.values() for name in _secret_names(inner, depth + 1)]


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")
