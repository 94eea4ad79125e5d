"""The command as people use it: exit codes, what stdout holds, what a run leaves behind, what bad input is told."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import harness
from harness.comparison.verify_run import verify_run
from harness.errors import ExitCode
from harness.runs.store import list_runs, load_run
from harness.scoring.box_dialects import optional_words
from harness.task_facts import FACTS
from satori_bench.app import cli

CODE_ROOT = Path(harness.__file__).parents[1]


def take_interrupts() -> None:
    """Undo what a shell does to its background jobs, in which tests may run: their children ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def process(*arguments: object, preexec_fn=take_interrupts, **options) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(CODE_ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "satori_bench", *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=preexec_fn,  # noqa: PLW1509 - no thread runs here
        **options,
    )


class TestRun:
    pytestmark = pytest.mark.slow

    def test_all_seven_tasks_from_local_data_end_in_a_verified_run(self, command, tiny_qwen2_5_vl, local_data):
        code, out, err = command(
            "run", "--model", tiny_qwen2_5_vl, "--tasks", "core,shapes", "--data-dir", local_data.parquet, "--dataset",
            "shapes=tiny", "--limit", 40, "--max-new-tokens", 6, "--device", "cpu", "--json",
        )  # fmt: skip

        assert code == ExitCode.OK, err
        result = json.loads(out)
        run = load_run(Path(result["run"]))
        assert verify_run(run.path) == []
        assert set(result["tasks"]) == set(run.manifest.tasks)
        assert len(result["tasks"]) == 7
        assert all(task["rows"] >= 24 for task in result["tasks"].values())
        assert run.manifest.partial, "a limited run is marked"
        records = list(run.records())
        assert all(record.generation.input_size is not None for record in records)
        assert all(record.generation.output_tokens == 6 for record in records)
        assert {path.stem for path in (run.path / "media").iterdir()} == {r.sample.image_sha256 for r in records}
        assert "input_px" in err, "the frame that was decided is said"

    @pytest.mark.parametrize(
        ("fixture", "dialect"),
        [("tiny_qwen2_vl", "corners:xyxy:1000"), ("tiny_qwen3_vl", "list:xyxy:1000"), ("tiny_llava", None)],
    )
    def test_other_families_run_with_their_own_dialect(self, command, request, local_data, fixture, dialect):
        code, out, err = command(
            "run", "--model", request.getfixturevalue(fixture), "--tasks", "shapes,mmstar", "--data-dir",
            local_data.tsv, "--limit", 12, "--max-new-tokens", 6, "--json", "--no-thumbnails",
        )  # fmt: skip

        assert code == ExitCode.OK, err
        result = json.loads(out)
        run = load_run(Path(result["run"]))
        assert optional_words(run.manifest.box_dialect) == dialect
        box_metric = result["tasks"]["shapes"]["metrics"]["mean_iou"]
        assert (box_metric["value"] is None) == (dialect is None)
        if dialect is None:
            assert "boxes stay unscored until --box-dialect is given" in err
            assert all("frame_unknown" in r.score.faults for r in run.records() if r.sample.task == "shapes")

    def test_an_unreadable_image_is_counted_not_scored(self, command, tiny_qwen2_5_vl, local_data, tmp_path):
        data = tmp_path / "data"
        data.mkdir()
        table = pq.read_table(local_data.parquet / "mme.parquet")
        images = table.column("image").to_pylist()
        images[3] = {"bytes": images[3]["bytes"][: len(images[3]["bytes"]) // 2], "path": "cut.png"}
        place = table.column_names.index("image")
        pq.write_table(
            table.set_column(place, "image", pa.array(images, table.schema.field("image").type)), data / "mme.parquet"
        )

        code, out, err = command(
            "run", "--model", tiny_qwen2_5_vl, "--tasks", "mme", "--data-dir", data, "--max-new-tokens", 4, "--json"
        )

        result = json.loads(out)
        assert code == ExitCode.INCOMPLETE, "more than 1 % could not be asked"
        assert "--retry" in err
        assert result["tasks"]["mme"]["unscored"] == {"error": 1}
        assert result["tasks"]["mme"]["n"] == result["tasks"]["mme"]["rows"] - 1
        [broken] = [r for r in load_run(Path(result["run"])).records() if r.generation.error]
        assert "unreadable image" in broken.generation.error

        code, out, err = command("run", "--retry", result["run"], "--json")

        assert code == ExitCode.INCOMPLETE, "the image is still broken"
        again = json.loads(out)
        assert again["run"] != result["run"], "a finished run is never overwritten"
        assert load_run(Path(again["run"])).manifest.other["retried"] == Path(result["run"]).name
        assert again["tasks"]["mme"]["rows"] == result["tasks"]["mme"]["rows"]
        assert verify_run(Path(result["run"])) == []

        code, out, err = command(
            "run", "--model", tiny_qwen2_5_vl, "--tasks", "mme", "--data-dir", data, "--max-new-tokens", 4, "--json"
        )

        assert code == ExitCode.INCOMPLETE, "an equal run is named, and is no more complete than it was"
        assert json.loads(out)["run"] == again["run"]
        assert "is a finished run of the same input: nothing is asked" in err

    def test_a_finished_run_is_named_and_not_repeated(self, command, tiny_qwen2_5_vl, tmp_path, renew_sums):
        arguments = [
            "run", "--tasks", "shapes", "--dataset", "shapes=tiny", "--limit", 12, "--max-new-tokens", 4,
            "--no-thumbnails", "--json",
        ]  # fmt: skip
        code, out, err = command(*arguments, "--model", tiny_qwen2_5_vl, "--name", "first")
        assert code == ExitCode.OK, err
        first = json.loads(out)
        assert Path(first["run"]).name[17:-9] == "first"
        assert f"page: {first['run']}/index.html" in err
        moved = shutil.copytree(tiny_qwen2_5_vl, tmp_path / "the same weights elsewhere")

        for same in (tiny_qwen2_5_vl, moved):
            code, out, err = command(*arguments, "--model", same, "--name", "second")

            assert code == ExitCode.OK
            assert json.loads(out) == first, "as if it had been run"
            assert "nothing is asked, and it is not renamed to 'second'. --again makes a new run" in err
            assert "weights" not in err.splitlines()[-1]
        assert len(list_runs(tmp_path / "runs")) == 1

        run = Path(first["run"])
        (run / "index.html").unlink()  # as a kill leaves it that comes after publication
        renew_sums(run)
        assert command(*arguments, "--model", tiny_qwen2_5_vl, "--no-page")[0] == ExitCode.OK
        assert not (run / "index.html").exists()
        assert command(*arguments, "--model", tiny_qwen2_5_vl)[0] == ExitCode.OK
        assert (run / "index.html").is_file()
        assert verify_run(run) == []

        others = [
            ["--seed", 1],
            ["--limit", 13],
            ["--format", "plain"],
            ["--max-new-tokens", 5],
            ["--protocol", "paper"],
            ["--dtype", "bfloat16"],
        ]
        for number, other in enumerate([["--again"], *others], start=2):
            code, out, err = command(*arguments, *other, "--model", tiny_qwen2_5_vl)

            assert code == ExitCode.OK, err
            assert len(list_runs(tmp_path / "runs")) == number, other
        [weights] = moved.glob("*.safetensors")
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
        assert command(*arguments, "--model", moved)[0] == ExitCode.OK
        assert len(list_runs(tmp_path / "runs")) == 9, "other weights are another run"

    def test_a_run_with_nothing_to_retry_makes_nothing(self, command, tiny_qwen2_5_vl, tmp_path):
        arguments = ["--tasks", "shapes", "--dataset", "shapes=tiny", "--limit", 12, "--max-new-tokens", 4, "--json"]
        _, out, _ = command("run", "--model", tiny_qwen2_5_vl, "--name", "whole", *arguments)
        first = json.loads(out)

        code, out, err = command("run", "--retry", "whole", "--json")

        assert code == ExitCode.OK
        assert json.loads(out) == first
        assert f"nothing to retry in {first['run']}" in err
        assert len(list_runs(tmp_path / "runs")) == 1

    def test_control_c_keeps_the_journal_and_the_next_call_resumes(self, tiny_qwen2_5_vl, tmp_path):
        out = tmp_path / "runs"
        arguments = [
            "run", "--model", tiny_qwen2_5_vl, "--tasks", "shapes", "--dataset", "shapes=tiny", "--limit", 80,
            "--max-new-tokens", 12, "--batch-size", 4, "--device", "cpu", "--out", out,
        ]  # fmt: skip
        first = process(*arguments)
        deadline = time.monotonic() + 200
        while not any(path.stat().st_size for path in out.glob("*.partial/samples.jsonl")):
            assert first.poll() is None, first.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        first.send_signal(signal.SIGINT)  # once: no press may get lost
        err = first.communicate(timeout=120)[1]
        assert first.returncode == ExitCode.INTERRUPTED, err
        assert "Traceback" not in err
        [partial] = list_runs(out)
        assert partial.state == "partial"

        second = process(*arguments)
        printed, err = second.communicate(timeout=300)

        assert second.returncode == 0, err
        assert "resuming" in err
        assert "run: " in printed
        [info] = list_runs(out)
        assert info.state == "complete"
        assert verify_run(info.path) == []

    def test_a_full_disk_stops_the_run_with_a_good_journal(self, tiny_qwen2_5_vl, tmp_path, monkeypatch):
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # a .pyc that does not fit would stay, torn
        out = tmp_path / "runs"
        limit = 60_000
        running = process(
            "run", "--model", tiny_qwen2_5_vl, "--tasks", "shapes", "--dataset", "shapes=tiny", "--limit", 400,
            "--max-new-tokens", 4, "--no-thumbnails", "--device", "cpu", "--out", out,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )  # fmt: skip
        _, err = running.communicate(timeout=300)

        assert running.returncode == ExitCode.USAGE
        assert "Traceback" not in err
        assert "cannot write" in err
        found = list_runs(out)
        for info in found:
            assert info.state == "partial"
            assert list(load_run(info.path).records()) is not None


class TestBadInput:
    """Found before any sample is asked: exit 2, one line of error, nothing left behind."""

    pytestmark = pytest.mark.slow

    def refused(self, command, tmp_path, *arguments: object) -> str:
        before = sorted(tmp_path.rglob("*.partial"))
        code, out, err = command("run", *arguments)
        assert code == ExitCode.USAGE, err
        assert out == ""
        assert "Traceback" not in err
        assert sorted(tmp_path.rglob("*.partial")) == before
        assert not (tmp_path / "runs").exists()
        return err

    def test_no_model(self, command, tmp_path):
        assert "--model is missing" in self.refused(command, tmp_path)

    def test_missing_folder(self, command, tmp_path):
        assert "no folder" in self.refused(command, tmp_path, "--model", "nowhere")

    def test_empty_folder(self, command, tmp_path):
        (tmp_path / "empty").mkdir()

        assert "is empty" in self.refused(command, tmp_path, "--model", tmp_path / "empty")

    def test_text_only_model(self, command, tmp_path, tiny_text_only):
        assert "text-only" in self.refused(command, tmp_path, "--model", tiny_text_only, "--tasks", "shapes")

    def test_missing_processor(self, command, tmp_path, tiny_qwen2_5_vl):
        copy = shutil.copytree(tiny_qwen2_5_vl, tmp_path / "copy")
        for file in [*copy.glob("*processor*"), *copy.glob("*chat_template*")]:
            file.unlink()

        assert "processor" in self.refused(command, tmp_path, "--model", copy, "--tasks", "shapes")

    def test_corrupt_weights(self, command, tmp_path, tiny_qwen2_5_vl):
        copy = shutil.copytree(tiny_qwen2_5_vl, tmp_path / "copy")
        [weights] = copy.glob("*.safetensors")
        weights.write_bytes(weights.read_bytes()[:-100])

        assert weights.name in self.refused(command, tmp_path, "--model", copy, "--tasks", "shapes")

    def test_unknown_task(self, command, tmp_path, tiny_qwen2_5_vl):
        error = self.refused(command, tmp_path, "--model", tiny_qwen2_5_vl, "--tasks", "mmstr")

        assert "Did you mean 'mmstar'?" in error

    def test_missing_column(self, command, tmp_path, tiny_qwen2_5_vl):
        pq.write_table(pa.table({"index": [1], "question": ["?"], "image": [b""]}), tmp_path / "mmstar.parquet")

        error = self.refused(command, tmp_path, "--model", tiny_qwen2_5_vl, "--tasks", "mmstar", "--data-dir", tmp_path)

        assert "mmstar.parquet" in error
        assert "answer" in error
        assert "Found index, question, image" in error

    def test_empty_dataset(self, command, tmp_path, tiny_qwen2_5_vl, local_data):
        pq.write_table(pq.read_table(local_data.parquet / "mme.parquet").slice(0, 0), tmp_path / "mme.parquet")

        error = self.refused(command, tmp_path, "--model", tiny_qwen2_5_vl, "--tasks", "mme", "--data-dir", tmp_path)

        assert "empty" in error

    def test_repeated_ids(self, command, tmp_path, tiny_qwen2_5_vl, local_data):
        table = pq.read_table(local_data.parquet / "mme.parquet")
        pq.write_table(pa.concat_tables([table, table.slice(2, 1)]), tmp_path / "mme.parquet")

        error = self.refused(command, tmp_path, "--model", tiny_qwen2_5_vl, "--tasks", "mme", "--data-dir", tmp_path)

        assert "rows 2 and 28 have the same id" in error

    def test_unknown_backend(self, command, tmp_path, tiny_qwen2_5_vl):
        code, _, error = command("run", "--model", tiny_qwen2_5_vl, "--backend", "sglang", "--out", tmp_path / "runs")

        assert code == ExitCode.USAGE
        assert "'sglang' is not one of 'hf', 'vllm', 'openai'" in error

    def test_unreachable_hub_says_how_to_pass_local_data(self, command, tmp_path, tiny_qwen2_5_vl):
        error = self.refused(command, tmp_path, "--model", tiny_qwen2_5_vl, "--tasks", "mmstar")

        assert "--data-dir" in error
        assert "MMStar.tsv" in error

    def test_unwritable_output(self, command, tmp_path, tiny_qwen2_5_vl):
        (tmp_path / "file").write_text("not a folder")

        error = self.refused(
            command, tmp_path, "--model", tiny_qwen2_5_vl, "--tasks", "shapes", "--out", tmp_path / "file" / "runs"
        )

        assert "--out" in error

    def test_contradicting_pixel_limits(self, command, tmp_path, tiny_qwen2_5_vl):
        error = self.refused(
            command, tmp_path, "--model", tiny_qwen2_5_vl, "--tasks", "shapes", "--min-pixels", 9, "--max-pixels", 5
        )

        assert "--min-pixels" in error


class TestScore:
    ROWS = tuple(
        {"id": row_id, "task": "mmstar", "prediction": text, "choices": {"A": "cat", "B": "dog"}, "answers": ["B"]}
        for row_id, text in (("1", "<answer>B</answer>"), ("2", "B"), ("2", "<answer>A</answer>"))
    )

    def write(self, tmp_path, *extra_lines: str) -> Path:
        file = tmp_path / "predictions.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in self.ROWS) + "".join(extra_lines))
        return file

    def test_every_row_gets_a_line_and_a_repeated_id_counts_once(self, command, tmp_path):
        file = self.write(tmp_path, "{broken\n", "\n", '{"id": 7, "task": "nope", "prediction": "x"}\n')

        code, out, err = command("score", file, "--output", tmp_path / "out.jsonl", "--json")

        assert code == ExitCode.OK
        lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
        assert [line["score"] for line in lines] == [1.0, 0.0, 0.0, None, None]
        assert [line["faults"] for line in lines[1:]] == [["missing"], ["missing"], ["error"], ["error"]]
        assert [line["id"] for line in lines] == ["1", "2", "2", None, "7"]
        assert json.loads(out)["tasks"]["mmstar"]["n"] == 2
        assert "line 4" in err
        assert "repeat" in err

    def test_a_run_of_predictions_can_be_verified_and_rescored(self, command, tmp_path):
        _, out, _ = command("score", self.write(tmp_path), "--run", tmp_path / "runs", "--json")
        run = json.loads(out)["run"]

        assert command("runs", "verify", run)[0] == ExitCode.OK
        code, out, _ = command("rescore", run, "--protocol", "paper", "--json")

        assert code == ExitCode.OK
        assert json.loads(out)["protocol"] == "paper"
        assert load_run(Path(run)).manifest.predictions_only
        assert set(load_run(Path(run)).rescored) == {"paper"}
        assert command("runs", "verify", run)[0] == ExitCode.OK

    def test_a_bad_row_of_a_known_task_is_counted_as_unscored(self, command, tmp_path):
        file = self.write(tmp_path, '{"id": "8", "task": "mmstar", "prediction": 5}\n')

        _, out, _ = command("score", file, "--json")

        found = json.loads(out)["tasks"]["mmstar"]
        assert (found["n"], found["rows"], found["unscored"]) == (2, 3, {"error": 1})

    def test_missing_file_is_a_usage_error(self, command):
        code, out, err = command("score", "nowhere.jsonl")

        assert (code, out) == (ExitCode.USAGE, "")
        assert "nowhere.jsonl" in err

    def test_hostile_texts_are_scored_like_any_other(self, command, tmp_path):
        file = tmp_path / "hostile.jsonl"
        texts = ["\x1b[31m</answer>", "\ud800", "<answer>" * 1000, "=cmd|x", "[" * 5000, "\u202e<answer>B</answer>"]
        gold = {"task": "mmstar", "answers": ["B"], "choices": {"A": "x", "B": "y"}}
        rows = [{"id": str(place), "prediction": text, **gold} for place, text in enumerate(texts)]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))

        code, out, _ = command("score", file)

        assert code == ExitCode.OK
        assert len(out.splitlines()) == len(texts)
        assert "\x1b" not in out


