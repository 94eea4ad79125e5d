"""A run folder appears whole or not at all, is resumed by its key, and tells when somebody touched it."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.comparison import verify_run as verification
from harness.errors import ConfigError, IncompleteError
from harness.images.thumbnails import write_thumbnail
from harness.runs import store as run_store
from harness.runs.journal import LOCK_NAME, RunLockedError, StoreError, lock_run, read_records
from harness.runs.manifest import (
    NUMBER_FORMAT,
    Manifest,
    ManifestError,
    TaskManifest,
    comparable_parts,
    manifest_bytes,
    manifest_from_json,
    manifest_to_json,
    protocol_hash,
    read_manifest,
    run_key,
    stamp_hashes,
    task_hash,
    utc_text,
)
from harness.runs.record_codec import CorruptRecordError, record_line, record_to_json
from harness.runs.record_table import read_rows, write_parquet
from harness.runs.store import (
    MAX_SLUG_CHARACTERS,
    RETRIED,
    add_file,
    add_scores,
    check_run_name,
    equal_finished_runs,
    list_runs,
    load_run,
    model_slug,
    open_run,
)
from harness.scoring.box_dialects import dialect_named
from harness.values import BoxMatch, Components, Generation, PixelLimits, Record, Sample, Score, Size

HOUSE = Path(__file__).parents[2]
HOSTILE_TEXTS = json.loads((Path(__file__).parents[1] / "cases" / "hostile_texts.json").read_text(encoding="utf-8"))
NOW = datetime(2026, 1, 31, 23, 59, 58, tzinfo=UTC)
LATER = NOW + timedelta(hours=2)
SCORES = {"schema": 1, "protocol": "strict", "format": "satori", "made": 2}

TASK = TaskManifest("y" * 64, "Lin-Chen/MMStar", "main", "f" * 64, rows=1500, samples=1500)
MANIFEST = stamp_hashes(
    Manifest(
        model="Qwen/Qwen2.5-VL-3B-Instruct",
        weights_hash="a" * 64,
        adapter_hash=None,
        config_hash="c" * 64,
        model_type="qwen2_5_vl",
        backend="hf",
        format="satori",
        protocol="strict",
        box_dialect=dialect_named("input_px"),
        box_dialect_reason="model_type qwen2_5_vl",
        pixel_limits=PixelLimits(200_704, 401_408),
        generation={"max_new_tokens": 2048, "temperature": 0.0},
        tasks={"mmstar": TASK},
        prompt_hash="p" * 64,
        seed=0,
        packages={"torch": "2.9"},
        scorer_version=1,
        created_utc="",
    )
)


def record_of(sample_id, text="<answer>B</answer>", value=1.0):
    return Record(
        Sample(str(sample_id), "mmstar", "choice", "What?", ("B",), {"A": "cat", "B": "dog"}, extra={"index": 1}),
        Generation(text, Size(28, 56), 10, 3, 0.5),
        Score(value, "B", Components(1.0, None, 0.5, value), 0.5, BoxMatch(1, 1, 0.5, 1), ((0.0, 1.0, 2.0, 3.0),)),
    )


def verify_run(path):
    """Return what is wrong with a run, apart from that it has fewer records than the 1,500 its manifest speaks of."""
    return [problem for problem in verification.verify_run(path) if "mmstar has 1500 samples" not in problem]


def finished_run(root, *records, manifest=MANIFEST, now=NOW, page=None):
    with open_run(root, manifest, now=now, resume=False) as run:
        for record in records:
            run.journal.append(record)
        if page:
            (run.folder / "index.html").write_text(page)
        return run.publish(SCORES, now=now)


@pytest.fixture
def finished(tmp_path):
    return finished_run(tmp_path / "runs", record_of(1), record_of(2), page="<p>")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# --- manifest ---


def test_manifest_comes_back_equal():
    manifest = replace(MANIFEST, resumed_utc=("a", "b"), judge="gpt", partial=True, status="failed")

    assert manifest_from_json(manifest_to_json(manifest)) == manifest


def test_manifest_without_optional_values_comes_back_equal():
    manifest = replace(MANIFEST, box_dialect=None, pixel_limits=None, tasks={}, generation={}, packages={})

    assert manifest_from_json(json.loads(manifest_bytes(manifest))) == manifest


def test_unknown_keys_of_a_manifest_are_kept():
    obj = manifest_to_json(MANIFEST) | {"from_the_future": [1, {"x": None}]}
    obj["tasks"]["mmstar"]["shard"] = 3
    manifest = manifest_from_json(obj)

    assert manifest.other == {"from_the_future": [1, {"x": None}]}
    assert manifest.tasks["mmstar"].other == {"shard": 3}
    assert manifest_to_json(manifest) == obj


@pytest.mark.parametrize("version", [2, 0, None, "1", [1]])
def test_unknown_schema_version_is_a_clear_error(tmp_path, version):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(manifest_to_json(MANIFEST) | {"schema_version": version}))

    with pytest.raises(ManifestError, match=r"manifest\.json: its schema_version is .*reads 1"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", None),
        ("seed", "0"),
        ("seed", True),
        ("status", "done"),
        ("protocol", "loose"),
        ("box_dialect", "inches"),
        ("tasks", []),
        ("tasks", {"mmstar": 3}),
        ("tasks", {"mmstar": {"rows": 1}}),
        ("packages", {"torch": 2}),
        ("pixel_limits", {"min_pixels": 1}),
        ("resumed_utc", "never"),
        ("partial", 0),
    ],
)
def test_wrong_field_of_a_manifest_is_named(tmp_path, field, value):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(manifest_to_json(MANIFEST) | {field: value}))

    with pytest.raises(ManifestError, match=rf"manifest\.json: .*{field.removesuffix('s')}|missing"):
        read_manifest(path)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", "\x00", "[" * 100_000])
def test_manifest_that_is_no_manifest_is_an_error_that_names_the_file(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)

    with pytest.raises(ManifestError, match=r"manifest\.json"):
        read_manifest(tmp_path / "manifest.json")


def test_times_are_written_in_utc_and_need_a_zone():
    assert utc_text(datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))) == "2025-12-31T23:00:00Z"
    with pytest.raises(ValueError, match="no time zone"):
        utc_text(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the fault


def test_hashes_do_not_depend_on_the_order_of_keys():
    turned = replace(MANIFEST, generation=dict(reversed(MANIFEST.generation.items())))

    assert protocol_hash({"a": 1, "b": {"c": 2, "d": 3}}) == protocol_hash({"b": {"d": 3, "c": 2}, "a": 1})
    assert run_key(turned) == run_key(MANIFEST)


def test_protocol_hash_is_pinned():
    # The sha256sum of the text {"protocol":"strict","seed":0}. Stored in manifests: a change of this value makes
    # every stored run incomparable with new ones.
    assert protocol_hash({"protocol": "strict", "seed": 0}) == (
        "dd3831e097df5bce572b3e0bb0cc40312bbdc0ce71fa430a9be2a89c7ba30442"
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_protocol_hash_refuses_non_finite_numbers(bad):
    with pytest.raises(ValueError, match="JSON compliant"):
        protocol_hash({"temperature": bad})


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": "paper"},
        {"prompt_hash": "q"},
        {"generation": {"max_new_tokens": 64}},
        {"pixel_limits": None},
        {"scorer_version": 2},
    ],
)
def test_what_makes_runs_incomparable_changes_both_hashes(change):
    changed = stamp_hashes(replace(MANIFEST, **change))

    assert changed.protocol_hash != MANIFEST.protocol_hash
    assert changed.run_key != MANIFEST.run_key


@pytest.mark.parametrize(
    "change",
    [
        {"weights_hash": "b" * 64},
        {"adapter_hash": "c" * 64},
        {"format": "freeform"},
        {"box_dialect": dialect_named("gemma4")},
        {"seed": 1},
        {"tasks": {"mmstar": replace(TASK, samples=100, limit=100)}},
        {"tasks": {"mmstar": replace(TASK, fingerprint="e" * 64)}},
    ],
)
def test_other_input_changes_the_run_key_alone(change):
    changed = stamp_hashes(replace(MANIFEST, **change))

    assert changed.run_key != MANIFEST.run_key
    assert changed.protocol_hash == MANIFEST.protocol_hash


@pytest.mark.parametrize(
    "change",
    [
        {"model": "/elsewhere/ckpt"},
        {"created_utc": "2030"},
        {"git_commit": "abc"},
        {"packages": {}},
        {"status": "failed"},
        {"box_dialect_reason": "flag"},
        {"other": {"x": 1}},
    ],
)
def test_time_path_and_machine_change_no_hash(change):
    changed = stamp_hashes(replace(MANIFEST, **change))

    assert (changed.run_key, changed.protocol_hash) == (MANIFEST.run_key, MANIFEST.protocol_hash)


def test_model_is_known_by_its_name_where_weights_cannot_be_seen():
    served = replace(MANIFEST, weights_hash="")

    assert run_key(served) != run_key(replace(served, model="another"))


def asked_as(manifest, number_format=None, **arguments):
    """Return a manifest as `run` makes it of some arguments."""
    other = {"arguments": {"dtype": "auto", "attn_implementation": None} | arguments}
    if number_format is not None:
        other[NUMBER_FORMAT] = number_format
    return stamp_hashes(replace(manifest, other=other))


SERVED = replace(MANIFEST, weights_hash="", backend="openai")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (asked_as(SERVED, served_name="a"), asked_as(SERVED, served_name="b")),
        (asked_as(SERVED, served_name="a"), asked_as(SERVED)),
        (asked_as(MANIFEST, served_name="a"), asked_as(MANIFEST, served_name="b")),
        (asked_as(SERVED, base_url="http://one/v1"), asked_as(SERVED, base_url="http://other/v1")),
        (asked_as(SERVED, base_url="http://one/v1"), asked_as(SERVED, base_url="http://one:81/v1")),
        (asked_as(MANIFEST, "float32"), asked_as(MANIFEST, "bfloat16")),
        (asked_as(MANIFEST, "float16"), asked_as(MANIFEST, "bfloat16")),
        (asked_as(MANIFEST, "float32"), asked_as(MANIFEST)),
        (asked_as(MANIFEST, attn_implementation="eager"), asked_as(MANIFEST, attn_implementation="sdpa")),
        (
            asked_as(replace(MANIFEST, tasks={"mmstar": replace(TASK, template_hash="a")})),
            asked_as(replace(MANIFEST, tasks={"mmstar": replace(TASK, template_hash="b")})),
        ),
    ],
)
def test_another_model_or_computation_has_another_run_key(one, other):
    assert one.run_key != other.run_key
    assert one.protocol_hash == other.protocol_hash


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (asked_as(SERVED, base_url="http://one/v1"), asked_as(SERVED, base_url="http://one/v1/")),
        (asked_as(SERVED, served_name=SERVED.model), asked_as(SERVED, served_name=None)),
        # a server that is trusted to hold weights that are seen may move
        (asked_as(MANIFEST, base_url="http://one/v1"), asked_as(MANIFEST, base_url="http://other/v1")),
        (asked_as(MANIFEST, "bfloat16", dtype="auto"), asked_as(MANIFEST, "bfloat16", dtype="bfloat16")),
        (asked_as(MANIFEST, concurrency=1), asked_as(MANIFEST, concurrency=9)),
    ],
)
def test_the_same_model_asked_elsewhere_keeps_its_run_key(one, other):
    assert one.run_key == other.run_key


def test_task_hash_is_that_of_wording_and_data():
    assert task_hash(TASK) == task_hash(replace(TASK, samples=3, limit=3, dataset_path="/local"))
    assert task_hash(TASK) != task_hash(replace(TASK, yaml_hash="z"))
    assert "tasks" not in comparable_parts(MANIFEST)


# --- names ---


@pytest.mark.parametrize(
    ("model", "slug"),
    [
        ("Qwen/Qwen2.5-VL-3B-Instruct", "Qwen2.5-VL-3B-Instruct"),
        ("checkpoints/step 100/", "step-100"),
        ("C:\\models\\mine", "mine"),
        ("../../..", "model"),
        ("..", "model"),
        ("", "model"),
        ("/", "model"),
        ("\x00", "model"),
        ("a/..", "a"),
        ("../etc/passwd\x00.png", "passwd-.png"),
        (".hidden", "hidden"),
        ("模型", "model"),
        ("modèle", "mod-le"),
        ("x\ny", "x-y"),
    ],
)
def test_slug_of_a_model_is_safe(model, slug):
    assert model_slug(model) == slug


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=300))
def test_no_model_name_leaves_the_root(model):
    slug = model_slug(model)

    assert 0 < len(slug) <= MAX_SLUG_CHARACTERS
    assert slug.isascii()
    assert all(character.isalnum() or character in "._-" for character in slug)
    assert slug[0] not in ".-"


@pytest.mark.parametrize("model", [*HOSTILE_TEXTS, "../../evil", "/etc", "a" * 100_000, "con.partial"])
def test_hostile_model_name_makes_a_folder_inside_the_root(tmp_path, model):
    path = finished_run(tmp_path / "runs", manifest=stamp_hashes(replace(MANIFEST, model=model)))

    assert path.parent == tmp_path / "runs"
    assert names(tmp_path) == ["runs"]
    assert load_run(path).manifest.model == model
    assert verify_run(path) == []


# --- begin, publish ---


def test_folder_is_partial_until_it_is_published_whole(tmp_path, monkeypatch):
    root = tmp_path / "runs"
    seen = []
    real = os.replace

    def watched(source, target):
        if Path(target).parent == root:
            seen.append((names(root), names(Path(source))))
        real(source, target)

    with open_run(root, MANIFEST, now=NOW) as run:
        name = f"20260131T235958Z-Qwen2.5-VL-3B-Instruct-{MANIFEST.run_key[:8]}"
        assert run.folder == root / f"{name}.partial"
        assert read_manifest(run.folder / "manifest.json").status == "running"
        run.journal.append(record_of(1))
        monkeypatch.setattr(os, "replace", watched)
        final = run.publish(SCORES, now=LATER)

    files = ["SHA256SUMS", "manifest.json", "samples.jsonl", "samples.parquet", "scores.json"]
    assert seen == [([f"{name}.partial"], sorted([LOCK_NAME, *files]))]
    assert final == root / name
    assert names(root) == [name]
    assert names(final) == files
    assert verify_run(final) == []


def test_published_manifest_says_when_and_that_it_is_complete(finished):
    manifest = load_run(finished).manifest

    assert manifest == replace(
        MANIFEST, status="complete", created_utc="2026-01-31T23:59:58Z", finished_utc="2026-01-31T23:59:58Z"
    )


def test_run_without_records_is_published(tmp_path):
    path = finished_run(tmp_path)

    assert verify_run(path) == []
    assert list(load_run(path).records()) == []
    assert list(read_rows(path / "samples.parquet")) == []


def test_same_input_gives_the_same_bytes(tmp_path):
    first = finished_run(tmp_path / "a", record_of(1), page="x")
    second = finished_run(tmp_path / "b", record_of(1), page="x")

    assert first.name == second.name
    assert (first / "SHA256SUMS").read_bytes() == (second / "SHA256SUMS").read_bytes()


def test_clash_of_names_takes_the_next_number(tmp_path):
    paths = [finished_run(tmp_path, record_of(number)) for number in range(3)]

    assert [path.name.removeprefix(paths[0].name) for path in paths] == ["", "-2", "-3"]
    assert [next(load_run(path).records()).sample.id for path in paths] == ["0", "1", "2"]


def test_folder_that_takes_the_final_name_meanwhile_is_not_touched(tmp_path):
    with open_run(tmp_path, MANIFEST, now=NOW) as run:
        foreign = run.folder.with_suffix("")
        foreign.mkdir()
        final = run.publish(SCORES, now=NOW)

    assert final.name == foreign.name + "-2"
    assert names(foreign) == []


def test_a_finished_run_of_an_equal_key_is_never_opened_again(tmp_path):
    first = finished_run(tmp_path, record_of(1))
    with open_run(tmp_path, MANIFEST, now=LATER) as run:
        assert run.folder.name != f"{first.name}.partial"
        assert not run.resumed
        assert run.journal.done == set()


def test_run_of_other_weights_never_reuses_answers(tmp_path):
    with open_run(tmp_path, MANIFEST, now=NOW) as run:
        run.journal.append(record_of(1))
    with open_run(tmp_path, stamp_hashes(replace(MANIFEST, weights_hash="b" * 64)), now=LATER) as other:
        assert not other.resumed
        assert other.journal.done == set()


def test_killed_run_is_resumed_under_its_name(tmp_path):
    with open_run(tmp_path, MANIFEST, now=NOW) as run:
        run.journal.append(record_of(1))
        folder = run.folder
    with (folder / "samples.jsonl").open("ab") as file:
        file.write(b'{"task"')
    with open_run(tmp_path, MANIFEST, now=LATER) as run:
        assert (run.folder, run.resumed) == (folder, True)
        assert run.journal.done == {("mmstar", "1", 0)}
        assert run.journal.torn_bytes == 7
        assert run.manifest.created_utc == "2026-01-31T23:59:58Z"
        assert run.manifest.resumed_utc == ("2026-02-01T01:59:58Z",)
        run.journal.append(record_of(2))
        final = run.publish(SCORES, now=LATER)

    assert names(tmp_path) == [final.name]
    assert [record.sample.id for record in load_run(final).records()] == ["1", "2"]
    assert verify_run(final) == []


def test_run_that_was_killed_before_its_first_record_is_sound(tmp_path, monkeypatch):
    def killed(*args, **named):
        raise SystemExit

    monkeypatch.setattr(run_store.Journal, "open", killed)
    with pytest.raises(SystemExit):
        open_run(tmp_path, MANIFEST, now=NOW)
    (info,) = list_runs(tmp_path)

    assert (info.state, verify_run(info.path), list(load_run(info.path).records())) == ("partial", [], [])


def test_resumption_keeps_unknown_keys_of_the_manifest(tmp_path):
    with open_run(tmp_path, replace(MANIFEST, other={"note": "mine"}), now=NOW):
        pass
    with open_run(tmp_path, MANIFEST, now=LATER) as run:
        assert run.manifest.other == {"note": "mine"}


def test_failed_run_says_so_and_can_be_resumed(tmp_path):
    with open_run(tmp_path, MANIFEST, now=NOW) as run:
        run.fail(now=LATER)
    (info,) = list_runs(tmp_path)
    with open_run(tmp_path, MANIFEST, now=LATER) as run:
        status = run.manifest.status

    assert (info.state, info.manifest.status, info.manifest.finished_utc) == (
        "partial",
        "failed",
        "2026-02-01T01:59:58Z",
    )
    assert status == "running"


def test_new_run_is_made_on_demand_beside_a_partial_one(tmp_path):
    with open_run(tmp_path, MANIFEST, now=NOW) as first, open_run(tmp_path, MANIFEST, now=NOW, resume=False) as second:
        assert second.folder.name == first.folder.name.replace(".partial", "-2.partial")


def test_second_writer_of_the_same_run_is_refused(tmp_path):
    with open_run(tmp_path, MANIFEST, now=NOW) as run:
        before = (run.folder / "manifest.json").read_bytes()
        with pytest.raises(RunLockedError, match="another process is writing the run"):
            open_run(tmp_path, MANIFEST, now=LATER)
        assert (run.folder / "manifest.json").read_bytes() == before
        run.journal.append(record_of(1))
        assert verify_run(run.publish(SCORES, now=NOW)) == []


def test_new_folder_can_start_from_the_records_of_another(tmp_path):
    with open_run(tmp_path, MANIFEST, now=NOW) as run:
        run.journal.append(record_of(1, "old"))
        run.journal.append(record_of(2))
        write_thumbnail(run.media_folder, Image.new("RGB", (8, 8)), "ab" * 32)
        first = run.publish(SCORES, now=NOW)
    with open_run(tmp_path, MANIFEST, now=LATER, start_from=first) as run:
        assert len(run.journal.done) == 2
        run.journal.append(record_of(1, "new"))
        second = run.publish(SCORES, now=LATER)

    assert [record.generation.text for record in load_run(second).records()] == ["new", "<answer>B</answer>"]
    pictures = [(folder / "media" / f"{'ab' * 32}.webp").read_bytes() for folder in (first, second)]
    assert pictures[0] == pictures[1]
    assert verify_run(first) == verify_run(second) == []


@pytest.mark.parametrize("key", ["", "xyz", "../../aa"])
def test_manifest_without_a_run_key_is_refused(tmp_path, key):
    with pytest.raises(ValueError, match="stamp_hashes"):
        open_run(tmp_path / "runs", replace(MANIFEST, run_key=key), now=NOW)
    assert names(tmp_path) == []


def test_time_without_a_zone_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(ValueError, match="no time zone"):
        open_run(tmp_path / "runs", MANIFEST, now=NOW.replace(tzinfo=None))
    assert names(tmp_path) == []


def test_damaged_journal_is_named_when_resumed_and_its_lock_is_free_again(tmp_path):
    with open_run(tmp_path, MANIFEST, now=NOW) as run:
        folder = run.folder
    (folder / "samples.jsonl").write_bytes(b"{}\n")

    for _ in range(2):
        with pytest.raises(CorruptRecordError, match=r"samples\.jsonl line 1"):
            open_run(tmp_path, MANIFEST, now=LATER)


def test_root_that_is_a_file_is_a_store_error(tmp_path):
    root = tmp_path / "runs"
    root.touch()

    for action in (lambda: open_run(root, MANIFEST, now=NOW), lambda: list_runs(root)):
        with pytest.raises(StoreError, match="name a folder with --out"):
            action()


def test_root_that_is_read_only_is_a_store_error_and_nothing_is_made(tmp_path):
    (tmp_path / "sealed").mkdir(mode=0o555)
    program = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
import filelock
from harness.runs.journal import StoreError
from harness.runs.manifest import manifest_from_json
from harness.runs.json_text import parse_object
from harness.runs.store import open_run
os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.setuid(65534)
try:
    open_run(Path("sealed"), manifest_from_json(parse_object(sys.argv[2])), now=datetime.now(UTC))
except StoreError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), manifest_bytes(MANIFEST).decode()],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "Permission denied" in done.stdout
    assert "name a writable folder with --out" in done.stdout
    assert names(tmp_path / "sealed") == []


@pytest.mark.parametrize("step", ["write_parquet", "write_atomically", "_checksums", "_rename_to_free"])
def test_publication_that_the_disk_refuses_leaves_a_run_to_resume(tmp_path, monkeypatch, step):
    def refuse(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with open_run(tmp_path, MANIFEST, now=NOW) as run:
        run.journal.append(record_of(1))
        monkeypatch.setattr(run_store, step, refuse)
        with pytest.raises(StoreError, match=r"cannot publish .*No space left on device.*goes on where it was"):
            run.publish(SCORES, now=NOW)
        monkeypatch.undo()
    (info,) = list_runs(tmp_path)
    with open_run(tmp_path, MANIFEST, now=LATER) as run:
        assert run.resumed
        final = run.publish(SCORES, now=LATER)

    assert info.state == "partial"
    assert verify_run(final) == []


def test_what_killed_writers_left_half_written_is_not_published(tmp_path):
    with open_run(tmp_path, MANIFEST, now=NOW) as run:
        run.media_folder.mkdir()
        (run.media_folder / "x-1-2.tmp").touch()
        (run.folder / "samples.parquet.tmp").touch()
        final = run.publish(SCORES, now=NOW)

    assert not list(final.rglob("*.tmp"))


def test_non_finite_scores_are_written_as_null(tmp_path):
    with open_run(tmp_path, MANIFEST, now=NOW) as run:
        final = run.publish({"tasks": {"mmstar": {"value": math.nan}}}, now=NOW)

    assert load_run(final).scores == {"tasks": {"mmstar": {"value": None}}}


KILLED = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from harness.runs import store as run_store
from harness.runs.manifest import manifest_from_json
from harness.runs.json_text import parse_object
from harness.values import Components, Generation, Record, Sample, Score
step = sys.argv[3]
run = run_store.open_run(Path(sys.argv[1]), manifest_from_json(parse_object(sys.argv[2])), now=datetime.now(UTC))
run.journal.append(Record(Sample("1", "mmstar", "choice"), Generation("B"), Score(1.0, "B", Components())))
setattr(run_store, step, lambda *args: os.kill(os.getpid(), 9))
run.publish({}, now=datetime.now(UTC))
"""


