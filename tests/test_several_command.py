"""Questions about several pictures from the command line: a checkpoint, a served model, a picture that is missing."""

import base64
import hashlib
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from harness.comparison.verify_run import verify_run
from harness.errors import ExitCode
from harness.runs.store import load_run
from reports.pages.explorer_texts import text_of

pytestmark = pytest.mark.slow

TASKS = (
    "mmmu_val", "mmmu_pro", "mmmu_pro_4options", "mmmu_pro_vision", "mmbench_en_dev_v11", "mmbench_cn_dev_v11",
)  # fmt: skip
WITHOUT = "validation_Art_Theory_1"
"""The row of MMMU whose second picture is taken out."""


@pytest.fixture(scope="module")
def with_a_picture_missing(local_data, tmp_path_factory) -> Path:
    """MMMU's file with the second picture of one row gone."""
    table = pq.read_table(next((local_data.parquet / "mmmu_val").glob("*.parquet")))
    rows = table.to_pylist()
    rows[1]["image_2"] = None
    path = tmp_path_factory.mktemp("mmmu") / "mmmu.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    return path


def test_every_task_is_asked_with_all_of_its_pictures(command, tiny_qwen2_5_vl, local_data, with_a_picture_missing):
    code, out, err = command(
        "run", "--model", tiny_qwen2_5_vl, "--tasks", ",".join(TASKS), "--data-dir", local_data.parquet, "--dataset",
        f"mmmu_val={with_a_picture_missing}", "--max-new-tokens", 4, "--device", "cpu", "--min-pixels", 784,
        "--max-pixels", 6272, "--json",
    )  # fmt: skip

    assert code == ExitCode.OK, err  # one of 144 could not be asked
    run = load_run(Path(json.loads(out)["run"]))
    assert verify_run(run.path) == []
    scores = json.loads((run.path / "scores.json").read_text())["tasks"]
    assert {name: found["rows"] for name, found in scores.items()} == dict.fromkeys(TASKS, 24)
    assert {name: found["unscored"] for name, found in scores.items() if found["unscored"]} == {
        "mmmu_val": {"error": 1}
    }
    records = {record.sample.id: record for record in run.records() if record.sample.task == "mmmu_val"}
    missing = records.pop(WITHOUT)
    assert missing.generation.error == "unreadable image: UnreadablePictureError: the row has no picture 2"
    assert [len(record.sample.pictures) for record in records.values()].count(4) == 4
    for record in records.values():
        assert (run.path / "media" / f"{record.sample.image_sha256}.webp").is_file()
        shown = record.generation.prompt.count("<|vision_start|>")
        assert shown == max(1, len(record.sample.pictures)) + (
            record.sample.id.split("_")[-1] in {"4", "10", "16", "22"}
        )
    four = records["validation_Biology_2"]
    one = records["validation_Accounting_0"]
    assert four.generation.input_tokens > one.generation.input_tokens + 3
    assert Image.open(run.path / "media" / f"{four.sample.image_sha256}.webp").size == (2 * 84 + 8, 2 * 56 + 8)
    assert text_of([four])["pictures"].startswith(
        "4 pictures in the benchmark, each once in the order shown: 112 × 112 px"
    )

    code, out, err = command("rescore", run.path, "--protocol", "vlmevalkit", "--json")
    assert code == ExitCode.OK, err
    assert verify_run(run.path) == []


@pytest.mark.parametrize("fixture", ["tiny_qwen3_vl", "tiny_llava"])
def test_other_families_take_several_pictures_too(command, local_data, fixture, request):
    code, out, err = command(
        "run", "--model", request.getfixturevalue(fixture), "--tasks", "mmmu_val", "--data-dir", local_data.parquet,
        "--limit", 6, "--max-new-tokens", 3, "--device", "cpu", "--no-page", "--json",
    )  # fmt: skip

    assert code == ExitCode.OK, err
    records = list(load_run(Path(json.loads(out)["run"])).records())
    assert sorted(len(record.sample.pictures) for record in records) == [0, 0, 0, 2, 2, 4]
    assert {record.generation.error for record in records} == {None}


class Keeper(BaseHTTPRequestHandler):
    """A served model that keeps what it was asked."""

    asked: ClassVar[list] = []

    def do_GET(self):
        self.answer({"object": "list", "data": [{"id": "m", "object": "model"}]})

    def do_POST(self):
        self.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        message = {"role": "assistant", "content": "B"}
        self.answer({"object": "chat.completion", "choices": [{"message": message, "finish_reason": "stop"}]})

    def answer(self, found):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def log_message(self, *_):
        pass


def test_a_served_model_gets_text_and_pictures_in_their_order(command, local_data, several_builder):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Keeper)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    code, out, err = command(
        "run", "--model", "m", "--backend", "openai", "--base-url", f"http://127.0.0.1:{server.server_port}/v1",
        "--tasks", "mmmu_val", "--data-dir", local_data.tsv, "--format", "plain", "--no-page", "--json",
    )  # fmt: skip
    server.shutdown()
    server.server_close()

    assert code == ExitCode.OK, err
    asked = [request["messages"][-1]["content"] for request in Keeper.asked]
    [parts] = [parts for parts in asked if pixels_of(several_builder.card(5, 4, 2)) in map(pixels_in, parts)]
    first, second = (pixels_of(several_builder.card(5, 4, number)) for number in (1, 2))
    assert [pixels_in(part) or part["text"] for part in parts][:6] == [
        "Look at ", second, ", then at ", first, ", then at ", second
    ]  # fmt: skip
    records = list(load_run(Path(json.loads(out)["run"])).records())
    assert {record.sample.id: record.score.value for record in records}["1"] == 1.0, "its answer is B"


def pixels_of(data: bytes) -> str:
    return hashlib.sha256(Image.open(io.BytesIO(data)).convert("RGB").tobytes()).hexdigest()


def pixels_in(part) -> str | None:
    if part["type"] != "image_url":
        return None
    return pixels_of(base64.b64decode(part["image_url"]["url"].partition(",")[2]))
