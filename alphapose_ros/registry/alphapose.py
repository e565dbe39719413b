# SPDX-License-Identifier: Apache-2.0
"""AlphaPose's released pose networks: read from the user's own copy, never distributed here."""

from __future__ import annotations

from alphapose_ros.registry.spec import PUBLISHED, ModelSpec

_LICENCE = (
    "non-commercial: AlphaPose's own licence, academic and non-profit research only, no "
    "redistribution; written permission for anything else comes from its authors"
)
_ZOO = f"{PUBLISHED} (AlphaPose's model zoo)"
_BODY = f"{_ZOO}: COCO val2017, boxes of YOLOv3, 256x192, flip test"
_HALPE = (
    f"{_ZOO}: Halpe-FullBody test, boxes of YOLOv3, 256x192, flip test; face and hand sigmas of "
    ".015, so that the number is not to be compared with others'"
)
_WHOLE = (
    f"{_ZOO}: COCO-WholeBody val with face and hand sigmas of .015 in place of the official ones; "
    "not to be compared with official COCO-WholeBody AP"
)
# Means in the order B, G, R on channels R, G, B: the released networks were trained so.
_MEAN = (0.406, 0.457, 0.480)
_SIKR = "symmetric integral keypoint regression"
# Skeleton -> training data, name of the number, where it was measured.
_SETS = {
    "coco17": ("COCO train2017", "COCO AP", _BODY),
    "halpe26": ("Halpe-FullBody", "Halpe AP", _HALPE),
    "halpe136": ("Halpe-FullBody; the multi-domain ones other sets too", "Halpe AP", _HALPE),
    "wholebody133": ("COCO-WholeBody", "whole AP", _WHOLE),
}


def _network(
    name: str, file: str, drive_id: str, maps: tuple[str, str], recipe: str, ap: float = 0
) -> ModelSpec:
    """An entry; ``maps`` are of this skeleton and decoded so, ``ap`` is 0 where none was given."""
    skeleton, decode = maps
    data, metric, measured_on = _SETS[skeleton]
    return ModelSpec(
        name=f"alphapose_{name}",
        task="pose",
        format="alphapose",
        file=file,
        drive_id=drive_id,
        skeleton=skeleton,
        input_hw=(256, 192),
        mean=_MEAN,
        decode=decode,
        licence=_LICENCE,
        non_commercial=True,
        origin="AlphaPose (MVIG, Shanghai Jiao Tong University)",
        data=data,
        recipe=recipe,
        metrics={metric: ap} if ap else {},
        measured_on=measured_on if ap else "",
    )


ALPHAPOSE = (
    _network(
        "fastpose_res50_coco17", "fast_res50_256x192.pth", "1kQhnMRURFiy7NsdS8EFL-8vtqEXOgECn",
        ("coco17", "heatmap"), "FastPose, ResNet-50, heatmaps", 0.720,
    ),
    _network(
        "fastpose_res50_dcn_coco17", "fast_dcn_res50_256x192.pth",
        "1zUz9YIk6eALCbZrukxD7kQ554nhi1pVv", ("coco17", "heatmap"),
        "FastPose, ResNet-50 with deformable convolutions, heatmaps", 0.728,
    ),
    _network(
        "duc_res50_coco17", "fast_421_res50-shuffle_256x192.pth",
        "1RlnL_YnnmgOM4L9L2szFdUnTjwptqtL-", ("coco17", "heatmap"),
        "FastPose-DUC, ResNet-50 with pixel-unshuffle, heatmaps", 0.724,
    ),
    _network(
        "duc_res152_coco17", "fast_421_res152_256x192.pth", "1kfyedqyn8exjbbNmYq8XGd2EooQjPtF9",
        ("coco17", "heatmap"), "FastPose-DUC, ResNet-152, heatmaps", 0.733,
    ),
    _network(
        "hrnet_w32_coco17", "hrnet_w32_256x192.pth", "1i63BPlOnp2vSjIZ7ni4Yp3RCPQwqe922",
        ("coco17", "heatmap"), "HRNet-W32, heatmaps", 0.725,
    ),
    _network(
        "simplepose_res50_coco17", "simple_res50_256x192.pth",
        "1nxyfUbvWDaaT9eDM7Y31ScSVPlGy6gfw", ("coco17", "heatmap"),
        "SimplePose, ResNet-50, heatmaps", 0.706,
    ),
    _network(
        "fastpose_res50_halpe26", "halpe26_fast_res50_256x192.pth",
        "1S-ROA28de-1zvLv-hVfPFJ5tFBYOSITb", ("halpe26", "heatmap"),
        "FastPose, ResNet-50, heatmaps",
    ),
    _network(
        "fastpose_res50_halpe136_regression", "halpe136_fast50_regression_256x192.pth",
        "1_10JYI3O-VbrAiONfL36UxLf9UXMoUYA", ("halpe136", "sikr"),
        f"FastPose, ResNet-50, {_SIKR}", 0.441,
    ),
    _network(
        "fastpose_res50_multidomain136", "multi_domain_fast50_regression_256x192.pth",
        "1Bb3kPoFFt-M0Y3ceqNO8DTXi1iNDd4gI", ("halpe136", "sikr"),
        f"FastPose, ResNet-50, {_SIKR}, several data sets together",
        0.501,
    ),
    _network(
        "fastpose_res50_dcn_multidomain136", "multi_domain_fast50_dcn_combined_256x192.pth",
        "1wX1Z2ZOoysgSNovlgiEtJKpbR8tUBWYR", ("halpe136", "combined"),
        "FastPose, ResNet-50 with deformable convolutions, heatmaps for body and feet, "
        f"{_SIKR} for face and hands, several data sets together",
        0.498,
    ),
    _network(
        "fastpose_res50_wholebody133", "coco_wholebody133_fast50_regression_256x192.pth",
        "1WQlwRw7KiKBI2Wyb-lvnQX29R29NbhLz", ("wholebody133", "sikr"),
        f"FastPose, ResNet-50, {_SIKR}", 0.554,
    ),
)  # fmt: skip