@pytest.mark.parametrize(
    "step", ["write_parquet", "scores_bytes", "_write_sums", "_rename_to_free", "remove_lock_file"]
)
def test_kill_9_during_publication_leaves_a_partial_or_a_whole_run(tmp_path, step):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), manifest_bytes(MANIFEST).decode(), step], cwd=HOUSE, check=False
    )
    (before,) = list_runs(tmp_path)
    with open_run(tmp_path, MANIFEST, now=LATER) as run:
        final = run.publish(SCORES, now=LATER)

    assert done.returncode == -9
    assert before.state == ("complete" if step == "remove_lock_file" else "partial")
    assert run.resumed == (before.state != "complete")
    assert [info.state for info in list_runs(tmp_path)] == ["complete"] * (1 + (before.state == "complete"))
    assert all(verify_run(info.path) == [] for info in list_runs(tmp_path))
    assert final.exists()


# --- the table ---


def test_table_has_typed_columns(finished):
    import pyarrow.parquet as pq

    schema = pq.read_schema(finished / "samples.parquet")
    row = next(read_rows(finished / "samples.parquet"))

    assert schema.names == list(record_to_json(record_of(1)))
    assert str(schema.field("score").type) == "double"
    assert str(schema.field("repeat").type) == "int64"
    assert str(schema.field("truncated").type) == "bool"
    assert str(schema.field("text").type) == "string"
    assert (row["id"], row["score"], row["caption"]) == ("1", 1.0, None)
    assert row["components"] == {"format": 1.0, "caption": None, "bbox": 0.5, "answer": 1.0}
    assert row["match"] == {"predicted": 1, "gold": 1, "iou_sum": 0.5, "hits_50": 1}
    assert row["boxes_image_px"] == [[0.0, 1.0, 2.0, 3.0]]
    assert row["answers"] == ["B"]
    assert json.loads(row["choices"]) == {"A": "cat", "B": "dog"}
    assert json.loads(row["extra"]) == {"index": 1}


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_hostile_text_is_exact_in_the_journal_and_readable_in_the_table(tmp_path, text):
    record = replace(record_of(text, text), judge_reply=text)
    path = finished_run(tmp_path, record)
    (row,) = read_rows(path / "samples.parquet")
    readable = text.encode("utf-8", "backslashreplace").decode()

    assert list(load_run(path).records()) == [record]
    assert (row["id"], row["text"], row["judge_reply"]) == (readable,) * 3
    assert verify_run(path) == []


