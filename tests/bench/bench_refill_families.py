"""Every tiny family: what refilled rows write beside single questions and batches, with the lengths of the answers.

python -P tests/bench/bench_refill_families.py [FAMILY ...]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from refilled_answers import KINDS, QUESTIONS, end_at_any_step, questions, refilled, single
from tiny_families import FAMILIES, build

from harness.models.hf import SatoriHF
from training.loop.tiny_model import train_tokenizer


def main(names: Sequence[str]) -> None:
    tokenizer = train_tokenizer(
        ["What colour is the circle? a red circle <answer>red</answer> [[0,4,28,32],[8,12,56,52]]"] * 30
    )
    differing = []
    print(
        f"{'family':24} refilled: rows as alone and batches as alone, of {QUESTIONS}: greedy, sampled, penalised; lengths"
    )
    for name in names or FAMILIES:
        with tempfile.TemporaryDirectory() as folder:
            model = SatoriHF(str(build(name, Path(folder), tokenizer)), device="cpu")
        if model.why_batches is not None:
            print(f"{name:24} in batches: {model.why_batches}", flush=True)
            continue
        end_at_any_step(model)
        told, lengths = [], set()
        for decoding in KINDS:
            prompts = questions(model, decoding)
            alone, rows, batches = single(model, prompts), refilled(model, prompts, 3), single(model, prompts, 3)
            equal = [sum(a == b for a, b in zip(alone, others, strict=True)) for others in (rows, batches)]
            told.append("{} and {}".format(*equal))
            lengths |= set(map(len, rows))
            differing += [name] if equal[0] < QUESTIONS else []
        print(f"{name:24} {', '.join(told)}; {sorted(lengths)}", flush=True)
    assert not differing, f"refilled rows write something else: {differing}"


if __name__ == "__main__":
    main(sys.argv[1:])
