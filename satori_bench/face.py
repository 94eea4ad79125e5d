"""What `import satori_bench as sb` offers a notebook: thin views of the values behind the command, as pandas frames.

Everything is read, scored, compared and judged by the same functions as the command's; nothing here computes a number.
Texts in the frames are a model's: untrusted. pandas escapes them where it draws a table.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from satori_bench.shadows import shadow_fault

if fault := shadow_fault("harness", "tasks", "reports"):
    raise ImportError(fault)

from harness.comparison.compare import compare_runs, open_sides
from harness.comparison.values import DIRECTIONS, Comparison, ScoreRow
from harness.errors import ConfigError, ExitCode, did_you_mean
from harness.evaluation.parity import NO_RULE, run_parity
from harness.evaluation.predictions import score_lines
from harness.evaluation.rescore import rescore_run
from harness.gate.policy import GatePolicy, read_policy
from harness.gate.verdict import Verdict, judge
from harness.runs.lookup import RUNS, find_scores
from harness.runs.record_table import read_columns, table_columns
from harness.runs.store import PARQUET_NAME, StoredRun, list_runs, rescored_name
from harness.runs.store import load_run as open_stored
from harness.scoring.box_dialects import declared_dialect
from harness.scoring.formats import check_protocol, format_dialect, format_name
from harness.scoring.own_format import format_given
from harness.scoring.protocols import protocol_named
from harness.summary.means import null_metric
from harness.values import SATORI_LIST, BoxFrame, Protocol, ScoreConfig

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

_JSON_COLUMNS = ("choices", "extra")
_STRUCTS = ("components", "match", "kept")


def _pandas() -> Any:
    """Return pandas, which only notebooks need."""
    try:
        import pandas as pd
    except ImportError as missing:
        raise ConfigError(
            "tables in a notebook need pandas, which is not installed. Mend: pip install 'satori-bench[notebook]'"
        ) from missing
    return pd


@dataclass(frozen=True, repr=False)
class Run:
    """A finished run, with its first scores or those of a later rescore."""

    stored: StoredRun
    """The run on disk."""
    protocol: Protocol
    """Whose rules gave the scores that are shown."""

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.stored.path

    @property
    def scores(self) -> pd.DataFrame:
        """Metrics of `scores.json`, a row each, by task and metric, with n, interval and whether it is the headline."""
        tasks = cast("Mapping[str, Any]", self._scores_json()["tasks"])
        rows = [
            {"task": task, "metric": name, "headline": name == found["headline"], **metric}
            for task, found in tasks.items()
            for name, metric in found["metrics"].items()
        ]
        frame = _pandas().DataFrame(rows, columns=None if rows else ["task", "metric", "headline", "value"])
        return frame.set_index(["task", "metric"])

    def samples(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return `samples.parquet`, a row a sample: its texts, scores, boxes and costs.

        Components, box matches and kept stages are columns of their own, such as `components.bbox`; with a rescore the
        columns of scores are its.

        Args:
            columns: Which columns of the file; None for all.

        Raises:
            ConfigError: There is no such column.
            DamagedRunError: The file is not what was published.
        """
        frame = self._table(PARQUET_NAME, columns)
        if not self._is_first:
            again = self._table(rescored_name("samples", self.protocol, "parquet"), None)
            for name in again.columns:  # the same samples in the same order: the store refuses anything else
                if name in frame.columns:
                    frame[name] = again[name]
        for name in _JSON_COLUMNS:
            if name in frame.columns:
                frame[name] = frame[name].map(json.loads, na_action="ignore")
        for name in _STRUCTS:
            if name in frame.columns:
                parts = _pandas().DataFrame([part or {} for part in frame.pop(name)], index=frame.index)
                frame = frame.join(parts.add_prefix(f"{name}."))
        return frame

    def rescore(self, protocol: Protocol, *, box_frame: BoxFrame | None = None, box_dialect: str | None = None) -> Run:
        """Score the run's texts again, beside the old scores, and return the run with the new ones.

        Raises:
            IncompleteError: The run is not finished.
        """
        dialect = declared_dialect(box_dialect, box_frame, self.stored.manifest.model_type)
        protocol = protocol_named(protocol)
        rescore_run(self.stored, protocol, box_dialect=dialect)
        return Run(open_stored(self.path), protocol)

    def parity(self, protocols: Sequence[str] | None = None) -> pd.DataFrame:
        """Score the run's texts under several protocols, in memory: a row for each benchmark and protocol.

        Columns are `metric` (the headline), `value`, `ci_low`, `ci_high`, `n`, `alike` (share of samples scored as
        under the first of the protocols) and `reason` where there is no score.

        Args:
            protocols: At least two; None for all that can read the run's format.

        Raises:
            ConfigError: There are fewer, or one is none.
        """
        names: list[Protocol] | None = None if protocols is None else [protocol_named(name) for name in protocols]
        found = run_parity(self.stored, names, shown_samples=0)
        rows: list[dict[str, Any]] = []
        for task in found.tasks:
            first = found.protocols[0]
            alike = {first: 1.0, **{pair.b: pair.share for pair in task.agreements if pair.a == first}}
            for protocol, summary in task.scores.items():
                shown = null_metric(NO_RULE) if summary is None else summary.shown
                rows.append(
                    {
                        "task": task.task,
                        "protocol": found.versions[protocol],
                        "metric": None if summary is None else summary.headline,
                        **asdict(shown),
                        "alike": None if summary is None else alike.get(protocol),
                    }
                )
        return _pandas().DataFrame(rows).set_index(["task", "protocol"])

    @property
    def _is_first(self) -> bool:
        return self.protocol == self.stored.manifest.protocol and self.protocol not in self.stored.rescored

    def _scores_json(self) -> Mapping[str, Any]:
        found = self.stored.scores if self._is_first else self.stored.rescored[self.protocol]
        if found is None:
            raise ConfigError(f"{self.path} is not finished, so it has no scores; the command that began it goes on")
        return found

    def _table(self, name: str, columns: Sequence[str] | None) -> pd.DataFrame:
        with self.stored.files.open(name) as file:
            known = table_columns(file)
            file.seek(0)
            missing = [column for column in columns or () if column not in known]
            if missing:
                hint = did_you_mean(missing[0], known)
                raise ConfigError(f"there is no column {missing[0]!r} in {name}.{hint} It has {', '.join(known)}")
            return read_columns(file, columns or known).to_pandas()

    def _repr_html_(self) -> str:
        manifest = self.stored.manifest
        about = f"{manifest.model} · format {format_name(manifest.format)} · protocol {self.protocol}"
        return f"<p>{escape(about)}</p>{self.scores.to_html()}"

    def __repr__(self) -> str:
        return f"<run {str(self.path)!r}, protocol {self.protocol}>"