def shown(out: str) -> dict[str, str]:
    """Return the lines of `--show-config` by option."""
    return dict(line.split(" = ", 1) for line in out.splitlines() if " = " in line)


TEXT = 'a "b" \\ 日本\x7f\t\''


def value_of(option: click.Parameter) -> object:
    """Return a value that an option of this type takes, as hard to write in a file as may be."""
    kind = option.type
    if isinstance(kind, click.Choice):
        return kind.choices[-1]
    if isinstance(kind, click.IntRange | click.FloatRange):
        return kind.min or kind.max or 3
    if isinstance(kind, click.types.IntParamType | click.types.FloatParamType):
        return 0.00001 if isinstance(kind, click.types.FloatParamType) else 3
    if isinstance(kind, click.Path):
        return "a folder" if kind.dir_okay else "a file"
    return TEXT


def filled(verb: click.Command) -> list[object]:
    """Return words that set every option of a verb, flags the other way round than by default."""
    words: list[object] = []
    for parameter in verb.params:
        if isinstance(parameter, click.Argument):
            words += ["first", "second"] if parameter.nargs == -1 else ["first"]
        elif isinstance(parameter, click.Option) and parameter.name != "show_config":
            value = [] if parameter.is_flag else [value_of(parameter)]
            flag = (parameter.secondary_opts or parameter.opts)[0]
            words += [flag, *value] * (2 if parameter.multiple else 1)
    return words


