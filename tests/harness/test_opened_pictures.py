"""A picture is opened once for the questions that stand together, within a bound, and each is shown its own."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import pytest
from PIL import Image

from harness.images.pictures import UnreadablePictureError
from harness.models.opened_pictures import OpenedPictures
from harness.models.replay import SatoriReplay
from harness.values import PixelLimits


def picture(number: int = 0, side: int = 10) -> Image.Image:
    return Image.new("RGB", (side, side), (number, 0, 0))


BYTES = 10 * 10 * 3


class Counted:
    """Opens pictures, and counts how often."""

    def __init__(self) -> None:
        self.opened: list[int] = []

    def __call__(self, number: int):
        def open_picture():
            self.opened.append(number)
            return picture(number)

        return open_picture


@pytest.mark.parametrize(
    ("asked", "opened"),
    [
        ([0, 0, 0, 0], [0]),
        ([0, 1, 0, 1], [0, 1]),
        ([0, 1, 2, 0], [0, 1, 2, 0]),  # room for two
        ([0, 1, 0, 2, 0, 1], [0, 1, 2, 1]),  # the one asked about last stays
        ([], []),
    ],
)
def test_what_was_asked_about_last_is_opened_once(asked, opened):
    pictures, counted = OpenedPictures(most_bytes=2 * BYTES), Counted()

    shown = [pictures.opened(number, counted(number)).getpixel((0, 0))[0] for number in asked]

    assert (shown, counted.opened) == (asked, opened)


@pytest.mark.parametrize(("side", "most_bytes"), [(10, BYTES - 1), (10, 0), (3000, 2**20)])
def test_a_picture_beyond_the_bound_is_opened_and_not_kept(side, most_bytes):
    pictures = OpenedPictures(most_bytes=most_bytes)

    shown = [pictures.opened("large", lambda: picture(side=side)) for _ in range(2)]

    assert (shown[0].size, shown[0] is shown[1], pictures.kept_bytes) == ((side, side), False, 0)


def test_kept_bytes_never_pass_the_bound_and_are_given_back():
    pictures, most = OpenedPictures(most_bytes=5 * BYTES), []

    for number in range(40):
        pictures.opened(number, partial(picture, side=1 + number % 13))
        most.append(pictures.kept_bytes)
    pictures.forget()

    assert (0 < max(most) <= 5 * BYTES, pictures.kept_bytes) == (True, 0)


def test_threads_wait_for_the_one_that_opens():
    pictures, counted, begun = OpenedPictures(), Counted(), threading.Barrier(4)

    def ask():
        begun.wait()
        return pictures.opened(7, counted(7))

    with ThreadPoolExecutor(4) as pool:
        shown = [asking.result() for asking in [pool.submit(ask) for _ in range(4)]]

    assert (counted.opened, {id(one) for one in shown}) == ([7], {id(shown[0])})


def test_an_error_reaches_all_who_wait_and_nothing_is_kept_of_it():
    pictures, wait = OpenedPictures(), threading.Event()

    def broken():
        wait.wait(5)
        raise UnreadablePictureError("truncated")

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(pictures.opened, 0, broken) for _ in range(2)]
        wait.set()
        said = [str(one.exception()) for one in asking]

    assert said == ["truncated"] * 2
    assert pictures.opened(0, picture).size == (10, 10)


@dataclass
class Stored:
    """An image that is opened on demand and says what it is; counts how often it is opened."""

    sha256: str
    colour: int
    opened: list[int] = field(default_factory=list)

    def open(self) -> Image.Image:
        self.opened.append(self.colour)
        if self.colour < 0:
            raise UnreadablePictureError("truncated")
        return Image.new("RGB", (60, 60), (self.colour, 0, 0))


class Seeing(SatoriReplay):
    """Replays which colours and sizes it was shown."""

    def __init__(self, **options) -> None:
        super().__init__(lambda _task, _doc: "", open_images=True, **options)
        self.seen: dict[int, tuple[int, tuple[int, int]]] = {}

    def generate_batch(self, prompts):
        self.seen |= {
            prompt.doc_id: (prompt.images[0].getpixel((0, 0))[0], prompt.images[0].size) for prompt in prompts
        }
        return super().generate_batch(prompts)


def test_each_question_is_shown_its_own_picture_opened_once(three, recorder):
    opened: list[int] = []
    colours = [row // 4 for row in range(48)]
    three.images = [Stored(f"{colour:064x}", colour, opened) for colour in colours]
    three.questions = ["?"] * len(colours)
    model = Seeing(batch_size=3)
    model.recorder = recorder

    three.ask(model)

    assert [model.seen[row][0] for row in range(48)] == colours
    assert sorted(opened) == list(range(12))
    assert model._pictures.kept_bytes == 0, "given back after the task"


def test_an_unreadable_picture_costs_the_questions_about_it_alone(three, recorder):
    three.images = [Stored("a" * 64, 5), Stored("b" * 64, -1), Stored("a" * 64, 5), Stored("b" * 64, -1)]
    three.questions = ["?"] * 4
    model = Seeing(batch_size=4)
    model.recorder = recorder

    three.ask(model)

    reason = "unreadable image: UnreadablePictureError: truncated"
    assert [kept.error for _, kept in sorted(recorder.kept.items())] == [None, reason, None, reason]


def test_other_pixel_limits_make_another_picture():
    model, stored, sizes = Seeing(), Stored("a" * 64, 5), []
    for limits in (None, PixelLimits(28 * 28, 28 * 28), PixelLimits(56 * 56, 56 * 56), None):
        model.pixel_limits = limits
        sizes.append(model._open(stored).size)

    assert sizes == [(60, 60), (28, 28), (56, 56), (60, 60)]
    assert len(stored.opened) == 3


@pytest.mark.parametrize("sha256", ["", None])
def test_a_picture_that_does_not_say_what_it_is_is_opened_each_time(sha256):
    model, stored = Seeing(), Stored(sha256, 5)

    assert model._open(stored).size == model._open(stored).size == (60, 60)
    assert len(stored.opened) == 2


def test_a_copy_begins_with_none_within_the_same_bound():
    pictures = OpenedPictures(most_bytes=BYTES)
    pictures.opened("one", picture)

    copied = copy.deepcopy(pictures)  # as lmms-eval does with a model that it was given as an object
    for number in range(2):
        copied.opened(number, picture)

    assert (pictures.kept_bytes, copied.kept_bytes) == (BYTES, BYTES)