def test_numbers_beyond_64_bits_are_null_in_the_table(tmp_path):
    record = record_of(1)
    record = replace(record, sample=replace(record.sample, image_size=Size(2**70, 5)))
    write_parquet(tmp_path / "t.parquet", [record])
    (row,) = read_rows(tmp_path / "t.parquet")

    assert (row["width"], row["height"]) == (None, 5)


def test_non_finite_boxes_do_not_stop_the_table(tmp_path):
    record = record_of(1)
    record = replace(record, sample=replace(record.sample, boxes_image_px=((math.nan, math.inf, 1.0, 2.0),)))
    write_parquet(tmp_path / "t.parquet", [record])
    (row,) = read_rows(tmp_path / "t.parquet")

    assert row["boxes"] == [[None, None, 1.0, 2.0]]


def test_table_is_written_in_row_groups_of_bounded_size(tmp_path):
    import pyarrow.parquet as pq

    records = (record_of(number, "x" * 10_000) for number in range(4000))
    rows = write_parquet(tmp_path / "t.parquet", records)
    groups = pq.ParquetFile(tmp_path / "t.parquet").metadata

    assert rows == groups.num_rows == 4000
    assert groups.num_row_groups == 3


# --- list, load ---


def test_list_of_runs_shows_each_state(tmp_path):
    done = finished_run(tmp_path, record_of(1))
    with open_run(tmp_path, MANIFEST, now=LATER) as run:
        partial = run.folder
    broken = tmp_path / "z-broken"
    shutil.copytree(done, broken)
    (broken / "manifest.json").write_text("{")
    moved = tmp_path / "z-moved"
    shutil.copytree(partial, moved)
    (tmp_path / "notes").mkdir()
    (tmp_path / "file").touch()

    infos = list_runs(tmp_path)
    assert [(info.path, info.state) for info in infos] == [
        (done, "complete"),
        (partial, "partial"),
        (broken, "corrupt"),
        (moved, "corrupt"),
    ]
    assert "manifest.json" in infos[2].problem
    assert "'running'" in infos[3].problem


