import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_f1_score

from smart_retail.training.metrics import FaceMetrics, score
from tests.helpers.batches import FaceOutputs, face_batch, part_of, relabelled

LOSSES = {task: torch.tensor(1.0) for task in ("gender", "age", "emotion")}


def outputs(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return FaceOutputs(
        torch.randn(count, 2, generator=generator),
        100 * torch.rand(count, 1, generator=generator),
        torch.randn(count, 6, generator=generator),
    )


def random_mask(count, seed):
    return "".join(np.random.default_rng(seed).choice(["x", "."], count))


@pytest.fixture(scope="module")
def data():
    count = 90
    return outputs(count), face_batch(*(random_mask(count, seed) for seed in range(3)), size=1)


def measured(out, batch, *, size=7, datasets=()):
    metrics = FaceMetrics(datasets=datasets)
    for start in range(0, len(batch.row), size):
        part = slice(start, start + size)
        metrics.update(FaceOutputs(*(o[part] for o in out)), part_of(batch, part), LOSSES)
    return metrics.compute()


def test_metrics_of_batches_are_those_of_all_faces_together(data):
    out, batch = data
    values = measured(out, batch)
    g, a, e = (batch.labels[task] >= 0 for task in LOSSES)
    gender, emotion = out.gender.argmax(1)[g], out.emotion.argmax(1)[e]
    error = (out.age.squeeze(1) - batch.labels["age"]).abs()[a]
    assert values["gender_acc"] == pytest.approx((gender == batch.labels["gender"][g]).float().mean().item())
    recalls = [(gender == c)[batch.labels["gender"][g] == c].float().mean().item() for c in (0, 1)]
    assert values["gender_balanced_acc"] == pytest.approx(np.mean(recalls))
    assert values["age_mae"] == pytest.approx(error.mean().item(), rel=1e-5)
    assert values["age_cs5"] == pytest.approx((error <= 5).float().mean().item())
    assert values["emotion_acc"] == pytest.approx((emotion == batch.labels["emotion"][e]).float().mean().item())
    f1 = multiclass_f1_score(out.emotion[e], batch.labels["emotion"][e], 6, average="macro")
    assert values["emotion_f1"] == pytest.approx(f1.item())


def test_a_data_sets_metrics_are_those_of_its_faces_alone(data):
    out, batch = data
    both = measured(out, batch, datasets=["a", "b"])
    rows = batch.dataset == 1
    alone = measured(FaceOutputs(*(o[rows] for o in out)), part_of(batch, rows))
    for name in ("gender_acc", "gender_balanced_acc", "age_mae", "age_cs5", "emotion_acc", "emotion_f1"):
        assert both[f"b/{name}"] == pytest.approx(alone[name].item())


def test_a_single_data_set_is_said_once(data):
    out, batch = data
    values = measured(out, batch._replace(dataset=torch.zeros_like(batch.dataset)), datasets=["only"])
    assert not any("/" in name for name in values)


def test_a_task_without_labels_has_no_value(data):
    out, batch = data
    values = measured(out, relabelled(batch, age=torch.full_like(batch.labels["age"], -1)))
    assert not any("age" in name for name in values)
    assert "emotion_acc" in values


def test_a_data_set_without_labels_of_a_task_has_no_value_for_it(data):
    out, batch = data
    values = measured(out, relabelled(batch, age=torch.where(batch.dataset == 0, 30.0, -1)), datasets=["a", "b"])
    assert "a/age_mae" in values
    assert "b/age_mae" not in values


def test_nothing_measured_has_no_values_at_all():
    assert FaceMetrics(datasets=["a", "b"]).compute() == {}


def test_the_loss_is_the_mean_over_labels_not_over_batches():
    metrics = FaceMetrics()
    for text, loss in (("xxx.", 1.0), ("x...", 5.0)):
        batch = face_batch(text, text, text, size=1)
        metrics.update(outputs(4), batch, {task: torch.tensor(loss) for task in LOSSES})
    assert metrics.compute()["loss_age"] == 2


def test_reset_forgets(data):
    out, batch = data
    metrics = FaceMetrics(datasets=["a", "b"])
    metrics.update(out, batch, LOSSES)
    metrics.reset()
    assert metrics.compute() == {}
    metrics.update(out, batch, LOSSES)
    assert metrics.compute()["age_mae"] == measured(out, batch)["age_mae"]


def test_five_years_off_still_counts():
    batch = face_batch(size=1)
    out = outputs(4)._replace(age=(batch.labels["age"] + torch.tensor([5.0, -5.0, 5.01, 0.0])).unsqueeze(1))
    assert measured(out, batch)["age_cs5"] == 0.75


class TestScore:
    def test_it_is_the_mean_over_the_tasks(self):
        values = {"gender_acc": 0.9, "emotion_acc": 0.6, "age_mae": 5.0, "loss": 3.0}
        found = score({name: torch.tensor(value) for name, value in values.items()})
        assert found.item() == pytest.approx((0.9 + 0.6 + 0.75) / 3)

    def test_tasks_without_labels_do_not_enter(self):
        assert score({"emotion_acc": torch.tensor(0.6)}).item() == pytest.approx(0.6)

    def test_without_any_task_there_is_none(self):
        assert score({"loss": torch.tensor(1.0)}) is None

    @pytest.mark.parametrize(("name", "better", "worse"), [("gender_acc", 0.9, 0.8), ("age_mae", 4.0, 6.0)])
    def test_better_is_higher(self, name, better, worse):
        assert score({name: torch.tensor(better)}) > score({name: torch.tensor(worse)})


def test_a_face_without_a_majority_counts_in_no_accuracy(data):
    out, batch = data
    votes = torch.where(batch.labels["emotion"].unsqueeze(1) >= 0, 0.0, 1 / 6).expand(-1, 6)
    names = ("emotion_acc", "emotion_f1")
    plain, voted = (measured(out, labels) for labels in (batch, relabelled(batch, emotion_votes=votes)))
    assert [voted[name] for name in names] == [plain[name] for name in names]


def test_ranges_and_other_opinions_on_emotions_have_figures_of_their_own():
    batch = face_batch("....", "x...", "x...")
    low, high = torch.tensor([-1.0, 20, 20, 70]), torch.tensor([-1.0, 29, 29, 100])
    out = outputs(4)._replace(age=torch.tensor([[30.0], [29.4], [31.5], [50.5]]))
    said = out.emotion.argmax(1)
    batch = relabelled(
        batch,
        age_range=torch.stack([low, high], 1),
        emotion_crowd=torch.where(torch.arange(4) < 3, said, -1),
        emotion_original=(said + (torch.arange(4) > 1)) % 6,
    )
    values = measured(out, batch)
    assert values["age_inside"] == pytest.approx(1 / 3)
    assert values["age_outside"] == pytest.approx((0 + 2 + 19) / 3)
    assert values["emotion_crowd_acc"] == 1
    assert values["emotion_original_acc"] == pytest.approx(0.5)
    assert values["age_mae"] == pytest.approx(abs(30 - batch.labels["age"][0].item()), rel=1e-5)


def test_where_ages_are_ranges_alone_the_share_inside_counts_in_the_score():
    values = {"gender_acc": torch.tensor(0.8), "age_inside": torch.tensor(0.4)}
    assert score(values) == pytest.approx(0.6)