def nothing(verb: click.Command) -> list[object]:
    """Return no words: a verb shows what is set even where it could not do its work so."""
    return []


def verbs(group: click.Group, *above: str) -> dict[tuple[str, ...], click.Command]:
    """Return every verb by the words that call it."""
    found: dict[tuple[str, ...], click.Command] = {}
    for name, below in group.commands.items():
        found |= verbs(below, *above, name) if isinstance(below, click.Group) else {(*above, name): below}
    return found


VERBS = verbs(cli)


class TestConfiguration:
    def test_flag_beats_variable_beats_file_beats_default(self, command, tmp_path, monkeypatch):
        (tmp_path / "satori-bench.toml").write_text(
            '[run]\nformat = "plain"\nprotocol = "paper"\nseed = 3\nlimit = 9\n'
        )
        monkeypatch.setenv("SATORI_BENCH_SEED", "4")

        code, out, _ = command("run", "--limit", 5, "--show-config")

        assert code == ExitCode.OK
        lines = shown(out)
        assert lines["limit"] == "5  # flag"
        assert lines["seed"] == "4  # variable"
        assert lines["protocol"] == '"paper"  # config file'
        assert lines["format"] == '"plain"  # config file', "files and variables use the flags' names"
        assert lines["dtype"] == '"auto"  # default'

    def test_a_typo_in_the_file_is_named(self, command, tmp_path):
        (tmp_path / "satori-bench.toml").write_text("[run]\nsede = 3\n")

        code, _, err = command("run")

        assert code == ExitCode.USAGE
        assert "Did you mean 'seed'?" in err

    @pytest.mark.parametrize(
        ("line", "fault"),
        [
            ("limit = 1.5", "[run] limit: a whole number is needed, found 1.5"),
            ("limit = true", "[run] limit: a whole number is needed, found true"),
            ('limit = "5"', "[run] limit: a whole number is needed, found '5'"),
            ("limit = 0", "[run] limit: 0 is not in the range x>=1"),
            ('temperature = "hot"', "[run] temperature: a number is needed, found 'hot'"),
            ("temperature = nan", "[run] temperature: a number is needed, found nan"),
            ("resume = 1", "[run] resume: true or false is needed, found 1"),
            ('json = "no"', "[run] json: true or false is needed, found 'no'"),
            ("model = true", "[run] model: a text is needed, found true"),
            ("model = 1.5", "[run] model: a text is needed, found 1.5"),
            ("out = 3", "[run] out: a text is needed, found 3"),
            ('protocol = "strikt"', "[run] protocol: 'strikt' is not one of 'strict'"),
            ('dataset = "shapes=tiny"', "[run] dataset: a list is needed, found 'shapes=tiny'"),
            ("dataset = [1.0]", "[run] dataset: a text is needed, found 1.0"),
            ('api_key = ["sk-secret"]', "[run] api_key: a text is needed, found '…'"),
        ],
    )
    def test_a_value_of_another_kind_is_a_fault_and_never_changed(self, command, tmp_path, line, fault):
        (tmp_path / "satori-bench.toml").write_text(f"[run]\n{line}\n")

        code, out, err = command("run", "--show-config")

        assert (code, out) == (ExitCode.USAGE, "")
        assert fault in err

    def test_values_of_the_right_kind_are_taken_as_they_are(self, command, tmp_path):
        (tmp_path / "satori-bench.toml").write_text(
            '[run]\ntemperature = 1\nbatch_size = 4\nresume = false\ndataset = ["shapes=a b, c"]\nout = "my runs"\n'
            '[compare]\nruns = ["a", "b"]\n'
        )

        code, out, err = command("run", "--show-config")

        assert code == ExitCode.OK, err
        lines = shown(out)
        assert lines["temperature"] == "1.0  # config file"
        assert lines["batch_size"] == '"4"  # config file'
        assert lines["resume"] == "false  # config file"
        assert lines["dataset"] == '["shapes=a b, c"]  # config file'

    def test_verbs_of_a_group_have_tables_below_its_own(self, command, tmp_path):
        (tmp_path / "satori-bench.toml").write_text(
            '[tasks.verify]\ndata_dir = "here"\nall_images = true\n[runs.list]\nout = "there"\n'
        )

        assert 'data_dir = "here"  # config file' in command("tasks", "verify", "--show-config")[1]
        assert 'out = "there"  # config file' in command("runs", "list", "--show-config")[1]
        assert 'out = "else"  # flag' in command("runs", "list", "--out", "else", "--show-config")[1]
        assert "here: there is no such folder" in command("tasks", "verify", "mme")[1]

    def test_what_watch_leaves_open_comes_from_run(self, command, tmp_path, monkeypatch):
        (tmp_path / "satori-bench.toml").write_text(
            '[run]\nmodel = "x"\ntasks = "shapes"\nlimit = 8\nseed = 3\nformat = "plain"\njson = true\nshard = "1/2"\n'
            'dataset = ["shapes=tiny"]\napi_key = "sk-hidden"\nresume = false\n'
            '[watch]\nformat = "satori"\nevery = 2\nresume = true\n'
        )
        monkeypatch.setenv("SATORI_BENCH_SEED", "4")

        code, out, err = command("watch", "out", "--limit", 5, "--show-config")

        assert code == ExitCode.OK, err
        lines = shown(out)
        assert lines["limit"] == "5  # flag"
        assert lines["seed"] == "4  # variable"
        assert lines["format"] == '"satori"  # config file'
        assert lines["resume"] == "true  # config file", "what [watch] says holds, also where it is the default"
        assert lines["every"] == "2.0  # config file"
        assert lines["tasks"] == '"shapes"  # config file, [run]'
        assert lines["dataset"] == '["shapes=tiny"]  # config file, [run]'
        assert lines["protocol"] == '"strict"  # default'
        assert lines["json"] == "false  # default", "what a verb prints is its own"
        assert "# api_key = '…'  # config file, [run]; not shown" in out.splitlines()
        assert not {"model", "shard", "preset", "retry", "again"} & lines.keys()

    def test_no_other_verb_takes_the_values_of_run(self, command, tmp_path):
        (tmp_path / "satori-bench.toml").write_text('[run]\nprotocol = "paper"\n[watch]\nlimit = 8\n')

        assert "[run]" not in command("score", "x.jsonl", "--show-config")[1]
        assert "# limit is not set  # default" in command("run", "--show-config")[1].splitlines()
        assert shown(command("watch", "out", "--show-config")[1])["protocol"] == '"paper"  # config file, [run]'

    def test_a_value_of_run_is_held_against_what_watch_gives(self, command, tmp_path):
        (tmp_path / "satori-bench.toml").write_text('[run]\ndecoding = "sampled"\n[watch]\ntemperature = 0.5\n')

        sampled = command("watch", "out", "--once")
        greedy = command("watch", "out", "--once", "--decoding", "greedy")

        assert "--temperature needs --decoding sampled" not in sampled[2]
        assert greedy[0] == ExitCode.USAGE
        assert "--temperature needs --decoding sampled" in greedy[2]

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            (
                '[tasks]\ndata_dir = "x"',
                "[tasks] unknown key data_dir: an option stands in the table of its verb, such as [tasks.list]",
            ),
            ("limit = 3", "unknown key limit: an option stands in the table of its verb, such as ["),
            ('["tasks verify"]\n', "unknown table [tasks verify]. Did you mean 'tasks.verify'?"),
            ("[tasks.verfy]", "unknown table [tasks.verfy]. Did you mean 'tasks.verify'?"),
            ("[rnu]", "unknown table [rnu]. Did you mean 'run'?"),
            ("[tasks.verify]\ndatadir = 'x'", "[tasks.verify] unknown key datadir. Did you mean 'data_dir'?"),
            ("[tasks.verify]\nall_images = 1", "[tasks.verify] all_images: true or false is needed, found 1"),
            ("[run]\nmax_tokens = 5", "[run] unknown key max_tokens. Did you mean 'max_new_tokens'?"),
            ('[run]\ncheckpoint = "x"', "[run] unknown key checkpoint. Did you mean 'model'?"),
            ("[run]\ntemp = 1", "[run] unknown key temp. Did you mean 'temperature'?"),
            ("[tasks]\nverify = 1", "tasks.verify must be a table"),
            ("tasks = 1", "tasks must be a table"),
        ],
    )
    def test_what_stands_for_no_verb_or_option_is_named(self, command, tmp_path, text, fault):
        (tmp_path / "satori-bench.toml").write_text(text + "\n")

        code, _, err = command("tasks", "list")

        assert code == ExitCode.USAGE
        assert fault in err

    @pytest.mark.parametrize(
        ("text", "values"),
        [
            ("shapes=/data/my dir/x.parquet", ("shapes=/data/my dir/x.parquet",)),
            ("shapes=tiny,mme=/my data/a,b.tsv", ("shapes=tiny", "mme=/my data/a,b.tsv")),
            ("\n shapes=tiny,\n refcoco+=o/n@v1\n", ("shapes=tiny", "refcoco+=o/n@v1")),
            ("mmstar,shapes=tiny", ("mmstar", "shapes=tiny")),
        ],
    )
    def test_a_variable_holds_several_data_sets_and_paths_with_blanks(self, command, monkeypatch, text, values):
        monkeypatch.setenv("SATORI_BENCH_DATASET", text)

        for verb in (["run"], ["tasks", "verify"], ["data", "verify", "shapes"]):
            code, out, err = command(*verb, "--show-config")

            assert code == ExitCode.OK, err
            assert f"dataset = {json.dumps(values)}  # variable" in out.splitlines()

    @pytest.mark.parametrize("name", VERBS, ids=" ".join)
    @pytest.mark.parametrize("fill", [filled, nothing])
    def test_the_shown_configuration_can_be_pasted_and_reads_back_to_the_same(self, command, tmp_path, name, fill):
        (tmp_path / "a folder").mkdir()
        code, first, err = command(*name, *fill(VERBS[name]), "--show-config")
        assert code == ExitCode.OK, err
        (tmp_path / "satori-bench.toml").write_text(first, encoding="utf-8")

        code, second, err = command(*name, "--show-config")

        assert code == ExitCode.OK, err
        assert tomllib.loads(first) == tomllib.loads(second)
        assert len(first.splitlines()) == len(VERBS[name].params), "its name, and all but --show-config"
        kept = [line for line in second.splitlines()[1:] if not line.startswith("# ")]
        assert all(line.endswith("  # config file") for line in kept)

    @pytest.mark.parametrize(
        "option",
        [("--api-key", "sk-hidden"), ("--judge-key", "sk-hidden"), ("--base-url", "http://me:sk-hidden@host/v1")],
    )
    def test_a_secret_is_never_shown(self, command, monkeypatch, tmp_path, option):
        name = option[0][2:].replace("-", "_")

        flag = command("run", *option, "--show-config")
        monkeypatch.setenv(f"SATORI_BENCH_{name.upper()}", option[1])
        variable = command("run", "--show-config")
        (tmp_path / "satori-bench.toml").write_text(f'[run]\n{name} = ["{option[1]}"]\n')
        refused = command("run", "--show-config")

        for _, out, err in (flag, variable, refused):
            assert "sk-hidden" not in out + err
        assert f"# {name} = '…'  # flag; not shown" in flag[1]
        assert refused[0] == ExitCode.USAGE

    def test_help_loads_no_heavy_library(self):
        code = (
            "import sys, satori_bench; print(sorted(set(sys.modules) & {'torch','pandas','scipy','lmms_eval','numpy'}))"
        )

        done = process("--help").communicate()[0]
        loaded = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(CODE_ROOT)}, capture_output=True,
            text=True, check=True,
        )  # fmt: skip

        assert "rescore" in done
        assert loaded.stdout.strip() == "[]"