def test_missing_and_empty_roots_have_no_runs(tmp_path):
    assert list_runs(tmp_path / "missing") == list_runs(tmp_path) == []


def test_loaded_run_has_manifest_scores_and_records(finished):
    run = load_run(finished)

    assert run.finished
    assert run.scores == SCORES
    assert list(run.records()) == [record_of(1), record_of(2)]


def test_partial_run_can_be_read_while_it_is_written(tmp_path):
    with open_run(tmp_path, MANIFEST, now=NOW) as run:
        run.journal.append(record_of(1))
        stored = load_run(run.folder)

        assert (stored.finished, stored.scores) == (False, None)
        assert list(stored.records()) == [record_of(1)]


def test_folder_that_is_no_run_is_a_clear_error(tmp_path):
    with pytest.raises(ManifestError, match="Is its folder a run"):
        load_run(tmp_path)


def test_missing_scores_are_a_clear_error(finished):
    (finished / "scores.json").unlink()

    with pytest.raises(IncompleteError, match=r"scores\.json is missing"):
        load_run(finished)


# --- verify ---


def test_checksums_are_those_of_coreutils(finished):
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=finished, capture_output=True, check=False
    )

    assert done.returncode == 0
    lines = (finished / "SHA256SUMS").read_text().splitlines()
    assert [line[66:] for line in lines] == [
        "index.html",
        "manifest.json",
        "samples.jsonl",
        "samples.parquet",
        "scores.json",
    ]


