"""Answers of mixed length: rows that are refilled as they end, and batches that wait for their longest, in one process.

A random Qwen2.5-VL on one thread. A script says after how many tokens each answer ends: the spread of SATORI's answers,
that of free thoughts, and answers of which 3 % run to the limit. Greedy; both arms must write the same tokens. CPU
seconds; arms take turns; medians. The last lines tell what a second thread is worth here.

    python -P tests/bench/bench_refill.py
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from transformers import StoppingCriteriaList

from harness.images.grid import fit_to_grid
from harness.models import hf
from harness.models.base import Prompt, Turn
from harness.models.cpu_threads import OthersAtWork
from harness.models.decoding import Decoding
from harness.models.hf import SatoriHF
from training.loop.tiny_model import TinyShape, build_tiny_qwen2_5_vl

SAMPLES = 64
ROUNDS = 2
MEAN, LIMIT = 24, 240
SHAPE = TinyShape(hidden=256, layers=4, heads=4, feed_forward=704, vision_layers=2)
MARKS = ("<answer>", "</answer>")
"""Tokens that stand in a question around its number."""


def lengths(spread: float, at_limit: float, rng: random.Random) -> list[int]:
    """Draw how many tokens answers have: log-normal, and a share of them as many as they may."""
    drawn = [rng.lognormvariate(0, spread) for _ in range(SAMPLES)]
    scale = MEAN / statistics.fmean(drawn)
    found = [min(LIMIT, max(1, round(scale * one))) for one in drawn]
    for place in rng.sample(range(SAMPLES), round(at_limit * SAMPLES)):
        found[place] = LIMIT
    return found


KINDS = {
    "all as long": ([MEAN] * SAMPLES, {8: 0.9}),
    "SATORI's answers": (lengths(0.38, 0, random.Random(1)), {8: 1.0, 32: 1.1}),
    "free thoughts": (lengths(0.95, 0, random.Random(2)), {8: 1.3, 32: 1.3}),
    "3 % run to the limit": (lengths(0.38, 0.03, random.Random(3)), {8: 1.5, 32: 2.5}),
}
"""Lengths, and the least ratio that is promised by the number of rows."""


class Script:
    """Ends a row when it has as many tokens as its number says."""

    def __init__(self, tokenizer, ends: list[int]) -> None:
        self._marks = tokenizer.convert_tokens_to_ids(list(MARKS))
        self._numbers = {tuple(tokenizer(f"{n:03}").input_ids): n for n in range(SAMPLES)}
        self._rest = len(tokenizer(f"{MARKS[1]}?<|im_end|>\n<|im_start|>assistant\n").input_ids)
        self._ends = ends

    def __call__(self, ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
        return torch.tensor(list(map(self._is_over, ids.tolist())))

    def _is_over(self, row: list[int]) -> bool:
        start, end = map(row.index, self._marks)
        return len(row) - end - self._rest >= self._ends[self._numbers[tuple(row[start + 1 : end])]]


def written(model: SatoriHF, prompts: list[Prompt], rows: int, *, refilled: bool) -> tuple[float, list[list[int]]]:
    """Ask; return seconds and tokens."""
    model._features.forget()
    found: dict[int, list[int]] = {}
    started = time.process_time()
    if refilled:
        model.batch_size = rows
        generation = model._generation

        def keep(row):
            found[row.prompt.doc_id] = row.tokens
            return generation(row)

        model._generation = keep
        assert not [outcome for _, outcome in model.answer_stream(iter(prompts)) if isinstance(outcome, Exception)]
        del model._generation
    else:
        for start in range(0, len(prompts), rows):
            some = prompts[start : start + rows]
            found |= {p.doc_id: list(w.token_ids) for p, w in zip(some, model.write_batch(some), strict=True)}
    return time.process_time() - started, [found[number] for number in range(len(prompts))]


def scripted(model: SatoriHF, ends: list[int]) -> None:
    """Let answers end by a script, in either arm."""
    script = Script(model._inputs.tokenizer, ends)
    model._stop_arguments = lambda decoding: {"stopping_criteria": StoppingCriteriaList([script])}
    model._ends = None
    hf.Ends.of = lambda decoding, end_ids, tokenizer: hf.Ends(decoding, end_ids, script)


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = build_tiny_qwen2_5_vl(Path(folder), [f"Where is it? {MARKS[0]}A 0 1 2 3 4 5 6 7 8 9"] * 50, shape=SHAPE)
        model = SatoriHF(str(path), device="cpu")
    model._suppressed_ids |= model._end_ids  # the script alone ends a text
    picture = fit_to_grid(Image.linear_gradient("L").resize((112, 112)).convert("RGB"), model.pixel_limits)
    asked = Prompt("t", 0, 0, (), Decoding(LIMIT))
    prompts = [
        replace(asked, doc_id=n, turns=(Turn("user", (picture, f"What is it? {MARKS[0]}{n:03}{MARKS[1]}?")),))
        for n in range(SAMPLES)
    ]
    print(f"{'answers':22} {'rows':>4} {'mean':>5} {'most':>5} {'batches, s':>11} {'refilled, s':>12}   ratio")
    missed = []
    for name, (ends, promises) in KINDS.items():
        scripted(model, ends)
        for rows, least in promises.items():
            rounds = [
                (written(model, prompts, rows, refilled=False), written(model, prompts, rows, refilled=True))
                for _ in range(ROUNDS)
            ]
            for (_, batches), (_, refilled) in rounds:
                assert [len(tokens) for tokens in refilled] == ends, "the script was not followed"
                cut = [tokens[:end] for tokens, end in zip(batches, ends, strict=True)]
                assert cut == refilled, "the arms answered differently"
            ratio = statistics.median(plain[0] / new[0] for plain, new in rounds)
            plain_s, new_s = (statistics.median(arm[0] for arm in arms) for arms in zip(*rounds, strict=True))
            shown = f"{name:22} {rows:4} {statistics.fmean(ends):5.0f} {max(ends):5} {plain_s:11.1f} {new_s:12.1f}"
            print(f"{shown}   {ratio:4.2f}x (at least {least}x)", flush=True)
            missed += [f"{name}, {rows} rows: {ratio:.2f}x"] if ratio < least else []
    scripted(model, KINDS["SATORI's answers"][0])
    for threads in (1, 2, 1, 2):
        torch.set_num_threads(threads)
        others = OthersAtWork()
        started = time.perf_counter()
        written(model, prompts, 8, refilled=True)
        print(
            f"{threads} threads: {time.perf_counter() - started:.1f} s of wall time, while others used {others.cores() or 0:.1f} cores",
            flush=True,
        )
    assert not missed, missed


if __name__ == "__main__":
    main()