class TestLookUps:
    @pytest.mark.parametrize("verb", ["show", "prompt", "verify"])
    def test_libraries_say_nothing_beside_the_answer(self, command, monkeypatch, verb):
        monkeypatch.setenv("LOGURU_LEVEL", "DEBUG")
        monkeypatch.delenv("LOGURU_LEVEL")

        command("tasks", verb, "shapes")

        assert os.environ["LOGURU_LEVEL"] == "ERROR", "lmms-eval tells of every file of its own otherwise"

    def test_tasks_list_names_every_task_and_group(self, command):
        code, out, _ = command("tasks", "list", "--json")

        assert code == ExitCode.OK
        listed = json.loads(out)
        assert [*listed["tasks"]] == [name for name, facts in FACTS.items() if facts.file is not None]
        assert len(listed["groups"]["core"]) == 6
        assert set(listed["groups"]["core"]) <= set(listed["tasks"])

    def test_tasks_verify_says_what_is_missing(self, command, local_data, tmp_path):
        assert command("tasks", "verify", "core", "--data-dir", local_data.parquet)[0] == ExitCode.OK

        code, out, _ = command("tasks", "verify", "mmstar", "--data-dir", tmp_path)

        assert code == ExitCode.USAGE
        assert "NOT OK" in out
        assert "MMStar.tsv" in out

    def test_an_unknown_verb_gets_a_suggestion(self, command):
        code, _, err = command("rnu")

        assert code == ExitCode.USAGE
        assert "Did you mean 'run'?" in err

    def test_runs_list_shows_a_damaged_run_as_such(self, command, tmp_path):
        (tmp_path / "runs" / "20260101T000000Z-x-00000000").mkdir(parents=True)
        (tmp_path / "runs" / "20260101T000000Z-x-00000000" / "manifest.json").write_text("{")

        code, out, _ = command("runs", "list", "--json")

        assert code == ExitCode.OK
        assert json.loads(out)["runs"][0]["state"] == "corrupt"

    @pytest.mark.slow
    def test_doctor_finds_local_data_and_says_what_a_judge_needs(self, command, local_data, monkeypatch):
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)

        code, out, _ = command("doctor", "--data-dir", local_data.tsv, "--judge", "some-judge", "--json")

        checks = {check["name"]: check for check in json.loads(out)["checks"]}
        assert code == ExitCode.USAGE
        assert checks["judge"]["state"] == "fail"
        assert checks["data of mme"]["state"] == "ok"


