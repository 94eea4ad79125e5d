"""`attend` on finished runs of tiny checkpoints."""

import json
from pathlib import Path

import pytest

from harness.probes.attention_records import read_attention
from harness.runs.store import load_run

pytestmark = pytest.mark.slow

RUN = (
    "--tasks",
    "shapes",
    "--dataset",
    "shapes=tiny",
    "--limit",
    "9",
    "--device",
    "cpu",
    "--no-page",
    "--no-thumbnails",
)
TEXT = "<caption>a red circle</caption><bbox>[[0,4,28,32]]</bbox><answer>red</answer>"


@pytest.fixture
def run_of_text(command, tiny_qwen2_5_vl, monkeypatch):
    """A run of a tiny checkpoint that writes one text whatever it is asked, with the tokens of it."""
    from harness.models.hf import SatoriHF
    from harness.values import Generation

    def generate(self, prompts):
        ids = tuple(self.ids_of(TEXT))
        return [Generation(self.text_of(ids), output_ids=ids) for _ in prompts]

    monkeypatch.setattr(SatoriHF, "is_streamed", lambda self, decoding: False)
    monkeypatch.setattr(SatoriHF, "generate_batch", generate)
    code, _, err = command("run", "--model", tiny_qwen2_5_vl, *RUN)
    assert code == 0, err
    (folder,) = Path("runs").iterdir()
    return folder


def test_a_run_is_read_and_the_files_are_part_of_it(command, run_of_text):
    code, out, err = command("attend", run_of_text, "--limit", "6", "--maps", "2", "--no-page", "--json")

    assert code == 0, err
    found = json.loads(out)["tasks"]["shapes"]
    records = read_attention((run_of_text / "attention.jsonl").read_bytes(), "attention.jsonl")
    stored = json.loads((run_of_text / "attention.json").read_text())
    assert found["statuses"] == {"ok": 6}
    assert set(found["spans"]) == {"boxes", "caption", "answer"}
    assert found["spans"]["boxes"]["density"]["n"] == 6
    assert [record.status for record in records] == ["ok"] * 6
    assert sum(record.spans["boxes"].cells is not None for record in records) == 2
    assert stored["tasks"]["shapes"]["spans"]["answer"]["image_mass"]["value"] == pytest.approx(
        sum(record.spans["answer"].image_mass for record in records) / 6
    )
    assert command("runs", "verify", run_of_text)[0] == 0
    assert load_run(run_of_text).finished


def test_looking_twice_gives_the_same_bytes(command, run_of_text):
    contents = []
    for _ in range(2):
        assert command("attend", run_of_text, "--no-page")[0] == 0
        contents.append([(run_of_text / name).read_bytes() for name in ("attention.jsonl", "attention.json")])

    assert contents[0] == contents[1]


def test_other_weights_and_other_families_are_refused(command, run_of_text, tiny_qwen2_vl, tiny_idefics3):
    code, _, err = command("attend", run_of_text, "--model", tiny_qwen2_vl)
    assert code == 5
    assert "other weights" in err
    assert command("run", "--model", tiny_idefics3, *RUN, "--name", "other")[0] == 0

    code, _, err = command("attend", "other", "--no-page")

    assert code == 2
    assert "cannot be read" in err
