"""Read a benchmark of one's own: an lmms-eval YAML with a `satori` section.

```yaml
task: my_task
dataset_path: someone/my-data      # a hub dataset; or leave it out and name a file below
dataset_name: default              # optional: its configuration
test_split: test
satori:                            # or under `metadata:`, which plain lmms-eval accepts too
  answer_rule: choice              # one of `harness.vocabulary.AnswerRule`
  data: rows.parquet               # parquet or TSV file, relative to this file; instead of dataset_path
  columns: {id: pid, question: text, image: picture, answers: gold, choices: options}
  gold_box_frame: norm_1           # what the numbers of the gold boxes are; left out: pixels of the upright image
  several_images: true             # a row may show several pictures; left out: each shows one
generation_kwargs: {max_new_tokens: 1024}
```

`columns` maps parts to column names; a part that is not named is looked for under its own name. Needed: `question`,
`image`, `answers` (for `box` and `point` `boxes` instead). Optional: `id` (else the row number), `choices` (list or
object; or columns A, B, C...; where nobody names it and the table has none of these, a column `options` of two or
more), `category`, `boxes` (list of [x1, y1, x2, y2] in pixels of the upright image, or as `gold_box_frame` says:
image_px, norm_1, norm_1000, percent, input_px for pixels of an image of the row's columns width and height, or, in
pixels, xywh for left, top, width, height and yxyx for y before x), `caption`. An image is bytes, base64 text, a path
beside the data file, or a list of one of these; where there is no column `image` and no other is named, `images` and
`image_path` are looked for.

With `several_images` a row's pictures are a list in its column, or stand in columns `image_1`, `image_2`... (of the
name that `image` has in `columns`). A text names them as `<image 1>`, where each then stands; without such a mark they
stand before the text. A box does not say which of several pictures it lies in: none is scored there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast, get_args

from harness.errors import ConfigError, did_you_mean
from harness.values import AnswerRule
from harness.vocabulary import GOLD_FRAMES, PLACE_RULES, GoldFrame
from tasks.benchmark import LOCAL_BUILDERS, Benchmark, OwnTask
from tasks.grounded import Layout, adapter_for

PARTS = ("id", "question", "image", "answers", "choices", "category", "boxes", "caption")
"""What a column can be."""
_OTHER_NAMES = {
    "options": "choices", "answer": "answers", "gold": "answers", "bbox": "boxes", "bboxes": "boxes",
    "images": "image", "img": "image", "picture": "image", "prompt": "question", "type": "category", "index": "id",
}  # fmt: skip
"""What other programs call a part."""
NEEDED_PARTS = ("question", "image", "answers")
"""Without these a row cannot be asked or scored."""
PLACE_PARTS = ("question", "image", "boxes")
"""The same where the place is the answer (`box`, `point`)."""

_SECTION_FIELDS = ("answer_rule", "columns", "data", "gold_box_frame", "several_images", "title")
_RULES: tuple[str, ...] = tuple(rule for rule in get_args(AnswerRule) if rule != "native")
_NAME = re.compile(r"[A-Za-z0-9_.+-]+")


def load_own_task(path: Path) -> Benchmark:
    """Read a YAML file of one's own.

    Raises:
        ConfigError: The file cannot be read or says something wrong; all faults are reported together, by field.
    """
    config = read_yaml(path)
    section = satori_section(config)
    columns = _mapping(section.get("columns"))
    data = section.get("data")
    data_file = (path.parent / str(data)).resolve() if data else None
    faults = [*_task_faults(config, section), *_column_faults(section), *_data_faults(config, data, data_file)]
    if faults:
        raise ConfigError(f"{path}: " + "; ".join(faults))
    name = str(config["task"])
    parts = {part: columns.get(part, part) for part in PARTS}
    rule = cast("AnswerRule", section["answer_rule"])
    needed = tuple(parts[part] for part in (PLACE_PARTS if rule in PLACE_RULES else NEEDED_PARTS))
    frame = cast("GoldFrame | None", section.get("gold_box_frame"))
    several = section.get("several_images") is True
    layout = Layout(parts, frame, names_choices="choices" in columns, several_images=several)
    adapter = adapter_for(name, rule, layout)
    if several:  # which may stand in numbered columns alone
        needed = tuple(column for column in needed if column != parts["image"])
    return Benchmark(
        name=name,
        title=str(section.get("title") or config.get("task_alias") or name),
        answer_rule=rule,
        adapter=adapter,
        hub_path="" if data_file else str(config["dataset_path"]),
        hub_config=None if config.get("dataset_name") is None else str(config["dataset_name"]),
        hub_split=str(config.get("test_split") or config.get("validation_split") or "test"),
        hub_columns=needed,
        tsv_columns=needed,
        image_columns=adapter.image_columns,
        optional_columns=tuple(column for part, column in parts.items() if part in columns and column not in needed),
        max_new_tokens=int(_mapping(config.get("generation_kwargs")).get("max_new_tokens", 2048)),
        boxes_column=parts["boxes"],
        gold_box_frame=frame,
        own=OwnTask(
            yaml_path=path.resolve(),
            columns=parts,
            data_file=data_file,
        ),
    )


def read_yaml(path: Path) -> Mapping[str, Any]:
    """Parse the YAML without running its `!function` references, which belong to lmms-eval."""
    import yaml  # noqa: PLC0415 - only a task of one's own needs it

    class Loader(yaml.SafeLoader):
        """A safe loader that reads `!function name` as the name."""

    def name_of(loader: Any, node: Any) -> Any:
        return loader.construct_scalar(node)

    Loader.add_constructor("!function", name_of)
    try:
        with path.open(encoding="utf-8") as stream:
            config = yaml.load(stream, Loader=Loader)  # noqa: S506 - Loader is a SafeLoader
    except FileNotFoundError as fault:
        raise ConfigError(f"{path}: there is no such file. --tasks takes task names, groups and YAML files.") from fault
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as fault:
        raise ConfigError(f"{path}: cannot be read as YAML: {fault}") from fault
    if not isinstance(config, dict):
        raise ConfigError(f"{path}: a task file holds a mapping of fields, found {type(config).__name__}")
    return cast("Mapping[str, Any]", config)


def satori_section(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the `satori` section, from the top or from `metadata`."""
    return _mapping(config.get("satori")) or _mapping(_mapping(config.get("metadata")).get("satori"))