@pytest.mark.parametrize("name", ["index.html", "manifest.json", "samples.jsonl", "samples.parquet", "scores.json"])
def test_flipped_byte_is_found(finished, name):
    content = bytearray((finished / name).read_bytes())
    content[len(content) // 2] ^= 1
    (finished / name).write_bytes(content)

    assert any(name in problem and "was changed" in problem for problem in verify_run(finished))


@pytest.mark.parametrize(
    "name", ["index.html", "manifest.json", "samples.jsonl", "samples.parquet", "scores.json", "SHA256SUMS"]
)
def test_missing_file_is_found(finished, name):
    (finished / name).unlink()

    assert any(name in problem for problem in verify_run(finished))


def test_extra_file_is_found_but_not_a_lock(finished):
    (finished / LOCK_NAME).touch()
    assert verify_run(finished) == []

    (finished / "media").mkdir()
    (finished / "media" / "x.webp").touch()
    assert verify_run(finished) == ["'media/x.webp' is not in SHA256SUMS: it was added later"]


def forge_sums(folder):
    run_store._write_sums(folder, run_store._checksums(folder))


def test_extra_line_is_found_even_when_the_checksums_were_forged(finished):
    with (finished / "samples.jsonl").open("ab") as file:
        file.write(record_line(record_of(3)))
    assert any("was changed" in problem for problem in verify_run(finished))

    forge_sums(finished)
    assert verify_run(finished) == [
        "samples.jsonl has 3 samples and samples.parquet 2: 1 only in the first, 0 only in the second"
    ]


def test_records_that_were_left_out_are_found(finished):
    assert verification.verify_run(finished) == ["manifest.json: mmstar has 1500 samples, and samples.jsonl 2"]


def test_torn_line_of_a_finished_run_is_found(finished):
    with (finished / "samples.jsonl").open("ab") as file:
        file.write(b"{")
    forge_sums(finished)

    assert verify_run(finished) == ["samples.jsonl ends in 1 bytes that are not a whole line"]


def test_corrupt_line_is_found(finished):
    with (finished / "samples.jsonl").open("ab") as file:
        file.write(b"{}\n")
    forge_sums(finished)

    assert any("samples.jsonl line 3" in problem for problem in verify_run(finished))


def test_duplicate_key_in_the_table_is_found(finished):
    write_parquet(finished / "samples.parquet", [record_of(1), record_of(2), record_of(2)])
    forge_sums(finished)

    assert verify_run(finished) == ["samples.parquet has 1 rows whose key is there already"]


def test_later_line_of_a_key_is_no_problem(tmp_path):
    assert verify_run(finished_run(tmp_path, record_of(1), record_of(1, "again"))) == []


def test_damaged_checksum_file_is_found(finished):
    with (finished / "SHA256SUMS").open("a") as file:
        file.write("../../etc/passwd\n" + "0" * 64 + "  ../../../etc/passwd\n")
    problems = verify_run(finished)

    assert "SHA256SUMS line 6 is not a checksum and a file name" in problems
    assert "'../../../etc/passwd' is missing" in problems


def test_unknown_schema_version_is_found(finished):
    path = finished / "manifest.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 9'))
    forge_sums(finished)

    assert any("schema_version is 9" in problem for problem in verify_run(finished))


def test_partial_run_with_a_torn_line_is_sound(tmp_path):
    with open_run(tmp_path, MANIFEST, now=NOW) as run:
        run.journal.append(record_of(1))
        folder = run.folder
    with (folder / "samples.jsonl").open("ab") as file:
        file.write(b"{")

    assert verify_run(folder) == []


def test_path_that_is_no_folder_is_said_to_be_none(tmp_path):
    assert verify_run(tmp_path / "missing") == [f"{tmp_path / 'missing'} is not a folder"]


@pytest.mark.parametrize("name", ["a\nb.html", "back\\slash", "ünï", "tab\t", "r\r"])
def test_odd_file_names_are_checked_too(tmp_path, name):
    with open_run(tmp_path, MANIFEST, now=NOW) as run:
        (run.folder / name).write_text("x")
        final = run.publish(SCORES, now=NOW)
    assert verify_run(final) == []
    assert (
        subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=final, capture_output=True, check=False).returncode == 0
    )

    (final / name).write_text("y")
    assert len(verify_run(final)) == 1