@dataclass(frozen=True, repr=False)
class Compared:
    """Runs beside each other, the first being the baseline."""

    comparison: Comparison
    """All that the pages and the gate read."""

    @property
    def table(self) -> pd.DataFrame:
        """Every headline, metric and category of every pair, a row each; what cannot be subtracted says why."""
        return _pandas().DataFrame(
            [
                self._row(pair.b, row, kind)
                for pair in self.comparison.pairs
                for benchmark in pair.benchmarks
                for kind, rows in (
                    ("headline", (benchmark.headline,)),
                    ("metric", benchmark.metrics),
                    ("category", benchmark.categories),
                    ("l2_category", benchmark.l2_categories),
                )
                for row in rows
            ]
        )

    def flips(self, side: str | None = None) -> pd.DataFrame:
        """Return the samples whose answer changed, what changed most first.

        Args:
            side: Label of a compared side; None for all.
        """
        frames: list[dict[str, object]] = []
        for pair in self.comparison.pairs:
            label, table = self.comparison.sides[pair.b].label, pair.samples
            if side not in (None, label):
                continue
            (before, after) = (table.a.values, table.b.values)  # noqa: PD011 - our table, no frame
            frames += [
                {
                    "side": label,
                    "task": table.task_names[table.tasks[place]],
                    "id": table.ids[place],
                    "category": table.category_names[table.categories[place]],
                    "a": before[place],
                    "b": after[place],
                    "change": after[place] - before[place],
                    "iou_a": table.a.ious[place],
                    "iou_b": table.b.ious[place],
                }
                for place in range(len(table))
                if DIRECTIONS[table.directions[place]] in ("lost", "gained")
            ]
        columns = ["side", "task", "id", "category", "a", "b", "change", "iou_a", "iou_b"]
        frame = _pandas().DataFrame(frames, columns=columns)
        return frame.sort_values("change", key=abs, ascending=False, kind="stable", ignore_index=True)

    def plot(self) -> alt.LayerChart:
        """Draw the headlines' changes with their intervals (Altair)."""
        import altair as alt

        rows = [
            {"task": row["task"], "side": row["side"], **{end: row[end] for end in ("delta", "ci_low", "ci_high")}}
            for row in self.table.to_dict("records")
            if row["kind"] == "headline" and row["delta"] == row["delta"]
        ]
        base = alt.Chart(alt.Data(values=rows)).encode(y=alt.Y("task:N", title=None), color="side:N")
        span = base.mark_rule().encode(x=alt.X("ci_low:Q", title="change, 95 % interval"), x2="ci_high:Q")
        zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(strokeDash=[4, 4]).encode(x="zero:Q")
        return cast("alt.LayerChart", zero + span + base.mark_point(filled=True).encode(x="delta:Q"))

    def page(self, path: str | Path) -> Path:
        """Write the comparison as one HTML page and return its path."""
        from reports.pages.comparison_page import write_comparison_page

        return write_comparison_page(self.comparison, Path(path))

    def _row(self, place: int, row: ScoreRow, kind: str) -> dict[str, object]:
        found = row.difference
        numbers = ("delta", "ci_low", "ci_high", "p", "n", "clusters", "mde")
        return {
            "side": self.comparison.sides[place].label,
            "kind": kind,
            "task": row.task,
            "category": row.category,
            "metric": row.metric,
            "a": row.a.value,
            "b": row.b.value,
            **{name: None if found is None else getattr(found, name) for name in numbers},
            "p_holm": row.holm_p,
            "reason": row.reason,
        }

    def _repr_html_(self) -> str:
        table = self.table
        return cast("str", table[table.kind == "headline"].to_html(index=False))

    def __repr__(self) -> str:
        return f"<comparison of {', '.join(side.label for side in self.comparison.sides)}>"


