"""Rewards for trainers that are not ours: a completion and the row of a data set in, the scorer's rewards out.

What ms-swift, verl and EasyR1 call stands in `rewards_ms_swift.py`, `rewards_verl.py` and `rewards_easyr1.py`; all of
them hand over here, and from here to `training.stages.rewards`, so that a reward is the number that a benchmark would
show for the same text. Needs neither torch nor TRL.

A row has the reference's columns (`possible_answers`, `bboxs`, `image_caption`, `width`, `height`) or ours (`answers`,
`boxes`, `caption`). Gold boxes are in pixels of the original image, whose size is `width` and `height`.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, cast

from harness.errors import ConfigError, did_you_mean
from harness.images.frames import MAX_ASPECT_RATIO
from harness.scoring.box_dialects import declared_dialect
from harness.scoring.gold_boxes import FrameEvidence
from harness.values import (
    FREE_STAGES,
    Box,
    BoxDialect,
    BoxFrame,
    FreeStage,
    PixelLimits,
    Protocol,
    Sample,
    ScoreConfig,
    Size,
    StageFormat,
)
from harness.vocabulary import BOX_FRAMES, STAGE_FORMATS
from tasks.cells import CellError, as_text, parsed_literal
from training.data.example import TRAINING_TASK
from training.data.gold_answers import read_gold_answers
from training.data.gold_boxes import read_gold_boxes
from training.data.row_faults import FaultName
from training.stages.rewards import REWARD_NAMES, SATORI_REWARDS, STAGE_COSTS, RewardName, RewardSet, reward_faults

logger = logging.getLogger(__name__)

_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "answers": ("possible_answers", "answers", "answer", "solution"),
    "boxes": ("bboxs", "boxes", "bboxes"),
    "caption": ("image_caption", "caption"),
}
"""Part to column names, best first."""
_NEEDS_TOKENS: RewardName = "brevity"
"""Cannot be had here: trainers do not hand over a completion's tokens and its budget in one way."""
_TABLES: Mapping[str, tuple[Sequence[str], str, str]] = {
    "weights": (REWARD_NAMES, "reward", "weight"),
    "stage_costs": (FREE_STAGES, "stage", "cost"),
}
"""Options that are tables of numbers: their keys, and what a key and a number are called."""
_FIRST_LOOK_ROWS = 8
"""So many rows with different gold boxes are seen before their frame is doubted: fewer may all be slips."""
_LAST_LOOK_ROWS = 2**14
"""With so many it is doubted for the last time."""


@dataclass(frozen=True, slots=True)
class RewardOptions:
    """How completions are rewarded; what trainers call `reward_kwargs` or take when the rewards are registered."""

    box_frame: BoxFrame | None = None
    """Frame that the model writes boxes in. There is no default: a wrong one makes every box reward near 0."""
    box_dialect: str | None = None
    """How the model writes boxes, in place of `box_frame`: a dialect of its own (any but `satori:...`) is paid for as
    well as the format's list."""
    protocol: Protocol = "strict"
    """`strict` or `paper`."""
    format: StageFormat = "satori"
    """Stages that the model is asked for."""
    weights: Mapping[RewardName, float] = field(default_factory=lambda: dict.fromkeys(SATORI_REWARDS, 1.0))
    """Weight of each reward."""
    stage_costs: Mapping[FreeStage, float] = field(default_factory=lambda: STAGE_COSTS)
    """What the reward `stages` takes off for each stage of `satori-adaptive` that was not left out."""
    min_pixels: int | None = None
    """The trainer's least pixels of an input image; for `input_px` without input sizes in the rows."""
    max_pixels: int | None = None
    """The trainer's most pixels of an input image."""
    factor: int = 28
    """Sides of input images are multiples of this: 28 for Qwen2-VL and Qwen2.5-VL, 32 for Qwen3-VL."""

    @property
    def names(self) -> tuple[RewardName, ...]:
        """The rewards that count."""
        return tuple(name for name, weight in self.weights.items() if weight > 0)

    @property
    def dialect(self) -> BoxDialect | None:
        """The dialect that `box_dialect` or `box_frame` declares; None where neither does."""
        return declared_dialect(self.box_dialect, self.box_frame)

    @property
    def pixel_limits(self) -> PixelLimits | None:
        """The trainer's pixel budget; None where it was not given."""
        if self.min_pixels is None or self.max_pixels is None:
            return None
        return PixelLimits(self.min_pixels, self.max_pixels, self.factor)