# --- later scores ---


def rescored(record):
    return replace(record, score=Score(0.0, "A", Components(0.0), faults=("no_match",)), judge_reply="A")


def test_later_scores_stand_beside_the_first(finished):
    first = {name: (finished / name).read_bytes() for name in ("scores.json", "samples.parquet", "samples.jsonl")}
    add_scores(
        finished, "paper", lambda: {"protocol": "paper"}, (rescored(record) for record in load_run(finished).records())
    )
    run = load_run(finished)

    assert {name: (finished / name).read_bytes() for name in first} == first
    assert run.rescored == {"paper": {"protocol": "paper"}}
    assert run.scores == SCORES
    assert list(run.records("paper")) == [rescored(record_of(1)), rescored(record_of(2))]
    assert list(run.records()) == [record_of(1), record_of(2)]
    assert verify_run(finished) == []
    assert LOCK_NAME not in names(finished)


def test_rescoring_again_replaces_the_later_scores(finished):
    for value in (1, 2):
        add_scores(finished, "strict", partial(dict, value=value), load_run(finished).records())

    assert load_run(finished).rescored == {"strict": {"value": 2}}
    assert load_run(finished).scores == SCORES
    assert verify_run(finished) == []


def test_adding_scores_does_not_hide_damage(finished):
    (finished / "index.html").write_text("changed")
    add_scores(finished, "paper", dict, load_run(finished).records())

    assert any("index.html" in problem for problem in verify_run(finished))


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_later_scores_of_hostile_keys_find_their_records(tmp_path, text):
    path = finished_run(tmp_path, record_of(text, text), record_of("b"))
    add_scores(path, "paper", dict, map(rescored, load_run(path).records()))

    assert list(load_run(path).records("paper")) == [rescored(record_of(text, text)), rescored(record_of("b"))]