class TestPrompt:
    @pytest.mark.slow
    def test_the_prompt_as_sent_is_in_every_record_and_on_the_page(self, command, tiny_qwen2_5_vl):
        code, out, err = command(
            "run", "--model", tiny_qwen2_5_vl, "--tasks", "shapes", "--dataset", "shapes=tiny", "--limit", 4,
            "--max-new-tokens", 4, "--device", "cpu", "--json",
            "--system-prompt", "Look twice.", "--prompt-suffix", "In short!",
        )  # fmt: skip

        assert code == ExitCode.OK, err
        run = load_run(Path(json.loads(out)["run"]))
        for record in run.records():
            prompt = record.generation.prompt
            assert "Look twice." in prompt
            assert f"{record.sample.question}\nIn short!" in prompt
            assert "assistant" in prompt, "as the template writes it, up to where the model goes on"
        assert run.manifest.other["arguments"]["system_prompt"] == "Look twice."

    def test_tasks_prompt_prints_what_is_sent(self, command):
        code, out, _ = command("tasks", "prompt", "shapes", "--dataset", "shapes=tiny", "--prompt", "paper")

        assert code == ExitCode.OK
        assert out.startswith("[system]\nGiven an image and a question")
        assert "[user]\n<image " in out


GROUNDED = {
    "task": "satori",
    "prediction": "<caption>a</caption><bbox>[[0.1, 0.2, 0.5, 0.7]]</bbox><answer>a</answer>",
    "boxes": [[40, 60, 200, 210]],
    "width": 400,
    "height": 300,
}
UNSCORABLE = json.loads((Path(__file__).parent / "cases" / "unscorable_files.json").read_text(encoding="utf-8"))


