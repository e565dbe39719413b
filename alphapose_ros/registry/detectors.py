# SPDX-License-Identifier: Apache-2.0
"""Person detectors of others: YOLOX, torchvision's, Darknet's YOLOv3, EfficientDet."""

from __future__ import annotations

from alphapose_ros.registry.spec import IMAGENET_MEAN, IMAGENET_STD, PUBLISHED, RAW_STD, ModelSpec

_COCO = "COCO train2017, 80 classes of which the person's is read"


def _yolox(size: str, side: int, ap: float) -> ModelSpec:
    return ModelSpec(
        name=f"yolox_{size}",
        task="detection",
        format="yolox",
        detector_name="yolox",
        file=f"yolox_{size}.pth",
        url="https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/"
        f"yolox_{size}.pth",
        input_hw=(side, side),
        channels="BGR",
        std=RAW_STD,
        licence="Apache-2.0 (YOLOX, Copyright Megvii Inc.)",
        origin="YOLOX by Megvii, release 0.1.1rc0",
        data=_COCO,
        metrics={"COCO AP": ap},
        measured_on=f"{PUBLISHED} (YOLOX's README): COCO val2017, all 80 classes, {side}x{side}",
    )


YOLOX = (
    _yolox("nano", 416, 0.258),
    _yolox("tiny", 416, 0.328),
    _yolox("s", 640, 0.405),
    _yolox("m", 640, 0.469),
    _yolox("l", 640, 0.497),
    _yolox("x", 640, 0.511),
)


def _torchvision(
    name: str, builder: str, digits: str, ap: float, input_hw: tuple[int, int] = (800, 1333)
) -> ModelSpec:
    file = f"{builder}-{digits}.pth"
    return ModelSpec(
        name=name,
        task="detection",
        format="torchvision",
        detector_name=name,
        file=file,
        sha256_prefix=digits,
        url=f"https://download.pytorch.org/models/{file}",
        input_hw=input_hw,
        licence="BSD-3-Clause (torchvision)",
        origin="torchvision's own weights for its model of this name",
        data="COCO train2017, 90 categories of which the person's is read",
        recipe="torchvision's references; the network normalises the image itself",
        metrics={"COCO AP": ap},
        measured_on=f"{PUBLISHED} (torchvision's table of weights): COCO val2017, all categories",
    )


TORCHVISION = (
    _torchvision("fasterrcnn_resnet50", "fasterrcnn_resnet50_fpn_coco", "258fb6c6", 0.370),
    _torchvision(
        "fasterrcnn_mobilenet_v3", "fasterrcnn_mobilenet_v3_large_fpn", "fb6a3cc7", 0.328
    ),
    _torchvision("retinanet_resnet50", "retinanet_resnet50_fpn_coco", "eeacb38b", 0.364),
    _torchvision("fcos_resnet50", "fcos_resnet50_fpn_coco", "99b0c9b7", 0.392),
    _torchvision(
        "ssdlite320", "ssdlite320_mobilenet_v3_large_coco", "a79551df", 0.213, (320, 320)
    ),
)


def _yolov3(name: str, size_bytes: int, side: int, ap50: float, source: str) -> ModelSpec:
    file = f"{name.replace('_', '-')}.weights"
    return ModelSpec(
        name=name,
        task="detection",
        format="darknet",
        detector_name="yolov3",
        file=file,
        size_bytes=size_bytes,
        url=f"https://pjreddie.com/media/files/{file}",
        input_hw=(side, side),
        licence="public domain (Darknet's YOLO licence, version 2)",
        origin="Darknet by Joseph Redmon",
        data=_COCO,
        metrics={"COCO AP50": ap50},
        measured_on=f"{PUBLISHED} ({source}): COCO test-dev, all 80 classes, {side}x{side}",
    )


# The sizes are those of the networks' float32 numbers and a header of 20 bytes.
DARKNET = (
    _yolov3("yolov3", 248_007_048, 608, 0.579, "the YOLOv3 report"),
    _yolov3("yolov3_spp", 252_209_544, 608, 0.606, "Darknet's table of networks"),
    _yolov3("yolov3_tiny", 35_434_956, 416, 0.331, "Darknet's table of networks"),
)


def _efficientdet(number: int, side: int, file: str, ap: float) -> ModelSpec:
    return ModelSpec(
        name=f"efficientdet_d{number}",
        task="detection",
        format="efficientdet",
        detector_name=f"efficientdet_d{number}",
        file=file,
        url=f"https://github.com/rwightman/efficientdet-pytorch/releases/download/v0.1/{file}",
        input_hw=(side, side),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        licence="Apache-2.0 (EfficientDet, Google; converted by Ross Wightman)",
        origin="Google's EfficientDet as converted by efficientdet-pytorch, release v0.1",
        data="COCO train2017, 90 categories of which the person's is read",
        metrics={"COCO AP": ap},
        measured_on=f"{PUBLISHED} (efficientdet-pytorch's README): COCO val2017, all categories",
    )


EFFICIENTDET = (
    _efficientdet(0, 512, "tf_efficientdet_d0_34-f153e0cf.pth", 0.342),
    _efficientdet(1, 640, "tf_efficientdet_d1_40-a30f94af.pth", 0.401),
    _efficientdet(2, 768, "tf_efficientdet_d2_43-8107aa99.pth", 0.434),
    _efficientdet(3, 896, "tf_efficientdet_d3_47-0b525f35.pth", 0.471),
    _efficientdet(4, 1024, "tf_efficientdet_d4_49-f56376d9.pth", 0.492),
    _efficientdet(5, 1280, "tf_efficientdet_d5_51-c79f9be6.pth", 0.512),
    _efficientdet(6, 1280, "tf_efficientdet_d6_52-4eda3773.pth", 0.520),
    _efficientdet(7, 1536, "tf_efficientdet_d7_53-6d1d7a95.pth", 0.531),
)
