"""`score` and `rescore`: scores without a model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import ExitCode
from harness.garbage import rare_collections
from harness.vocabulary import BOX_FRAMES, PROTOCOLS, BoxFrame
from reports.terminal.printing import say
from satori_bench.options import (
    ProtocolName,
    box_dialect_option,
    boxes_option,
    json_option,
    lookup_option,
    page_option,
    score_config,
    score_options,
)
from satori_bench.showing import show_reasons, show_scores, warn
from satori_bench.surroundings import write_page
from satori_bench.verb import Verb

if TYPE_CHECKING:
    from harness.evaluation.predictions_file import ScoredFile
    from harness.evaluation.side_boxes import SideTally


@click.command(cls=Verb)
@click.argument("file", type=click.Path(path_type=Path))
@score_options
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the scored lines here.")
@click.option("--run", "run_root", type=click.Path(file_okay=False, path_type=Path), help="Also make a run folder.")
@click.option(
    "--name", help="Name of the model or system, and so of the run that --run makes; default: the file's name."
)
@boxes_option
@page_option
@json_option
def score(
    file: Path,
    output: Path | None,
    run_root: Path | None,
    name: str | None,
    boxes: Path | None,
    page: bool,
    as_json: bool,
    **how: Any,
) -> int:
    """Score a predictions file (JSON lines) without a model."""
    from datetime import UTC, datetime

    from harness.evaluation.predictions_file import bad_row_lines, file_shape, score_file
    from harness.evaluation.rescore import PredictionSource, file_sha256, save_predictions_run
    from harness.evaluation.side_boxes import SideTally, read_side_boxes
    from harness.values import SATORI_LIST
    from tasks.run_spec import package_versions

    config = score_config(**how)
    source = PredictionSource(name or file.stem, file_sha256(file), package_versions())
    lines_to = output if output is not None or as_json else Path("-")
    gold = None if boxes is None else SideTally(read_side_boxes(boxes))
    scored = score_file(file, config, lines_to, None if gold is None else gold.with_boxes)
    for line in bad_row_lines(scored.bad_rows):
        say(line, sys.stderr)
    if scored.nothing_scored and not scored.wants_no_score:
        found = (scored.rows and file_shape(file)) or scored.why_nothing_scored
        say(f"error: no row of {file} can be scored: {found}", sys.stderr)
        return ExitCode.INCOMPLETE
    if gold is not None:
        _show_gold(gold, scored)
    if scored.repeated:
        say(f"{scored.repeated} rows repeat a task and id; only the first of each counts in a mean", sys.stderr)
    show_reasons(scored.summary.tasks)
    if scored.no_answer_scored and not scored.wants_no_score:
        say(f"no answer can be scored: {scored.why_nothing_scored}", sys.stderr)
    folder = None
    if run_root is not None:
        folder, _ = save_predictions_run(run_root, scored.rows, config, source, now=datetime.now(UTC), gold=gold)
        if page:
            write_page(folder)
    show_scores(scored.summary, title=str(file), as_json=as_json, run=folder, table_to_stdout=output is not None)
    undeclared = how["box_frame"] is None and how["box_dialect"] is None and config.box_dialect == SATORI_LIST
    if undeclared and config.protocol != "paper" and scored.reads_boxes:
        say("boxes are read as image_px, pixels of the original image; --box-dialect says otherwise", sys.stderr)
    warn(scored.summary)
    return ExitCode.OK


def _show_gold(gold: SideTally, scored: ScoredFile) -> None:
    """Say what became of the lines of --boxes, or refuse a file that is about other samples."""
    from harness.evaluation.side_boxes import check_tasks

    samples = [row.prediction.sample for row in scored.rows if row.prediction is not None]
    check_tasks(gold.side, {sample.task for sample in samples})
    gold.check_any([f"{sample.task} {sample.id}" for sample in samples])
    gold.close()
    for line in gold.messages():
        say(line, sys.stderr)


@click.command(cls=Verb)
@click.argument("run_name", metavar="RUN")
@click.option("--protocol", type=ProtocolName(PROTOCOLS), help="Default: the run's own.")
@box_dialect_option
@click.option("--box-frame", type=click.Choice(BOX_FRAMES), help="Short for the format's list in this frame.")
@boxes_option
@page_option
@lookup_option
@json_option
@rare_collections()
def rescore(
    run_name: str,
    protocol: str | None,
    box_dialect: str | None,
    box_frame: BoxFrame | None,
    boxes: Path | None,
    page: bool,
    out: Path,
    as_json: bool,
) -> int:
    """Score a run's stored raw texts again, beside the old scores."""
    from harness.evaluation.rescore import rescore_run, side_tally
    from harness.evaluation.side_boxes import read_side_boxes
    from harness.runs.lookup import find_run
    from harness.runs.store import load_run
    from harness.scoring.box_dialects import declared_dialect
    from harness.scoring.formats import format_dialect

    run_folder = find_run(run_name, out)
    stored = load_run(run_folder)
    dialect = format_dialect(stored.manifest.format) if box_dialect == "auto" and box_frame is None else None
    dialect = dialect or declared_dialect(box_dialect, box_frame, stored.manifest.model_type)
    gold = None if boxes is None else side_tally(stored, read_side_boxes(boxes))
    for line in gold.messages() if gold is not None else ():
        say(line, sys.stderr)
    summary = rescore_run(stored, protocol or stored.manifest.protocol, box_dialect=dialect, gold=gold)  # type: ignore[arg-type]  # click.Choice has checked it
    show_reasons(summary.tasks)
    show_scores(summary, title=str(run_folder), as_json=as_json, run=None, table_to_stdout=True)
    warn(summary)
    if page:
        write_page(run_folder)
    return ExitCode.OK
