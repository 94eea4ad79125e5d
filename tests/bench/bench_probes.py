"""What a probe costs: one request list in batches of one size, weighed at once, against each edited picture anew.

A random Qwen2.5-VL; pictures of two sizes, k = 3, one filling, so ten questions a picture, each with a text and the
probability of a given answer in the middle of it. `anew` asks and weighs one edited picture after another, each from
its prompt; `probe` asks the list as `satori-bench probe` does, and weighs while the features of the pictures are still
known. Both run in this process, taking turns; tokens have to be equal and probabilities within rounding. `overhead` is
what is not the model's own: edits, opening, bookkeeping.

With `--run`, a finished run of a tiny checkpoint is probed as `satori-bench probe` does it, k = 3, both fillings, and
the calls that it made of the model are made again alone, with the pictures that they had: what lies between the two is
the probe's own, from reading the run to its files. Loading the model is in neither.

    python -P tests/bench/bench_probes.py [--run RUN] [--samples 300]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from PIL import Image
from skimage import data as photographs

from harness.images.grid import fit_to_grid
from harness.models.answer_probability import AnswerAfter, answer_log_probabilities
from harness.models.base import Prompt, Turn
from harness.models.decoding import Decoding
from harness.models.hf import SatoriHF
from harness.probes.fills import edited
from harness.probes.variants import ProbedRegions, ProbePlan, planned
from harness.values import Size
from tasks import probe, probe_asking
from tasks.asked_again import open_asked_run
from tasks.run_spec import RunEnvironment
from tasks.run_subject import load_model
from training.loop.tiny_model import TinyShape, build_tiny_qwen2_5_vl

SIZES = (Size(320, 240), Size(240, 320))
SAMPLES = 8
BATCH = 8
NEW_TOKENS = 32
ROUNDS = 3
SHAPE = TinyShape(hidden=128, layers=4, heads=4, feed_forward=352, vision_layers=4)
MOST = 0.6
"""Share of the cost of asking anew that is promised."""
MOST_OVERHEAD, MOST_SECONDS = 0.15, 300
"""Beyond the model's own calls, and by the clock for 300 samples."""
WARMING = 16
"""Samples that are probed before anything is timed."""


