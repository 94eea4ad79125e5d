"""Requests to ask a model with, and a recorder that remembers."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from PIL import Image

from harness.values import Generation


@dataclass
class Handle:
    """An image that is opened on demand, and counts how often."""

    image: Image.Image | None
    opened: int = 0

    def open(self) -> Image.Image:
        self.opened += 1
        if self.image is None:
            raise OSError("image file is truncated")
        return self.image


@dataclass
class MemoryRecorder:
    """Keeps generations in a dict, in the order in which they came."""

    kept: dict[tuple[str, int], Generation] = field(default_factory=dict)
    looked_up: list[tuple[str, int]] = field(default_factory=list)

    def lookup(self, task: str, doc_id: int) -> Generation | None:
        self.looked_up.append((task, doc_id))
        return self.kept.get((task, doc_id))

    def record(self, task: str, doc_id: int, generation: Generation, image=None) -> None:
        assert (task, doc_id) not in self.kept, "recorded twice"
        self.kept[task, doc_id] = generation


@dataclass
class Asked:
    """Documents of one task and the requests that lmms-eval would make of them."""

    images: list
    questions: list[str]
    system: str = ""
    task: str = "satori_probe"

    def ask(self, model, repeats: int = 1, **arguments) -> list:
        """Ask every document and return lmms-eval's results."""
        from lmms_eval.api.instance import Instance

        docs = [{"image": image, "question": text} for image, text in zip(self.images, self.questions, strict=True)]
        model.task_dict = {self.task: {"test": docs}}
        requests = [
            Instance(
                request_type="generate_until",
                arguments=("", self.messages, dict(arguments), doc_id, self.task, "test"),
                idx=0,
                metadata={"task": self.task, "doc_id": doc_id, "repeats": repeats},
            )
            for doc_id in range(len(docs))
            for _ in range(repeats)
        ]
        return model.generate_until(requests)

    def messages(self, doc) -> list[dict]:
        parts = [] if doc["image"] is None else [{"type": "image", "url": doc["image"]}]
        user = {"role": "user", "content": [*parts, {"type": "text", "text": doc["question"]}]}
        system = {"role": "system", "content": [{"type": "text", "text": self.system}]}
        return [system, user] if self.system else [user]


@pytest.fixture(scope="session")
def photos() -> list[Image.Image]:
    """Three sizes: a drawn canvas, a real photograph, a strip."""
    from skimage import data

    photo = Image.fromarray(data.astronaut()).resize((640, 480))
    canvas = Image.new("RGB", (56, 56), "white")
    canvas.paste((255, 0, 0), (4, 4, 28, 28))
    return [canvas, photo, photo.crop((100, 100, 130, 300))]


@pytest.fixture
def three(photos) -> Asked:
    questions = ["What colour is the square?", "How many people are there, and where do they look?", "Left?"]
    return Asked([Handle(photo) for photo in photos], questions, system="Answer in one word.")


@pytest.fixture
def recorder() -> MemoryRecorder:
    return MemoryRecorder()


@pytest.fixture(scope="session")
def tiny_answers(tiny_qwen2_5_vl, photos):
    """A function from a checkpoint's folder to texts and input sizes for two pictures; `of_today`: of the tiny one."""

    def answers(folder) -> list[tuple]:
        from harness.model_hf import SatoriHF

        model = SatoriHF(str(folder), device="cpu", batch_size=2, min_pixels=784, max_pixels=50_176)
        model.recorder = recorder = MemoryRecorder()
        asked = Asked([Handle(photo) for photo in photos[:2]], ["What colour is it?", "Who is it?"])
        asked.ask(model, max_new_tokens=12)
        return [(kept.text, kept.input_size) for _, kept in sorted(recorder.kept.items())]

    answers.of_today = answers(tiny_qwen2_5_vl)
    return answers
