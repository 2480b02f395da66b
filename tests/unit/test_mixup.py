import pytest
import torch

from smart_retail.errors import ConfigError
from smart_retail.tasks import TASKS
from smart_retail.training.losses import task_losses
from smart_retail.training.mixup import mixup
from smart_retail.training.module import FaceAttributeModule
from tests.helpers.batches import face_batch

LABELS = {"gender": "xxxx....", "age": "xxxx....", "emotion": "....xxxx"}


def soft_targets(count):
    return {task.name: torch.rand(count, task.width).softmax(1) for task in TASKS}


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_an_image_is_its_face_and_its_partner_by_share(alpha):
    batch = face_batch(**LABELS)._replace(soft=soft_targets(8))
    torch.manual_seed(1)
    mixed = mixup(batch, alpha)
    partner = batch.image[mixed.partner.row]
    assert 0.5 <= mixed.share <= 1
    torch.testing.assert_close(mixed.batch.image, mixed.share * batch.image + (1 - mixed.share) * partner)
    assert mixed.partner.image is mixed.batch.image
    assert sorted(mixed.partner.row.tolist()) == list(range(8))


def test_labels_masks_and_soft_targets_go_with_their_face():
    batch = face_batch(**LABELS)._replace(soft=soft_targets(8))
    torch.manual_seed(0)
    batch_, partner, _ = mixup(batch, 1.0)
    for kind in ("labels", "soft"):
        for name, values in getattr(batch, kind).items():
            assert torch.equal(getattr(batch_, kind)[name], values)
            assert torch.equal(getattr(partner, kind)[name], values[partner.row])
    assert torch.equal(partner.dataset, batch.dataset[partner.row])


def test_the_loss_is_that_of_both_faces_by_share():
    batch = face_batch(**LABELS)
    module = FaceAttributeModule("resnet10t", image_size=32, dropout=0.0, mixup=0.8)
    module.net.eval()
    torch.manual_seed(3)
    losses = module.step(batch, "train")[1]
    torch.manual_seed(3)
    mixed, partner, share = mixup(batch, 0.8)
    raw = module.net.raw(mixed.image.contiguous(memory_format=torch.channels_last))
    first, second = (task_losses(module.net, raw, faces.labels, 0.0) for faces in (mixed, partner))
    for task, loss in losses.items():
        torch.testing.assert_close(loss, share * first[task] + (1 - share) * second[task])
    assert share < 0.95


def test_only_training_faces_are_mixed():
    batch = face_batch(**LABELS)
    plain, mixing = (FaceAttributeModule("resnet10t", image_size=32, mixup=alpha).eval() for alpha in (0.0, 1.0))
    mixing.load_state_dict(plain.state_dict())
    assert torch.equal(plain.step(batch, "val")[0], mixing.step(batch, "val")[0])


def test_stored_soft_targets_are_mixed_too():
    batch = face_batch(**LABELS)._replace(soft=soft_targets(8))
    module = FaceAttributeModule("resnet10t", image_size=32, mixup=1.0)
    losses = module.step(batch, "train")[1]
    assert {"soft_gender", "soft_age", "soft_emotion"} < set(losses)
    assert all(torch.isfinite(loss) for loss in losses.values())


@pytest.mark.parametrize("alpha", [-0.1, float("nan"), float("inf")])
def test_an_impossible_alpha_is_refused(alpha):
    with pytest.raises(ConfigError, match="mixup"):
        FaceAttributeModule("resnet10t", mixup=alpha)