def prompts_of(model: SatoriHF) -> tuple[list[Prompt], float]:
    """Return one question an edited picture, pictures of one size together, and the seconds that edits took."""
    made: list[Prompt] = []
    started = time.perf_counter()
    for number in range(SAMPLES):
        size = SIZES[number * len(SIZES) // SAMPLES]
        pixels = np.asarray(
            Image.fromarray(photographs.astronaut()).rotate(9 * number).resize((size.width, size.height))
        )
        box = (40 + 5 * number, 60, 110 + 5 * number, 130)
        variants, _ = planned(ProbePlan(fills=("mean",)), ("t", str(number)), ProbedRegions((box,)), size)
        for variant in variants:
            image = Image.fromarray(edited(pixels, variant.operation, variant.boxes_px, variant.fill))
            turns = (Turn("user", (fit_to_grid(image, model.pixel_limits), f"Question {number}: what is there?")),)
            made.append(Prompt("t", len(made), 0, turns, Decoding(NEW_TOKENS)))
    return made, time.perf_counter() - started


def asked(model: SatoriHF, prompts: list[Prompt], batch: int, *, remembering: bool) -> tuple[float, list, list[float]]:
    """Ask and weigh; return seconds, tokens, logarithms of probabilities."""
    model._features.forget()
    started = time.perf_counter()
    tokens: list[tuple[int, ...]] = []
    logs: list[float] = []
    for first in range(0, len(prompts), batch):
        part = prompts[first : first + batch]
        written = [one.token_ids for one in model.write_batch(part)]
        if not remembering:
            model._features.forget()
        middles = [AnswerAfter(p, ids[: len(ids) // 2], (17, 23)) for p, ids in zip(part, written, strict=True)]
        logs += answer_log_probabilities(model, middles)
        tokens += written
    return time.perf_counter() - started, tokens, logs


def probed(folder: Path, samples: int) -> None:
    """Probe a copy of a run, make the model's calls again, and tell what both cost."""
    with tempfile.TemporaryDirectory() as temporary:
        run = Path(shutil.copytree(folder, Path(temporary) / folder.name))
        asked = open_asked_run(run, {})
        model = load_model(asked.spec, silent(), asked.subject)
        assert isinstance(model, SatoriHF), "it has probabilities"
        calls = Calls(model)
        with (
            patched(probe, "load_model", lambda *_: model),
            patched(probe_asking, "answer_log_probabilities", calls.weigh),
        ):
            model.answer_stream = calls.answer_stream
            # what torch does at its first calls is nobody's
            probe.probe_run(probe.ProbeSpec(run, ProbePlan(), limit=WARMING), silent())
            calls.forget()
            whole = spent(lambda: probe.probe_run(probe.ProbeSpec(run, ProbePlan(), limit=samples), silent()))
    own = spent(calls.again)
    asked_of, weighed = len(calls.prompts), sum(map(len, calls.weighed.values()))
    print(f"{samples} samples, k = 3, two fillings: {asked_of} questions, {weighed} answers weighed")
    print(
        f"probe {whole[0]:.0f} s by the clock, {whole[1]:.0f} s of CPU; the model's own calls {own[0]:.0f} s, {own[1]:.0f} s"
    )
    print(f"overhead {whole[1] / own[1] - 1:.1%} of CPU beyond the model's own calls (at most {MOST_OVERHEAD:.0%})")
    assert whole[0] <= MOST_SECONDS, "the probe takes longer than is promised"
    assert whole[1] / own[1] - 1 <= MOST_OVERHEAD, "the probe costs more beside its model than is promised"


class Calls:
    """The calls that a probe made of its model: prompts in their order, and answers weighed after so many of them."""

    def __init__(self, model: SatoriHF) -> None:
        self.prompts: list[Prompt] = []
        self.weighed: dict[int, list[AnswerAfter]] = {}
        self._model = model
        self._stream = model.answer_stream
        self._answered = 0

    def answer_stream(self, prompts: Iterator[Prompt]) -> Iterator[tuple[Prompt, object]]:
        def kept() -> Iterator[Prompt]:
            for prompt in prompts:
                self.prompts.append(prompt)
                yield prompt

        for answer in self._stream(kept()):
            self._answered += 1
            yield answer

    def weigh(self, model: SatoriHF, answers: Sequence[AnswerAfter]) -> list[float]:
        self.weighed.setdefault(self._answered, []).extend(answers)
        return answer_log_probabilities(model, answers)

    def forget(self) -> None:
        self.prompts.clear()
        self.weighed.clear()
        self._answered = 0

    def again(self) -> None:
        self._model._features.forget()
        for number, _ in enumerate(self._stream(iter(self.prompts)), start=1):
            waiting = self.weighed.get(number, [])
            for first in range(0, len(waiting), BATCH):
                answer_log_probabilities(self._model, waiting[first : first + BATCH])


@contextmanager
def patched(module: ModuleType, name: str, value: object) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    yield
    setattr(module, name, before)


def silent() -> RunEnvironment:
    return RunEnvironment(now=lambda: datetime.now(UTC), say=lambda _: None, listener=Unheard(), packages={})


class Unheard:
    """Listens to nothing."""

    def task_started(self, task: str, rows: int, answered: int) -> None: ...

    def sample_recorded(self, record: object) -> None: ...

    def task_finished(self, task: str) -> None: ...


def spent(call: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that a call took, by the clock and of this process on processors."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall_s, time.process_time() - cpu_s


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", type=Path)
    parser.add_argument("--samples", type=int, default=300)
    options = parser.parse_args()
    if options.run is not None:
        probed(options.run, options.samples)
        return
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = build_tiny_qwen2_5_vl(Path(folder), ["Where is it? <answer>A</answer> [[0, 1, 2, 3]]"] * 50, shape=SHAPE)
        model = SatoriHF(str(path), device="cpu")
    prompts, edits_s = prompts_of(model)
    times: dict[str, list[float]] = {"anew": [], "probe": []}
    for _ in range(ROUNDS):
        anew_s, anew, anew_logs = asked(model, prompts, 1, remembering=False)
        probe_s, probe, probe_logs = asked(model, prompts, BATCH, remembering=True)
        assert anew == probe, "tokens differ"
        assert np.allclose(anew_logs, probe_logs, atol=1e-3), "probabilities differ"
        times["anew"].append(anew_s)
        times["probe"].append(probe_s)
    anew_s, probe_s = (statistics.median(times[arm]) for arm in ("anew", "probe"))
    print(f"{len(prompts)} edited pictures of {SAMPLES} samples: anew {anew_s:.1f} s, probe {probe_s:.1f} s")
    print(f"ratio {probe_s / anew_s:.2f} (at most {MOST}), overhead {edits_s / probe_s:.1%}")
    assert probe_s / anew_s <= MOST, "the probe costs more than is promised"


if __name__ == "__main__":
    main()
