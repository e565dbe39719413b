# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from alphapose_ros.base.boxes import non_maximum_suppression
from alphapose_ros.base.errors import MissingDependencyError, WeightsError
from alphapose_ros.detection.config import TORCHVISION_NAMES, DetectorConfig
from alphapose_ros.detection.factory import create_detector
from alphapose_ros.detection.torchvision import (
    COCO_CLASSES,
    TorchvisionDetector,
    build_torchvision,
    require_torchvision,
)
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.weights import save_tensors

pytestmark = pytest.mark.usefixtures("one_thread")

pytest.importorskip("torchvision", reason="TORCHVISION'S DETECTORS NOT CHECKED: not installed")

BUILDERS = {
    "fasterrcnn_mobilenet_v3": "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_resnet50": "fasterrcnn_resnet50_fpn",
    "retinanet_resnet50": "retinanet_resnet50_fpn",
    "fcos_resnet50": "fcos_resnet50_fpn",
    "ssdlite320": "ssdlite320_mobilenet_v3_large",
}


def test_every_name_is_checked_here():
    assert set(BUILDERS) == set(TORCHVISION_NAMES)


def towards_people(state):
    """The tensors with a bias for people in every classifier: something is to be found."""
    out = dict(state)
    for key, value in state.items():
        classifier = any(
            part in key for part in ("cls_score", "cls_logits", "classification_head")
        )
        if classifier and "rpn" not in key and value.ndim == 1 and len(value) % COCO_CLASSES == 0:
            out[key] = value.clone()
            out[key].view(-1, COCO_CLASSES)[:, 1] += 4
    return out


def public(name, monkeypatch):
    """torchvision's own network as it makes it for its public weights, which are random here.

    Its norms are frozen ones, and for two names it sets their epsilon to 0.
    """
    from torchvision.models import detection
    from torchvision.ops.misc import FrozenBatchNorm2d

    builder = getattr(detection, BUILDERS[name])
    weights = detection.__dict__[
        {
            "fasterrcnn_mobilenet_v3": "FasterRCNN_MobileNet_V3_Large_FPN_Weights",
            "fasterrcnn_resnet50": "FasterRCNN_ResNet50_FPN_Weights",
            "retinanet_resnet50": "RetinaNet_ResNet50_FPN_Weights",
            "fcos_resnet50": "FCOS_ResNet50_FPN_Weights",
            "ssdlite320": "SSDLite320_MobileNet_V3_Large_Weights",
        }[name]
    ].COCO_V1
    torch.manual_seed(0)
    plain = builder(weights=None, weights_backbone=None, num_classes=COCO_CLASSES)
    for layer in plain.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_var, 1e-4, 1.5)  # small ones show the epsilon
            nn.init.normal_(layer.running_mean, std=0.1)
            nn.init.uniform_(layer.weight, 0.05, 0.3)
    state = towards_people(plain.state_dict())
    if name != "ssdlite320":
        state = {key: value for key, value in state.items() if "num_batches" not in key}
    monkeypatch.setattr(type(weights), "get_state_dict", lambda *_, **__: state)
    return builder(weights=weights), state, FrozenBatchNorm2d


@pytest.mark.parametrize("name", BUILDERS)
def test_a_photograph_is_answered_as_by_torchvisions_own_network(name, monkeypatch):
    image = pytest.importorskip("skimage.data").astronaut()[40:440]
    theirs, state, frozen = public(name, monkeypatch)
    assert any(isinstance(layer, frozen) for layer in theirs.modules()) == (name != "ssdlite320")
    config = DetectorConfig(
        name=name, weights="x", input_height=160, input_width=192, score_threshold=0.0,
        nms_iou=0.55, max_people=1000, min_box_px=0,
    )  # fmt: skip
    ours = TorchvisionDetector(build_torchvision(config, state), config)
    if name != "ssdlite320":
        theirs.transform.min_size, theirs.transform.max_size = (192,), 192
    cutter = getattr(theirs, "roi_heads", theirs)
    cutter.score_thresh, cutter.nms_thresh = 0.0, 0.55
    with torch.inference_mode():
        raw = theirs.eval()([torch.from_numpy(image.copy()).permute(2, 0, 1) / 255])[0]
    person = (raw["labels"] == 1).numpy()
    boxes, scores = raw["boxes"].numpy()[person], raw["scores"].numpy()[person]
    sound = (boxes[:, 2:] > boxes[:, :2]).all(1)
    boxes, scores = boxes[sound], scores[sound]
    order = np.argsort(-scores, kind="stable")
    boxes, scores = boxes[order], scores[order]
    found = ours(ImageBatch.upload([image]))[0]
    assert len(found) > 3
    kept = non_maximum_suppression(boxes, scores, 0.55)
    np.testing.assert_allclose(found.scores, scores[kept], atol=1e-5)
    # Frozen norms round in their own way: people of almost the same score may change places, and
    # of two boxes on one, the other may be kept.
    apart = np.abs(found.boxes[:, None] - boxes[kept]).max(2)
    for nearest in (apart.min(0), apart.min(1)):
        assert (nearest < 0.05).mean() >= 0.98
        assert (nearest < 0.5).all()


def random_network(config):
    torch.manual_seed(0)
    return build_torchvision(config, towards_people(build_torchvision(config, None).state_dict()))