@dataclass(frozen=True, repr=False)
class Judged:
    """A candidate held to a baseline."""

    verdict: Verdict
    """What the gate found."""

    @property
    def passed(self) -> bool:
        """Whether the gate would leave with 0."""
        return self.verdict.exit_code is ExitCode.OK

    @property
    def table(self) -> pd.DataFrame:
        """A row a benchmark: its state and why."""
        rows = [
            {"task": one.task, "state": one.state, "p_holm": one.p_holm, "reason": one.reason}
            for one in self.verdict.benchmarks
        ]
        return _pandas().DataFrame(rows, columns=["task", "state", "p_holm", "reason"])

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.verdict.sentence)}</p>{self.table.to_html(index=False)}"

    def __repr__(self) -> str:
        return f"<verdict: {self.verdict.sentence}>"


def load_run(name: str | Path, folder: str | Path = RUNS) -> Run:
    """Open a run by path, name, its unique beginning or `latest`; `NAME@PROTOCOL` takes its later scores.

    Raises:
        ConfigError: No run is meant, or several.
        UserError: It is no run, or damaged.
    """
    path, protocol = find_scores(str(name), Path(folder))
    stored = open_stored(path)
    if protocol is not None and protocol != stored.manifest.protocol and protocol not in stored.rescored:
        raise ConfigError(f"{path} has no scores under {protocol}; load_run(...).rescore({protocol!r}) makes them")
    return Run(stored, protocol or stored.manifest.protocol)


def runs(folder: str | Path = RUNS) -> pd.DataFrame:
    """List the runs of a folder, a row each, in the order of the command `runs list`."""
    rows = [
        {
            "run": str(info.path),
            "state": info.state,
            "model": None if info.manifest is None else info.manifest.model,
            "format": None if info.manifest is None else format_name(info.manifest.format),
            "protocol": None if info.manifest is None else info.manifest.protocol,
            "tasks": None if info.manifest is None else list(info.manifest.tasks),
        }
        for info in list_runs(Path(folder))
    ]
    return _pandas().DataFrame(rows, columns=["run", "state", "model", "format", "protocol", "tasks"])


def compare(*names: str | Path | Run, folder: str | Path = RUNS, seed: int = 0, on_shared: bool = False) -> Compared:
    """Compare runs sample by sample, the first with each other one, as the command `compare` does.

    Raises:
        ConfigError: Fewer than two runs, or a name that means none or several.
        UserError: A folder is no finished run.
    """
    return Compared(
        compare_runs(open_sides([_name(one) for one in names], Path(folder)), seed=seed, on_shared=on_shared)
    )