def read_options(given: Mapping[str, Any]) -> RewardOptions:
    """Read options out of keyword arguments, among which may be others that are the trainer's own.

    Raises:
        ConfigError: Every wrong value, and every name that is nearly one of ours, together.
    """
    known = [option.name for option in fields(RewardOptions)]
    ours = {name: value for name, value in given.items() if name in known and value is not None}
    faults = [
        f"unknown option {name}.{hint}"
        for name in given
        if name not in known and (hint := did_you_mean(name, known))
    ]  # fmt: skip
    for name in _TABLES:
        if name in ours:
            ours[name], wrong = _numbers_by_name(name, ours[name])
            faults += wrong
    faults += [
        f"{name}: a whole number above 0 is needed, found {ours[name]!r}"
        for name in ("min_pixels", "max_pixels", "factor")
        if name in ours and (isinstance(ours[name], bool) or not isinstance(ours[name], int) or ours[name] < 1)
    ]
    options = RewardOptions(**ours)
    faults = faults or _option_faults(options)
    if faults:
        raise ConfigError("satori-bench rewards: " + "; ".join(faults))
    return options


class RowRewards:
    """The rewards of one set of options."""

    def __init__(self, options: RewardOptions) -> None:
        self.options = options
        config = ScoreConfig(options.protocol, options.format, options.dialect, options.pixel_limits)
        # no budget that a text could spend: only `brevity` looks at tokens, and it is refused
        self._set = RewardSet(options.names, config, most_tokens=sys.maxsize, stage_costs=options.stage_costs)
        self._warned: set[FaultName] = set()
        self._frame = _FrameWatch()

    @cached_property
    def _functions(self) -> Mapping[str, Any]:
        return {function.__name__: function for function in self._set.functions}

    def column(self, name: RewardName, texts: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[float | None]:
        """Return one reward of each completion; None where a row has no gold for it.

        Raises:
            ConfigError: The rows lack a column that the reward needs.
        """
        gold = [self._gold(row) for row in rows]
        columns = {
            "completion_ids": [()] * len(rows),
            "sample": [sample for sample, _ in gold],
            "input_size": [size for _, size in gold],
        }
        return self._functions[name](texts, **columns)

    def scores(self, text: str, row: Mapping[str, Any], total: str) -> dict[str, float]:
        """Return every reward of one completion, NaN where the row has no gold for it, and before them their total.

        The total is the weighted mean of the rewards that apply to the row: in [0, 1] for SATORI's, 0 where none does.

        Raises:
            ConfigError: The row lacks a column that a reward needs.
        """
        texts, weights = [text], self.options.weights
        found: dict[RewardName, float | None] = {
            name: self.column(name, texts, [row])[0] for name in self.options.names
        }
        there = [(weights[name], value) for name, value in found.items() if value is not None]
        whole = math.fsum(weight for weight, _ in there)
        earned = math.fsum(weight * value for weight, value in there)
        each = {name: math.nan if value is None else value for name, value in found.items()}
        return {total: earned / whole if there else 0.0, **cast("dict[str, float]", each)}

    def _gold(self, row: Mapping[str, Any]) -> tuple[Sample, Size | None]:
        """Return the question's gold, as far as it is rewarded, and the size of the image as the model saw it."""
        names = self.options.names
        image_size, input_size = _size(row, "width", "height"), _size(row, "input_width", "input_height")
        sample = Sample(
            id=str(row.get("id") or ""),
            task=TRAINING_TASK,
            answer_rule="accepted",
            answers=self._answers(row) if "answer" in names else None,
            category=str(row.get("kind") or ""),
            boxes_image_px=self._boxes(row, image_size) if "bbox" in names else None,
            caption=self._caption(row) if "caption" in names else None,
            image_size=image_size,
        )
        return sample, input_size

    def _answers(self, row: Mapping[str, Any]) -> tuple[str, ...] | None:
        """Return the accepted answers; None, as a benchmark has it, where the row has none."""
        if not any(name in row for name in _COLUMNS["answers"]):
            raise ConfigError(_missing("accepted answers", _COLUMNS["answers"], row))
        found = read_gold_answers(_cell(row, "answers"))
        if found.fault:
            self._warn("answer", "no_answer", found.fault)
        return found.texts or None

    def _caption(self, row: Mapping[str, Any]) -> str | None:
        """Return the reference caption as a benchmark reads it; a blank one is for the scorer to judge."""
        try:
            return as_text(_cell(row, "caption")) or None
        except CellError as fault:
            self._warn("caption", "empty_caption", str(fault))
            return None

    def _boxes(self, row: Mapping[str, Any], image_size: Size | None) -> tuple[Box, ...] | None:
        """Return gold boxes, uncut; None, with one warning for each kind of fault, where a row's cannot be used."""
        written = _plain(_cell(row, "boxes"))
        if written is None:
            return None
        if "width" not in row or "height" not in row:
            raise ConfigError(_missing("size of the image", ("width", "height"), row))
        dialect = self.options.dialect
        if (
            dialect is not None
            and dialect.unit == "input_px"
            and self.options.pixel_limits is None
            and "input_width" not in row
        ):
            raise ConfigError(
                "satori-bench rewards: boxes in input_px need min_pixels and max_pixels as the trainer resizes with, "
                "or columns input_width and input_height"
            )
        if image_size is None:
            self._warn("box", "size_mismatch", f"width {row['width']!r}, height {row['height']!r}")
            return None
        found = read_gold_boxes(written, image_size, None)
        for finding in found.findings:
            if finding.drops:
                self._warn("box", finding.name, finding.detail)
        self._frame.add(found.written, image_size)
        # as written, since they are pixels: the scorer cuts them at the edges where its protocol does, the paper's not
        return None if found.boxes_image_px is None else found.written

    def _warn(self, stage: str, fault: FaultName, detail: str) -> None:
        """Warn of gold that cannot be used, once for each kind of fault."""
        if fault not in self._warned:
            self._warned.add(fault)
            logger.warning(
                "the %s gold of a row cannot be used (%s: %s): it gets no %s reward, and neither do others like it. "
                "`satori-bench data verify` names the rows",
                stage,
                fault,
                detail,
                stage,
            )


class _FrameWatch:
    """Warns, once, when the gold boxes seen so far seem to be something else than pixels of their images.

    Trainers hand a row over many times: in a group, for each reward, in each epoch. It counts once. Losing a count to
    another thread does no harm.
    """

    def __init__(self) -> None:
        self._evidence = FrameEvidence()
        self._seen: set[int] = set()
        self._next_look = _FIRST_LOOK_ROWS

    def add(self, written: tuple[Box, ...], image_size: Size) -> None:
        """Take the boxes of one row as written, and look at all of them when there are twice as many as last time."""
        row = hash((written, image_size))
        if row in self._seen or self._next_look > _LAST_LOOK_ROWS:
            return
        self._seen.add(row)
        self._evidence.add(written, image_size)
        if self._evidence.rows < self._next_look:
            return
        self._next_look *= 2
        found = self._evidence.suspicion()
        if found is not None:
            self._next_look = _LAST_LOOK_ROWS + 1
            logger.warning(
                "the gold boxes look like %s (%s), and are taken for pixels of the original image: %s. If so, box "
                "rewards teach the wrong place: write them as pixels. `satori-bench data verify` looks at all rows",
                found.reading,
                found.meaning,
                found.why,
            )


_MADE: dict[str, RowRewards] = {}
"""Rewards by the options that they were made with."""


def rewards_for(given: Mapping[str, Any]) -> RowRewards:
    """Return the rewards for keyword arguments, made once for the same ones: trainers give them with each call.

    Raises:
        ConfigError: An option is wrong.
    """
    names = {option.name for option in fields(RewardOptions)}
    # the trainer's own arguments stay out of the key, but a slip among them has to be seen
    key = repr(sorted((name, str(value) if name in names else "") for name, value in given.items()))
    if key not in _MADE:
        _MADE[key] = RowRewards(read_options(given))
    return _MADE[key]


def rows_of(columns: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """Turn columns, as ms-swift and TRL hand them over, into rows; what is no column of this length is left out."""
    whole = {
        name: values for name, values in columns.items() if isinstance(values, list | tuple) and len(values) == count
    }
    return [{name: values[place] for name, values in whole.items()} for place in range(count)]


def row_of_gold(gold: Any, further: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the row that a ground truth stands for: columns as a mapping or as text, or the answer alone.

    Args:
        gold: What the trainer calls ground truth.
        further: Columns beside it, such as verl's `extra_info`. Those of the ground truth win, under whatever name: one
            that gives the answer as `solution` is not asked for the `answer` beside it. An empty cell gives nothing.
    """
    columns = _columns_of(gold)
    said = [names for names in _COLUMNS.values() if any(_is_present(columns.get(name)) for name in names)]
    beside = {name: value for name, value in (further or {}).items() if not any(name in names for names in said)}
    return beside | {name: value for name, value in columns.items() if _is_present(value) or name not in beside}


def _columns_of(gold: Any) -> Mapping[str, Any]:
    """Return the columns that a ground truth is, or holds as JSON or Python text; what is none of these is answers."""
    written = gold
    if isinstance(gold, str) and gold.lstrip().startswith("{"):
        try:
            written = parsed_literal(gold)
        except CellError:  # `read_gold_answers` names it
            written = None
    return cast("Mapping[str, Any]", written) if isinstance(written, Mapping) else {_COLUMNS["answers"][0]: gold}


def _numbers_by_name(option: str, given: Any) -> tuple[dict[Any, float], list[str]]:
    """Return an option that is a table of numbers as one of ours, with what is wrong with it."""
    known, key, number_of = _TABLES[option]
    if not isinstance(given, Mapping):
        return {}, [f"{option}: a table of {key} to {number_of} is needed, found {given!r}"]
    table = cast("Mapping[Any, Any]", given)
    faults = [
        f"{option}.{name}: unknown {key}.{did_you_mean(str(name), list(known))}" for name in table if name not in known
    ]
    faults += [
        f"{option}.{name}: a number from 0 on is needed, found {number!r}"
        for name, number in table.items()
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < math.inf
    ]
    return dict(table), faults


def _dialect_fault(options: RewardOptions) -> str | None:
    """Return what is wrong with the declared dialect."""
    try:
        _ = options.dialect
    except ConfigError as fault:
        return str(fault)
    return None


def _option_faults(options: RewardOptions) -> list[str]:
    """Return what is wrong with options taken together."""
    if options.format not in STAGE_FORMATS:
        return [f"format: one of {', '.join(STAGE_FORMATS)} is needed, found {options.format!r}"]
    faults = reward_faults(options.names, options.format, options.protocol)
    if _NEEDS_TOKENS in options.names:
        faults.append(f"weights: {_NEEDS_TOKENS} needs the tokens of a completion, which only `satori-bench train` has")
    if options.box_frame is not None and options.box_frame not in BOX_FRAMES:
        faults.append(f"box_frame: one of {', '.join(BOX_FRAMES)} is needed, found {options.box_frame!r}")
    elif (wrong := _dialect_fault(options)) is not None:
        faults.append(wrong)
    if options.box_frame is None and options.box_dialect is None and "bbox" in options.names:
        faults.append(
            f"box_frame is missing: say in which of {', '.join(BOX_FRAMES)} the model writes its boxes (Qwen2.5-VL: "
            "input_px; Qwen2-VL, Qwen3-VL and InternVL: norm_1000)"
        )
    if (options.min_pixels is None) != (options.max_pixels is None):
        faults.append("min_pixels and max_pixels: give both or neither")
    elif options.pixel_limits is not None and options.pixel_limits.min_pixels > options.pixel_limits.max_pixels:
        faults.append(f"min_pixels {options.min_pixels} is more than max_pixels {options.max_pixels}")
    return faults


def _cell(row: Mapping[str, Any], part: str) -> Any:
    """Return the first present cell of a part; None where there is none."""
    return next((row[name] for name in _COLUMNS[part] if _is_present(row.get(name))), None)


def _is_present(value: Any) -> bool:
    """Return whether a cell holds anything: parquet fills a struct's missing fields with None, tables with NaN."""
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _plain(value: Any) -> Any:
    """Return arrays, as parquet readers give them, as lists, the inner ones too."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return [_plain(item) for item in cast("Sequence[Any]", value)] if isinstance(value, list | tuple) else value


def _size(row: Mapping[str, Any], width: str, height: str) -> Size | None:
    """Return a size that two columns give; None where they do not."""
    sides = [_plain(row.get(name)) for name in (width, height)]
    if any(isinstance(side, bool) or not isinstance(side, int | float) or not 0 < side < math.inf for side in sides):
        return None
    size = Size(int(sides[0]), int(sides[1]))
    thin = max(size.width, size.height) > MAX_ASPECT_RATIO * max(1, min(size.width, size.height))
    return None if thin or 0 in (size.width, size.height) else size


def _missing(what: str, names: Sequence[str], row: Mapping[str, Any]) -> str:
    """Say which column is missing."""
    columns = ", ".join(ascii(name)[1:-1][:40] for name in list(row)[:12]) or "none"
    return f"satori-bench rewards: a row has no {what} (column {' or '.join(names)}); found columns {columns}"
