"""What a log of another evaluation program says, whichever program wrote it; nothing in it is scored yet.

What a log does not say is None or empty here, and stays unknown in the run that is made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

from harness.errors import ConfigError
from harness.values import Json

Tool: TypeAlias = Literal["lmms-eval", "vlmevalkit", "inspect"]
"""The programs whose logs are read, as `satori-bench import` calls them."""

TOOLS: Final[tuple[Tool, ...]] = get_args(Tool)

TITLES: Final[Mapping[Tool, str]] = {"lmms-eval": "lmms-eval", "vlmevalkit": "VLMEvalKit", "inspect": "Inspect"}
"""What people call them."""


class ForeignLogError(ConfigError):
    """A log cannot be imported: it is damaged, unfinished, or its format hides what the model wrote."""


@dataclass(frozen=True, slots=True)
class ForeignAnswer:
    """One answer, with what the log says of its question."""

    place: str
    """How the log names the question: lmms-eval's `doc_id`, VLMEvalKit's `index`, Inspect's sample id."""
    text: str
    """What the model wrote; empty when `error` is set."""
    repeat: int = 0
    """0 for the first answer to a question, 1 for the second."""
    error: str | None = None
    """Why there is no text, or why it is not the model's; None when it is."""
    logged: str = ""
    """What the log has in the text's place where `error` is set, and the program itself scored; empty where it has
    nothing there."""
    truncated: bool = False
    """Whether the token budget ended the text."""
    input_tokens: int | None = None
    """Prompt tokens; None when the log does not say."""
    output_tokens: int | None = None
    """Generated tokens; None when the log does not say."""
    prompt: str | None = None
    """The words that the model was asked, as the log has them; None when it does not."""
    cells: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Question, options and gold, under the names of the log."""


@dataclass(frozen=True, slots=True)
class ForeignTask:
    """One benchmark of a log."""

    name: str
    """As the other program calls it."""
    answers: tuple[ForeignAnswer, ...]
    """Its answers, in the order of their questions."""
    rows: int
    """Questions of the whole split, as far as the log knows; else those that it holds."""
    theirs: Mapping[str, float]
    """The program's own numbers, under its own names; empty where it made none."""
    generation: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Generation arguments that were asked for; empty where the log does not say."""
    partial: bool = False
    """Whether questions were left out."""
    notes: tuple[str, ...] = ()
    """What a person must hear of it."""


@dataclass(frozen=True, slots=True)
class ForeignLog:
    """One log: a model's answers to some benchmarks."""

    tool: Tool
    """Which program wrote it."""
    version: str
    """The program's version; empty when the log does not say."""
    model: str
    """The model's name there."""
    created: str
    """When it was made, as it writes that; empty when it does not."""
    tasks: tuple[ForeignTask, ...]
    """What can be imported."""
    files: Mapping[str, str]
    """Name and hex sha256 of every file that was read."""
    refused: Mapping[str, str] = field(default_factory=dict[str, str])
    """Benchmarks of the log that cannot be imported, with the reason."""
    settings: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """What else it says of how the model was run, such as `model_args`."""