def gate(
    candidate: str | Path | Run,
    baseline: str | Path | Run,
    *,
    policy: GatePolicy | str | Path | None = None,
    folder: str | Path = RUNS,
    seed: int = 0,
) -> Judged:
    """Judge a candidate against a baseline, as the command `gate` does.

    Args:
        candidate: The run to judge.
        baseline: The run to hold it to.
        policy: What to gate on: a value, or the path of a `gate.toml`; None for the default.
        folder: Where names are looked up.
        seed: Fixes all draws.

    Raises:
        ConfigError: A run or the policy is not to be had.
    """
    found = policy if isinstance(policy, GatePolicy) else read_policy(None if policy is None else Path(policy))
    sides = open_sides([_name(baseline), _name(candidate)], Path(folder))
    return Judged(judge(compare_runs(sides, seed=seed), found))


def score(
    rows: Iterable[Mapping[str, Any]],
    *,
    protocol: Protocol = "strict",
    format: str = "satori",  # noqa: A002 - what the command and the files call it
    box_frame: BoxFrame | None = None,
    box_dialect: str | None = None,
) -> pd.DataFrame:
    """Score predictions in memory: rows as in the file of the command `score` (id, task, prediction, gold).

    `box_dialect` says how boxes are written, as the option of that name; `box_frame` is its short form. Without either
    they are the format's list in pixels of the image.

    Returns:
        A row each, in order: score, extracted, components, iou, faults; `reason` says why a bad row is bad.
    """
    form, protocol = format_given(format), protocol_named(protocol)
    check_protocol(form, protocol)
    dialect = declared_dialect(box_dialect, box_frame) or format_dialect(form) or SATORI_LIST
    config = ScoreConfig(protocol=protocol, format=form, box_dialect=dialect)
    found = [{**one.to_json(), "reason": one.reason} for one in score_lines(map(json.dumps, rows), config)]
    frame = _pandas().DataFrame(
        found, columns=["id", "task", "score", "extracted", "components", "iou", "faults", "reason"]
    )
    parts = _pandas().DataFrame(list(frame.pop("components")), index=frame.index)
    return frame.join(parts.add_prefix("components."))


def run(
    model: str, tasks: str | Sequence[str] = "core", *, page: bool = True, again: bool = False, **options: Any
) -> Run:
    """Evaluate a checkpoint, as the command `run` does; a finished run of equal input is returned instead.

    Args:
        model: Checkpoint folder, hub id or adapter folder.
        tasks: Task names, or one text of them by commas.
        page: Whether the run's page is written.
        again: Whether to make a run though an equal one is finished.
        options: Fields of `tasks.run_spec.RunSpec`, such as `limit=200`, `backend="openai"`, `base_url=...`; `format`
            stands for its field `form`.

    Raises:
        ConfigError: An option is unknown, or something is configured wrongly.
        UserError: The run cannot be made.
    """
    from harness.installation import require_extra
    from harness.models.interruption import Interruption
    from reports.terminal.progress import RunProgress
    from satori_bench.surroundings import libraries_quiet, run_environment

    require_extra("run", "run")
    from tasks.run import run_benchmarks
    from tasks.run_spec import RunSpec

    known = [one.name for one in fields(RunSpec) if one.name not in ("model", "tasks")]
    given = {("form" if name == "format" else name): value for name, value in options.items()}
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ConfigError(f"run() has no option {unknown[0]!r}.{did_you_mean(unknown[0], known)}")
    for name in ("out", "data_dir"):
        if given.get(name) is not None:
            given[name] = Path(given[name])
    if isinstance(given.get("form"), str):
        given["form"] = format_given(given["form"])
    spec = RunSpec(model=model, tasks=tasks if isinstance(tasks, str) else ",".join(tasks), **given)
    with libraries_quiet(), Interruption() as interruption, RunProgress(sys.stderr) as progress:
        result = run_benchmarks(spec, run_environment(progress, interruption, page=page), again=again)
    return load_run(result.folder)


def _name(run_or_name: str | Path | Run) -> str:
    """Return what names a run to the command."""
    if not isinstance(run_or_name, Run):
        return str(run_or_name)
    path, first = str(run_or_name.path.resolve()), run_or_name.stored.manifest.protocol
    return path if run_or_name.protocol == first else f"{path}@{run_or_name.protocol}"