def _mapping(value: object) -> Mapping[str, Any]:
    """Return a mapping, or an empty one for anything else (the fault is named elsewhere)."""
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _task_faults(config: Mapping[str, Any], section: Mapping[str, Any]) -> list[str]:
    """Name what is wrong with the name, the section and the budget."""
    faults: list[str] = []
    name = config.get("task")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        faults.append(f"task: a name of letters, digits, '_', '.', '+' or '-' is needed, found {name!r}")
    if not section:
        return [*faults, "satori: the section is missing (it needs at least answer_rule)"]
    rule = section.get("answer_rule")
    if rule not in _RULES:
        near = did_you_mean(str(rule), list(_RULES))
        faults.append(f"satori.answer_rule: one of {', '.join(_RULES)} is needed, found {rule!r}.{near}".rstrip("."))
    frame = section.get("gold_box_frame")
    if frame is not None and frame not in GOLD_FRAMES:
        near = did_you_mean(str(frame), list(GOLD_FRAMES))
        faults.append(
            f"satori.gold_box_frame: one of {', '.join(GOLD_FRAMES)} is needed, found {frame!r}.{near}".rstrip(".")
        )
    faults.extend(
        f"satori.{field}: unknown field.{did_you_mean(str(field), list(_SECTION_FIELDS))}".rstrip(".")
        for field in section
        if field not in _SECTION_FIELDS
    )
    if not isinstance(section.get("several_images", False), bool):
        faults.append(f"satori.several_images: true or false is needed, found {section['several_images']!r}")
    budget = _mapping(config.get("generation_kwargs")).get("max_new_tokens", 2048)
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
        faults.append(f"generation_kwargs.max_new_tokens: a whole number above 0 is needed, found {budget!r}")
    return faults


def _column_faults(section: Mapping[str, Any]) -> list[str]:
    """Name what is wrong with the columns."""
    columns = section.get("columns")
    if columns is not None and not isinstance(columns, dict):
        return [f"satori.columns: a mapping of part to column name is needed, found {type(columns).__name__}"]
    faults: list[str] = []
    for part, column in _mapping(columns).items():
        if part not in PARTS:
            meant = _OTHER_NAMES.get(str(part))
            hint = f" It is called {meant!r} here." if meant else did_you_mean(str(part), list(PARTS))
            faults.append(f"satori.columns.{part}: unknown part.{hint}".rstrip("."))
        elif not isinstance(column, str) or not column:
            faults.append(f"satori.columns.{part}: a column name is needed, found {column!r}")
    return faults


def _data_faults(config: Mapping[str, Any], data: object, data_file: Path | None) -> list[str]:
    """Name what is wrong with where the rows come from."""
    if data_file is None:
        hub = config.get("dataset_path")
        if isinstance(hub, str) and hub and hub not in LOCAL_BUILDERS:
            return []
        return ["satori.data: a parquet or TSV file is needed here, or a hub dataset as dataset_path"]
    if data_file.suffix not in {".parquet", ".tsv"}:
        return [f"satori.data: a .parquet or .tsv file is needed, found {data!r}"]
    return [] if data_file.is_file() else [f"satori.data: there is no file {data_file}"]
