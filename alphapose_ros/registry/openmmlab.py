# SPDX-License-Identifier: Apache-2.0
"""ONNX files of OpenMMLab's MMPose: RTMPose, DWPose, RTMW, RTMO, and person detectors.

Each lies as ``end2end.onnx`` in a zip archive of the deployment kit.
"""

from __future__ import annotations

from alphapose_ros.registry.spec import IMAGENET_MEAN, IMAGENET_STD, PUBLISHED, RAW_STD, ModelSpec

_RTMPOSE = "https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/onnx_sdk/"
_RTMW = "https://download.openmmlab.com/mmpose/v1/projects/rtmw/onnx_sdk/"
_RTMO = "https://download.openmmlab.com/mmpose/v1/projects/rtmo/onnx_sdk/"
_MEMBER = "end2end.onnx"
_LICENCE = "Apache-2.0 (MMPose, OpenMMLab); the data sets behind it have terms of their own"
_BODY7 = "AI Challenger, COCO, CrowdPose, MPII, sub-JHMDB, Halpe, PoseTrack18"
_HUMANART = "Human-Art and COCO"
_MMPOSE = f"{PUBLISHED} (MMPose's README of RTMPose)"
_ON_COCO = f"{_MMPOSE}: COCO val2017, flip test"
_ON_BODY8 = f"{_MMPOSE}: AUC over Body7 and OCHuman, flip test"
_ON_WHOLE = f"{_MMPOSE}: COCO-WholeBody v1.0 val, a person detector of 56.4 AP, flip test"
_ON_RTMO = f"{PUBLISHED} (MMPose's README of RTMO): COCO val2017"
_ON_PEOPLE = f"{_MMPOSE}: COCO, the person class"
_ON_HUMANART = f"{_MMPOSE}: the person class at 640x640, on data that it does not name"

_SMALL, _LARGE = (256, 192), (384, 288)


def _simcc(
    name: str, url: str, skeleton: str, input_hw: tuple[int, int], metrics: dict[str, float]
) -> ModelSpec:
    data, measured_on = {
        "coco17": (_BODY7, _ON_COCO),
        "halpe26": (_BODY7, _ON_BODY8),
        "wholebody133": (
            "COCO-WholeBody and UBody" if name.startswith("dwpose") else
            "Cocktail14: fourteen sets of bodies, faces and hands, COCO-WholeBody among them",
            _ON_WHOLE,
        ),
    }[skeleton]  # fmt: skip
    return ModelSpec(
        name=f"{name}_{input_hw[0]}x{input_hw[1]}",
        task="pose",
        format="simcc",
        file=f"{name}_{input_hw[0]}x{input_hw[1]}.onnx",
        url=url,
        member=_MEMBER,
        skeleton=skeleton,
        input_hw=input_hw,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        decode="simcc",
        licence=_LICENCE,
        origin="OpenMMLab's MMPose",
        data=data,
        metrics=metrics,
        measured_on=measured_on,
    )


def _body(size: str, input_hw: tuple[int, int], archive: str, ap: float) -> ModelSpec:
    url = f"{_RTMPOSE}{archive}"
    return _simcc(f"rtmpose_{size}_body17", url, "coco17", input_hw, {"COCO AP": ap})


def _feet(size: str, input_hw: tuple[int, int], archive: str, auc: float) -> ModelSpec:
    url = f"{_RTMPOSE}{archive}"
    return _simcc(f"rtmpose_{size}_halpe26", url, "halpe26", input_hw, {"Body8 AUC": auc})


def _whole(
    name: str, input_hw: tuple[int, int], url: str, whole: float, parts: tuple[float, ...] = ()
) -> ModelSpec:
    names = ("body AP", "foot AP", "face AP", "hand AP")
    metrics = {"whole AP": whole, **dict(zip(names, parts, strict=False))}
    return _simcc(f"{name}_wholebody133", url, "wholebody133", input_hw, metrics)