class TestScoreSaysWhatItFound:
    def test_without_a_frame_it_says_which_one_it_took_and_which_one_fits(self, command, tmp_path):
        file = tmp_path / "p.jsonl"
        file.write_text("".join(json.dumps({"id": str(place), **GROUNDED}) + "\n" for place in range(6)))

        code, _, err = command("score", file)

        assert code == ExitCode.OK
        assert "boxes are read as image_px" in err
        assert "--box-frame norm_1" in err

    def test_with_the_right_frame_it_says_nothing(self, command, tmp_path):
        file = tmp_path / "p.jsonl"
        file.write_text(json.dumps({"id": "1", "answers": ["a"], **GROUNDED}) + "\n")

        code, _, err = command("score", file, "--box-frame", "norm_1", "--output", tmp_path / "o.jsonl")

        assert (code, err) == (ExitCode.OK, "")

    @pytest.mark.parametrize("form", ["plain", "satori"])
    @pytest.mark.parametrize(
        ("row", "says"),
        [
            ({"task": "mmstar", "prediction": "B", "answer": "B"}, "'answers', a list"),
            ({"task": "satori", "prediction": "<answer>red</answer>", "gold": ["red"]}, "'answers', a list"),
            ({"task": "mme", "prediction": "Yes", "label": "yes"}, "'answers', a list"),
            (
                {"task": "mathvista", "prediction": "<answer>a tower</answer>", "answers": ["the tower"]}
                | {"question_type": "free_form", "answer_type": "text"},
                "judge",
            ),
        ],
    )
    def test_where_no_answer_has_a_score_it_says_why(self, command, tmp_path, form, row, says):
        file = tmp_path / "p.jsonl"
        file.write_text(json.dumps({"id": "1", **row}) + "\n")

        _, _, err = command("score", file, "--format", form)

        assert "can be scored" in err
        assert says in err

    @pytest.mark.parametrize("case", UNSCORABLE, ids=lambda case: case["name"])
    def test_a_file_in_which_nothing_can_be_scored_is_no_result(self, command, tmp_path, case):
        file = tmp_path / "p.jsonl"
        file.write_bytes(case["text"].encode(case.get("encoding", "utf-8")))

        code, _, err = command("score", file, "--run", tmp_path / "runs")

        assert code == ExitCode.INCOMPLETE
        assert "can be scored" in err
        for word in case["says"]:
            assert word in err
        assert len(err.splitlines()) <= 6, "a thousand bad rows are not a thousand lines"
        assert not (tmp_path / "runs").exists()
