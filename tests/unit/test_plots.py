from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from smart_retail.callbacks.figures import draw, judged, show
from smart_retail.contract import Contract
from smart_retail.data.datamodule import denormalise, normalise
from smart_retail.plots import age_scatter, batch_grid, captions, confusion, confusion_figure, pixels
from smart_retail.tasks import AGE_MAX, TASKS
from tests.helpers.batches import face_batch, relabelled
from tests.helpers.loggers import AsComet, AsMLflow, AsTensorBoard, AsWandb, Offline, Service


def outputs(count):
    """Everyone is said to be female, 30 years old and surprised."""
    gender, emotion = torch.zeros(count, 2), torch.zeros(count, 6)
    gender[:, 1] = emotion[:, 5] = 1
    return {"gender": gender, "age": torch.full((count, 1), 30.0), "emotion": emotion}


def test_a_row_of_the_confusion_is_a_label():
    counts = confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 3)
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_the_confusion_figure_tells_shares_and_counts():
    figure = confusion_figure(np.array([[3, 1], [0, 0]]), ["male", "female"], "gender")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["75%", "25%", "0%", "0%"]
    assert figure.axes[0].get_title() == "gender: 75.0% of 4 right"
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["male (4)", "female (0)"]


def test_the_scatter_shows_every_age_and_the_error_of_each_data_set():
    labels, years = np.array([20.0, 40.0, 60.0]), np.array([22.0, 40.0, 50.0])
    axes = age_scatter(labels, years, np.array([0, 0, 1]), ["one", "two"]).axes[0]
    points = np.concatenate([c.get_offsets() for c in axes.collections])
    assert points[:, 1].tolist() == years.tolist()
    assert np.abs(points[:, 0] - labels).max() < 0.5
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one: 1.0 years off", "two: 10.0 years off"]
    assert axes.get_xlim() == (0, AGE_MAX)


def test_predictions_without_a_label_are_left_out():
    batch = face_batch("xx..", "x...", "....")
    said = judged(outputs(4), batch, TASKS)
    assert said["gender"][:, 1].tolist() == [1] * 4
    assert said["gender"][:, 0].tolist() == [*batch.labels["gender"][:2].tolist(), -1, -1]
    assert (said["age"][1:, 0] == -1).all()
    assert draw([said, said], TASKS, ["a", "b"]).keys() == {"gender_confusion", "age_scatter"}


def test_a_caption_has_a_question_mark_where_there_is_no_label():
    labels = {"gender": torch.tensor([1, -1]), "age": torch.tensor([34.0, -1]), "emotion": torch.tensor([-1, 2])}
    assert captions(relabelled(face_batch("..", "..", ".."), **labels).labels, TASKS) == [
        "female, 34, ?",
        "?, ?, happy",
    ]


def test_a_caption_has_the_ends_of_a_range_and_the_share_of_the_most_voted_emotion():
    batch = relabelled(
        face_batch("..", "..", ".."),
        age_range=torch.tensor([[20.0, 29.0], [70.0, AGE_MAX]]),
        emotion_votes=torch.tensor([[0.3, 0.0, 0.0, 0.3, 0.4, 0.0], [0.0] * 6]),
    )
    assert captions(batch.labels, TASKS) == ["?, 20-29, sad 40%", "?, 70+, ?"]


def test_the_grid_shows_the_pixels_that_were_normalised():
    contract = Contract(image_size=32)
    raw = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(denormalise(normalise(raw, contract), contract), raw)
    figure = batch_grid(face_batch()._replace(image=normalise(raw, contract)), contract, count=3)
    shown = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    assert len(shown) == 3
    assert np.array_equal(shown[1], raw[1].permute(1, 2, 0).numpy())


def test_a_figure_becomes_bytes_without_pyplot():
    picture = pixels(confusion_figure(np.eye(2, dtype=int), ["a", "b"], "x"))
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    assert picture.std() > 0


@pytest.mark.parametrize(
    ("logger", "taken"),
    [
        (AsWandb(), [("val/gender", 3, 7)]),
        (AsMLflow(), [("abc", 1, "val/gender/step_000007.png")]),
        (AsComet(), [("val/gender", 1, 7)]),
        (AsTensorBoard(), [("val/gender", 3, 7)]),
        (Service(), []),
        (Offline(), []),
    ],
)
def test_a_figure_reaches_every_logger_in_its_own_way(logger, taken, tmp_path):
    figure = confusion_figure(np.eye(2, dtype=int), ["a", "b"], "x")
    show(SimpleNamespace(loggers=[CSVLogger(tmp_path), logger]), "val/gender", figure, 7)
    assert logger.taken == taken