RTMPOSE_BODY = (
    _body("t", _SMALL, "rtmpose-t_simcc-body7_pt-body7_420e-256x192-026a1439_20230504.zip", 0.659),
    _body("s", _SMALL, "rtmpose-s_simcc-body7_pt-body7_420e-256x192-acd4a1ef_20230504.zip", 0.697),
    _body("m", _SMALL, "rtmpose-m_simcc-body7_pt-body7_420e-256x192-e48f03d0_20230504.zip", 0.749),
    _body("l", _SMALL, "rtmpose-l_simcc-body7_pt-body7_420e-256x192-4dba18fc_20230504.zip", 0.767),
    _body("l", _LARGE, "rtmpose-l_simcc-body7_pt-body7_420e-384x288-3f5a1437_20230504.zip", 0.783),
    _body("x", _LARGE, "rtmpose-x_simcc-body7_pt-body7_700e-384x288-71d7b7e9_20230629.zip", 0.788),
)
_26 = "rtmpose-{}_simcc-body7_pt-body7-halpe26_700e-{}.zip"
RTMPOSE_FEET = (
    _feet("t", _SMALL, _26.format("t", "256x192-6020f8a6_20230605"), 0.6635),
    _feet("s", _SMALL, _26.format("s", "256x192-7f134165_20230605"), 0.6862),
    _feet("m", _SMALL, _26.format("m", "256x192-4d3e73dd_20230605"), 0.7191),
    _feet("l", _SMALL, _26.format("l", "256x192-2abb7558_20230605"), 0.7319),
    _feet("m", _LARGE, _26.format("m", "384x288-89e6428b_20230605"), 0.7356),
    _feet("l", _LARGE, _26.format("l", "384x288-734182ce_20230605"), 0.7438),
    _feet("x", _LARGE, _26.format("x", "384x288-7fb6e239_20230606"), 0.7482),
)
_DW = _RTMPOSE + "rtmpose-{}_simcc-ucoco_dw-ucoco_270e-{}.zip"
_COCKTAIL = _RTMW + "rtmw-dw-{}_simcc-cocktail14_270e-{}_20231122.zip"
WHOLE_BODY = (
    _whole("dwpose_t", _SMALL, _DW.format("t", "256x192-dcf277bf_20230728"), 0.485),
    _whole("dwpose_s", _SMALL, _DW.format("s", "256x192-3fd922c8_20230728"), 0.538),
    _whole("dwpose_m", _SMALL, _DW.format("m", "256x192-c8b76419_20230728"), 0.606),
    _whole("dwpose_l", _SMALL, _DW.format("l", "256x192-4d6dfc62_20230728"), 0.631),
    _whole("dwpose_l", _LARGE, _DW.format("l", "384x288-2438fd99_20230728"), 0.665),
    _whole(
        "rtmw_m", _SMALL, _COCKTAIL.format("l-m", "256x192"), 0.582, (0.676, 0.671, 0.783, 0.491)
    ),
    _whole(
        "rtmw_l", _SMALL, _COCKTAIL.format("x-l", "256x192"), 0.660, (0.743, 0.763, 0.834, 0.598)
    ),
    _whole(
        "rtmw_l", _LARGE, _COCKTAIL.format("x-l", "384x288"), 0.701, (0.761, 0.793, 0.884, 0.663)
    ),
)


def _rtmo(size: str, side: int, archive: str, ap: float) -> ModelSpec:
    return ModelSpec(
        name=f"rtmo_{size}_body17",
        task="pose",
        format="rtmo",
        file=f"rtmo_{size}_body17.onnx",
        url=f"{_RTMO}{archive}",
        member=_MEMBER,
        skeleton="coco17",
        input_hw=(side, side),
        channels="BGR",
        std=RAW_STD,
        decode="rtmo",
        licence=_LICENCE,
        origin="OpenMMLab's MMPose",
        data=_BODY7,
        recipe="one stage: finds people and their joints in the whole image",
        metrics={"COCO AP": ap},
        measured_on=_ON_RTMO,
    )


RTMO = (
    _rtmo("t", 416, "rtmo-t_8xb32-600e_body7-416x416-f48f75cb_20231219.zip", 0.574),
    _rtmo("s", 640, "rtmo-s_8xb32-600e_body7-640x640-dac2bf74_20231211.zip", 0.686),
    _rtmo("m", 640, "rtmo-m_16xb16-600e_body7-640x640-39e78cc4_20231211.zip", 0.726),
    _rtmo("l", 640, "rtmo-l_16xb16-600e_body7-640x640-b37118ce_20231211.zip", 0.748),
)


def _person(name: str, side: int, archive: str, data: str, ap: float) -> ModelSpec:
    rtmdet = name.startswith("rtmdet")
    return ModelSpec(
        name=name,
        task="detection",
        format="onnx",
        detector_name="onnx",
        file=f"{name}.onnx",
        url=f"{_RTMPOSE}{archive}",
        member=_MEMBER,
        input_hw=(side, side),
        channels="BGR",
        mean=IMAGENET_MEAN[::-1] if rtmdet else (0.0, 0.0, 0.0),
        std=IMAGENET_STD[::-1] if rtmdet else RAW_STD,
        decode="mmdeploy",
        licence=_LICENCE,
        origin="OpenMMLab's MMPose",
        data=data,
        recipe="one class, the person; the graph decodes and suppresses itself",
        metrics={"person AP": ap},
        measured_on=_ON_PEOPLE if rtmdet else _ON_HUMANART,
    )


PERSON = (
    _person(
        "rtmdet_nano_person", 320, "rtmdet_nano_8xb32-100e_coco-obj365-person-05d8511e.zip",
        "people of COCO and Objects365", 0.403,
    ),
    _person(
        "rtmdet_m_person", 640, "rtmdet_m_8xb32-100e_coco-obj365-person-235e8209.zip",
        "people of COCO and Objects365", 0.625,
    ),
    _person(
        "yolox_tiny_human", 416, "yolox_tiny_8xb8-300e_humanart-6f3252f9.zip", _HUMANART, 0.477
    ),
    _person("yolox_s_human", 640, "yolox_s_8xb8-300e_humanart-3ef259a7.zip", _HUMANART, 0.546),
    _person("yolox_m_human", 640, "yolox_m_8xb8-300e_humanart-c2c7a14a.zip", _HUMANART, 0.591),
    _person("yolox_l_human", 640, "yolox_l_8xb8-300e_humanart-ce1d7a62.zip", _HUMANART, 0.602),
    _person("yolox_x_human", 640, "yolox_x_8xb8-300e_humanart-a39d44ed.zip", _HUMANART, 0.613),
)  # fmt: skip

OPENMMLAB = (*WHOLE_BODY, *RTMPOSE_FEET, *RTMPOSE_BODY, *RTMO, *PERSON)