def test_later_scores_of_other_samples_are_an_error(finished):
    add_scores(finished, "paper", dict, [record_of(1), record_of(3)])
    with pytest.raises(CorruptRecordError, match=r"samples-paper\.parquet line 2"):
        list(load_run(finished).records("paper"))

    add_scores(finished, "paper", dict, [record_of(1)])
    with pytest.raises(CorruptRecordError, match=r"samples-paper\.parquet line 2"):
        list(load_run(finished).records("paper"))


def test_scores_under_a_protocol_that_was_not_used_are_a_clear_error(finished):
    with pytest.raises(IncompleteError, match=r"satori-bench rescore .* --protocol paper"):
        load_run(finished).records("paper")


def test_unknown_protocol_is_refused(finished):
    with pytest.raises(ValueError, match=r"unknown protocol '\.\./x'"):
        add_scores(finished, "../x", dict, [])


def test_unfinished_run_takes_no_later_scores(tmp_path):
    with open_run(tmp_path, MANIFEST, now=NOW) as run, pytest.raises(IncompleteError, match="is not finished"):
        add_scores(run.folder, "paper", dict, [])


def test_two_writers_of_later_scores_do_not_meet(finished):
    lock = lock_run(finished)
    try:
        with pytest.raises(RunLockedError):
            add_scores(finished, "paper", dict, [])
    finally:
        lock.release()


def test_page_is_added_with_its_checksum(finished):
    add_file(finished, "index.html", b"<p>new")
    add_file(finished, "compare.html", b"<p>")

    assert (finished / "index.html").read_bytes() == b"<p>new"
    assert verify_run(finished) == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "../x",
        "a/b",
        "/etc/x",
        ".lock",
        "manifest.json",
        "samples.jsonl",
        "scores.json",
        "SHA256SUMS",
        "a\n",
        "x.tmp",
    ],
)
def test_page_with_a_bad_name_is_refused(finished, name):
    with pytest.raises(ValueError, match="cannot be added to a run"):
        add_file(finished, name, b"")
    assert verify_run(finished) == []


