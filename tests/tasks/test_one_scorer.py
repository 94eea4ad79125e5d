"""One scorer: for the same text and gold, hook value == reward-shaped call == rescored value."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from harness.evaluation.ask import PreparedTask, RunRecorder
from harness.evaluation.predictions import rescore_record
from harness.runs.record_codec import record_from_line, record_line
from harness.scoring.box_dialects import dialect_named
from harness.scoring.score import score
from harness.values import FORMATS, PROTOCOLS, Generation, ScoreConfig, Size
from tasks.catalog import BENCHMARKS
from tasks.local_data import open_task_data

TEXTS = 600
PIECES = [
    "<caption>",
    "</caption>",
    "<bbox>",
    "</bbox>",
    "<answer>",
    "</answer>",
    "<think>",
    "</think>",
    "<ANSWER>",
    "a red circle",
    "[[1,2,30,40]]",
    "[[5,5,1,1],[0,0,9,9]]",
    "[[nan,1,2,3]]",
    "A",
    "B.",
    "yes",
    "No",
    "2",
    "two",
    "3.50",
    "The answer is (C).",
    "not B",
    "\n",
    " ",
    "\ud83d",
    "\u7ea2",
    "1e999",
    "\\boxed{D}",
    "red",
    "",
    "\x00",
    "<answer>B</answer>",
    "[/THINK]",
    "<|begin_of_box|>",
    "<|end_of_box|>",
    "<|im_end|>",
    "\u2028",
]


class Sink:
    """Keeps records."""

    def __init__(self):
        self.records = []

    def append(self, record):
        self.records.append(record)


class Silent:
    """Listens to nothing."""

    def task_started(self, task, rows, answered):
        pass

    def sample_recorded(self, record):
        pass

    def task_finished(self, task):
        pass


def a_text(rng: random.Random) -> str:
    if rng.random() < 0.4:
        answer = rng.choice(["A", "B", "yes", "no", "2", "red", "circle", "(C)", "A or B"])
        caption = f"a {rng.choice(['red', 'blue'])} circle"
        box = [rng.randint(0, 40), 4, 50, 60]
        return f"<caption>{caption}</caption><bbox>{[box]}</bbox>\n<answer>{answer}</answer>"
    return "".join(rng.choice(PIECES) for _ in range(rng.randint(0, 14)))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_hook_reward_and_rescore_agree(protocol, local_data):
    rng = random.Random(PROTOCOLS.index(protocol))
    compared = 0
    for name, benchmark in BENCHMARKS.items():
        data = open_task_data(benchmark, Path(local_data.parquet))
        adapter = benchmark.adapter
        count = min(len(data), 24)
        config = ScoreConfig(protocol=protocol, format=rng.choice(FORMATS), box_dialect=dialect_named("input_px"))
        sink = Sink()
        recorder = RunRecorder(sink, config, {}, Silent())
        recorder.begin(
            PreparedTask(
                name=name,
                lmms_name=benchmark.yaml_name,
                lmms_task=None,
                sample_ids=tuple(adapter.id_of(data[place]) for place in range(count)),
                sample_at=lambda place, data=data, adapter=adapter: adapter.sample_of(data[place]),
            )
        )
        for place in range(count):
            text, seen, cut = a_text(rng), Size(280, 252), rng.random() < 0.2
            sample = adapter.sample_of(data[place])
            reward = score(sample, text, config, input_size=seen, truncated=cut)

            recorder.record(benchmark.yaml_name, place, Generation(text=text, input_size=seen, truncated=cut))
            hook = recorder.hook_value(name, sample.id, lambda sample=sample: sample)
            stored = record_from_line(record_line(sink.records[-1]), "journal", 1)
            again = rescore_record(stored, config)

            assert sink.records[-1].score == reward
            assert hook == reward.value
            assert again.score == reward
            compared += 1
    assert compared * len(PROTOCOLS) >= TEXTS