# fasterrcnn_resnet50 differs from the other Faster R-CNN in its trunk alone.
@pytest.mark.parametrize("name", [name for name in BUILDERS if name != "fasterrcnn_resnet50"])
def test_every_image_is_answered_alone_and_by_the_latest_thresholds(name):
    first = DetectorConfig(
        name=name, weights="x", input_height=96, input_width=96, score_threshold=1.0,
        nms_iou=0.3, min_box_px=0, max_people=1000,
    )  # fmt: skip
    second = replace(first, nms_iou=0.9, score_threshold=0.001)
    live, anew = (TorchvisionDetector(random_network(c), c) for c in (first, second))
    images = [
        np.arange(80 * 60 * 3, dtype=np.uint8).reshape(80, 60, 3),
        np.full((60, 90, 3), 80, np.uint8),
    ]
    batch = ImageBatch.upload(images)
    assert [len(people) for people in live(batch)] == [0, 0]
    live.reconfigure(second)
    together = live(batch)
    assert sum(len(people) for people in together) > 0
    for image, people in zip(images, together, strict=True):
        alone = anew(ImageBatch.upload([image]))[0]
        np.testing.assert_allclose(people.scores, alone.scores, atol=1e-6)
        np.testing.assert_allclose(people.boxes, alone.boxes, atol=1e-3)
        assert (np.diff(people.scores) <= 0).all()
        assert (people.boxes >= 0).all()
        assert (people.boxes <= [*image.shape[1::-1]] * 2).all()
    assert live(ImageBatch.upload([])) == []


class TwoThings(nn.Module):
    """torchvision's answer format: a person and a dog."""

    def forward(self, images):
        assert images[0].max() <= 1
        return [
            {
                "boxes": torch.tensor([[1.0, 2, 30, 40], [5, 5, 50, 50]]),
                "labels": torch.tensor([1, 18]),
                "scores": torch.tensor([0.7, 0.9]),
            }
        ]


def test_only_people_are_taken():
    detector = TorchvisionDetector(TwoThings(), DetectorConfig(name="ssdlite320", weights="x"))
    people = detector(ImageBatch.upload([np.full((60, 60, 3), 255, np.uint8)]))[0]
    np.testing.assert_allclose(people.boxes, [[1, 2, 30, 40]])
    np.testing.assert_allclose(people.scores, [0.7])


def test_weights_come_from_a_local_file_or_the_hub_folder_only(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    config = DetectorConfig(name="ssdlite320", weights="ssdlite-123.pth")
    with pytest.raises(WeightsError, match=r"ssdlite-123\.pth"):
        create_detector(config)
    (tmp_path / "checkpoints").mkdir()
    state = build_torchvision(config, None).state_dict()
    torch.save(state, tmp_path / "checkpoints" / "ssdlite-123.pth")
    loaded = create_detector(config).model.state_dict()
    name = next(iter(state))
    torch.testing.assert_close(loaded[name], state[name])


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_tensors({"conv.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="ssdlite320"):
        create_detector(DetectorConfig(name="ssdlite320", weights=str(path)))


def test_norms_that_were_trained_on_keep_their_epsilon():
    config = DetectorConfig(name="retinanet_resnet50", weights="x")
    state = build_torchvision(config, None).state_dict()
    public_form = {key: value for key, value in state.items() if "num_batches" not in key}
    for given, eps in ((state, 1e-5), (public_form, 0.0)):
        norms = [
            layer
            for layer in build_torchvision(config, given).modules()
            if isinstance(layer, nn.BatchNorm2d)
        ]
        assert {layer.eps for layer in norms} == {eps}
    dead = "backbone.body.bn1.running_var"
    public_form[dead] = public_form[dead] * 0
    assert build_torchvision(config, public_form).backbone.body.bn1.eps == 1e-5


def test_operators_that_are_not_there_are_one_clear_error(monkeypatch):
    import torchvision

    def broken(*_):
        raise RuntimeError("Couldn't load custom C++ ops. This can happen if ...")

    monkeypatch.setattr(torchvision.ops, "nms", broken)
    config = DetectorConfig(name="fcos_resnet50", weights="x")
    message = r"^the detector fcos_resnet50 needs torchvision's compiled operators.*yolox, yolov3"
    with pytest.raises(MissingDependencyError, match=message) as caught:
        build_torchvision(config, None)
    assert "\n" not in str(caught.value)


def test_a_torchvision_that_cannot_be_imported_is_one_clear_error(tmp_path):
    """In a process of its own: a module that failed halfway leaves its traces in this one."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("raise next(reasons)")
    code = f"""
import builtins, sys
sys.path.insert(0, {str(tmp_path)!r})
from alphapose_ros.base.errors import MissingDependencyError
from alphapose_ros.detection.torchvision import require_torchvision
builtins.reasons = iter([
    RuntimeError("operator torchvision::nms does not exist"),
    AttributeError("module 'torchvision' has no attribute 'extension'"),
    ImportError("libtorch.so: undefined symbol"),
])
for _ in range(3):
    try:
        require_torchvision("the detector ssdlite320")
    except MissingDependencyError as error:
        print("refused:", error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert line.startswith("refused: the detector ssdlite320 needs ")
        assert "pip install torchvision" in line


def test_working_operators_give_the_module():
    assert hasattr(require_torchvision("this test"), "retinanet_resnet50_fpn")