@pytest.mark.slow
def test_memory_stays_flat_over_sixty_thousand_records(tmp_path):
    program = """
import resource, sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from harness.runs.manifest import manifest_from_json
from harness.runs.json_text import parse_object
from harness.runs.store import open_run
from harness.values import Components, Generation, Record, Sample, Score
now = datetime.now(UTC)
with open_run(Path(sys.argv[1]), manifest_from_json(parse_object(sys.argv[2])), now=now, resume=False) as run:
    for number in range(int(sys.argv[3])):
        sample = Sample(str(number), "mmstar", "choice")
        run.journal.append(Record(sample, Generation("x" * 700), Score(1.0, "B", Components())))
    run.publish({}, now=now)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    peaks = [
        int(
            subprocess.run(
                [sys.executable, "-c", program, str(tmp_path), manifest_bytes(MANIFEST).decode(), str(count)],
                cwd=HOUSE,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for count in (20_000, 60_000)
    ]

    # Keys alone grow: some 300 bytes a record, against more than 1,500 for the records.
    assert peaks[1] - peaks[0] < 40_000 * 0.7


def test_importing_the_store_loads_no_heavy_library():
    program = "import sys, harness.runs.store, harness.images.thumbnails; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], cwd=HOUSE, capture_output=True, text=True, check=True)

    loaded = set(eval(done.stdout))
    assert not loaded & {"pyarrow", "pandas", "PIL", "torch", "numpy", "filelock"}


def test_record_count_is_that_of_keys_after_a_retry(tmp_path):
    path = finished_run(tmp_path, record_of(1, value=None), record_of(2), record_of(1))

    assert [record.score.value for record in read_records(path / "samples.jsonl")] == [1.0, 1.0]
    assert len(list(read_rows(path / "samples.parquet", ["id"]))) == 2


def test_a_journal_that_was_changed_is_not_scored_again(make_run):
    from harness.evaluation.rescore import rescore_run

    rows = [{"id": str(n), "task": "mmstar", "prediction": "A", "answers": ["A"]} for n in range(20)]
    folder = make_run("a", rows)
    journal = folder / "samples.jsonl"
    kept = journal.read_bytes()
    for changed in (b"", kept.replace(b'"text":"A"', b'"text":"B"', 1)):
        journal.write_bytes(changed)
        with pytest.raises(IncompleteError, match="changed after the run was published"):
            rescore_run(load_run(folder), "paper")

    assert not list(folder.glob("*paper*"))
    journal.write_bytes(kept)
    assert rescore_run(load_run(folder), "paper").tasks["mmstar"].rows == 20


@pytest.mark.slow
def test_a_lock_holds_also_after_lmms_eval_made_file_locks_shared(tmp_path):
    code = (
        "import sys; from pathlib import Path; from lmms_eval import evaluator;"
        "from harness.runs.journal import lock_run;"
        "evaluator._enable_reentrant_filelocks(); held = lock_run(Path(sys.argv[1]))\n"
        "try: lock_run(Path(sys.argv[1])); print('taken twice')\n"
        "except Exception as fault: print(type(fault).__name__)\n"
    )
    command = [sys.executable, "-P", "-c", code, str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert done.stdout.split()[-1:] == ["RunLockedError"], done.stderr


@pytest.mark.parametrize("name", ["base", "a", "9", "Base_2.1-rc", "x" * MAX_SLUG_CHARACTERS, "later", "a.partially"])
def test_a_plain_name_names_the_folder_in_place_of_the_model(tmp_path, name):
    with open_run(tmp_path, replace(MANIFEST, name=check_run_name(name)), now=NOW) as run:
        assert run.folder.name == f"20260131T235958Z-{name}-{MANIFEST.run_key[:8]}.partial"
        assert read_manifest(run.folder / "manifest.json").name == name


@pytest.mark.parametrize(
    "name",
    [
        "", " ", "a b", "a/b", "../a", "..", ".", ".a", "a.", "-a", "a-", "_", "a\n", "a\x1b[31m", "a\0", "ä", "日本",
        "a@paper",
        "latest", "a.partial", "x" * (MAX_SLUG_CHARACTERS + 1), "a\\b", "*", "$(a)", "\u202ea", "a\ud800",
    ],
)  # fmt: skip
def test_a_name_that_is_no_plain_part_of_a_folder_is_refused(name):
    with pytest.raises(ConfigError, match="cannot name a run") as caught:
        check_run_name(name)

    assert str(caught.value).isprintable()


def test_a_name_changes_neither_the_run_key_nor_what_older_manifests_mean(tmp_path):
    assert stamp_hashes(replace(MANIFEST, name="x")).run_key == MANIFEST.run_key
    obj = {key: value for key, value in manifest_to_json(MANIFEST).items() if key != "name"}

    assert manifest_from_json(obj).name is None


def test_only_a_finished_run_of_equal_input_is_equal(tmp_path):
    assert equal_finished_runs(tmp_path / "none", MANIFEST) == []
    with open_run(tmp_path, MANIFEST, now=NOW) as run:
        assert equal_finished_runs(tmp_path, MANIFEST) == [], "it is not finished"
        folder = run.publish({}, now=NOW)

    assert equal_finished_runs(tmp_path, MANIFEST) == [folder]
    assert equal_finished_runs(tmp_path, stamp_hashes(replace(MANIFEST, weights_hash="b" * 64))) == []
    with open_run(tmp_path, MANIFEST, now=LATER) as run:
        later = run.publish({}, now=LATER)
    assert equal_finished_runs(tmp_path, MANIFEST) == [later, folder], "the newest first"


def test_a_killed_retry_is_taken_up_by_the_same_retry_alone(tmp_path):
    retry = replace(MANIFEST, other={RETRIED: "first"})
    with open_run(tmp_path, MANIFEST, now=NOW) as plain, open_run(tmp_path, retry, now=NOW) as begun:
        assert not begun.resumed, "a plain run is none"
        folders = plain.folder, begun.folder

    with open_run(tmp_path, retry, now=LATER) as again, open_run(tmp_path, MANIFEST, now=LATER) as run:
        assert (run.folder, again.folder) == folders
    with open_run(tmp_path, replace(MANIFEST, other={RETRIED: "second"}), now=LATER) as other:
        assert not other.resumed
