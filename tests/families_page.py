"""Writes docs/families.md from the tables of dialects, of pixel limits and of the tiny checkpoints that tests build.

python tests/families_page.py
"""

from __future__ import annotations

from pathlib import Path

from harness.models.pixel_limits import GRIDS, OWN
from harness.scoring.box_dialects import DIALECT, dialect_words

PAGE = Path(__file__).parents[1] / "docs" / "families.md"
_HEAD = """# Model families

What is known of each family of checkpoints, by the `model_type` of its configuration. The page is written by
`python tests/families_page.py` from the tables in the code. Families that stand in no table load all the same where
transformers has them as image-text-to-text models: their boxes stay unscored until `--box-dialect` is given.

- **Boxes**: how the family was trained to write them, as `--box-dialect` takes it (syntax, order, unit). "only by
  name":
  read so where `--box-dialect` names the family, not unasked. "not established": no source says it.
- **Input size**: whether the size of the picture that the model saw is recorded, which boxes in `input_px` need. It is
  not where a processor cuts tiles, crops, or fills a picture up to its grid.
- **Rows**: `refilled`: a row that ends makes room for the next question. `in batches`: answers wait for the longest of
  their batch, as the family has another memory than a plain cache of keys and values. `run` says so.
- **Tried**: `run`: a tiny checkpoint of random weights, built from configuration, answers eight questions of the Shapes
  benchmark in the tests, with this dialect and this input size. `loaded`: one question. Nothing was trained, so what a
  family writes follows from the source.

| `model_type` | Boxes | Source | Input size | Rows | Tried |
|---|---|---|---|---|---|
"""
_LIMITS = """
## Pixel limits

`--min-pixels` and `--max-pixels` work for these image processors. Those with a grid resize as Qwen2-VL's does: pictures
are brought to the grid first, so a server sees the same pixels. The others resize by their own rule, and the setting of
their file is changed. Any other family refuses the options.

| Image processor | Limits are | Least and most of its own |
|---|---|---|
"""
_OUTSIDE = """
## What does not load by itself

- **Code of its own** (`auto_map` in a configuration: MiniCPM-V 4.5, Kimi-VL, DeepSeek-VL2, Ovis2.5, Molmo...): the
  transformers conversion of the model, a server (`--backend openai`), or `--trust-remote-code` once you have read that
  code. The manifest's `arguments` keep that it was given, and the configuration's hash covers its Python files.
- **No chat template** (Florence-2, Kosmos-2, Fuyu, PaliGemma, BLIP, GIT, Pix2Struct): they were never trained to chat.
  `--chat-template FILE` takes a Jinja template that writes the family's own task prompt; the processor puts the picture
  in front of it.
- **A package that only one family needs**: SmolVLM's num2words, Gemma 3n's and PerceptionLM's timm; the message has the
  command.
- **Served models**: vLLM and SGLang leave special tokens out of what they reply, with which families mark boxes
  (`<|box_start|>`, `<box>`, `<loc_12>`). Servers that tell in their list of models that they are one of these are sent
  `skip_special_tokens: false` with each request, as checkpoints that are loaded here keep such tokens always; one that
  refuses the field is asked without it, which is said and kept in the manifest. Behind a router that hides what it is,
  ask with `--extra-body '{"skip_special_tokens": false}'`.
"""


def page() -> str:
    """Return the page."""
    from tiny_families import FAMILIES, IN_BATCHES, LOADED_ALONE, SIZE_KNOWN

    rows: list[str] = []
    for name in sorted({*FAMILIES, *DIALECT}):
        known = DIALECT.get(name)
        written = "not established"
        if known is not None:
            written = f"`{dialect_words(known.dialect)}`" + ("" if known.is_established else ", only by name")
        size = "not tried" if name not in FAMILIES else "recorded" if name in SIZE_KNOWN else "not told"
        refilled = "" if name not in FAMILIES else "in batches" if name in IN_BATCHES else "refilled"
        tried = "" if name not in FAMILIES else "loaded" if name in LOADED_ALONE else "`run`"
        source = known.source if known is not None else ""
        rows.append(f"| `{name}` | {written} | {source} | {size} | {refilled} | {tried} |")
    limits = [
        f"| `{name}` | of a grid, multiples of {grid.patch_px * grid.merge} | {grid.min_pixels} to {grid.max_pixels} |"
        for name, grid in GRIDS.items()
    ]
    limits += [
        f"| `{name}` | its own, told by {' and '.join(f'`{setting}`' for setting in (own.lower, own.upper) if setting)} "  # noqa: E501 - a row
        "| |"
        for name, own in OWN.items()
    ]
    return _HEAD + "\n".join(rows) + "\n" + _LIMITS + "\n".join(limits) + "\n" + _OUTSIDE


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
