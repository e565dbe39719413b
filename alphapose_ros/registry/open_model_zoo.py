# SPDX-License-Identifier: Apache-2.0
"""Open Model Zoo's person re-identification networks, an .xml and a .bin each.

The zoo publishes sizes and SHA-384; the SHA-256 here are of files whose SHA-384 was compared.
"""

from __future__ import annotations

from alphapose_ros.registry.spec import PUBLISHED, RAW_STD, Beside, ModelSpec

_PLACE = (
    "https://storage.openvinotoolkit.org/repositories/open_model_zoo/2023.0/models_bin/1/{0}/FP16/"
    "{0}.{1}"
)


def _reid(
    number: str, xml: tuple[int, str], weights: tuple[int, str], mean_ap: float, rank1: float
) -> ModelSpec:
    name = f"person-reidentification-retail-{number}"
    return ModelSpec(
        name=name.replace("-", "_"),
        task="reid",
        format="openvino",
        file=f"{name}.xml",
        url=_PLACE.format(name, "xml"),
        size_bytes=xml[0],
        sha256=xml[1],
        beside=Beside(_PLACE.format(name, "bin"), *weights),
        input_hw=(256, 128),
        channels="BGR",
        std=RAW_STD,
        distance_scale=1.35,
        licence="Apache-2.0 (Open Model Zoo, Copyright Intel Corporation)",
        origin="Open Model Zoo by Intel, release 2023.0; OSNet's layout with linear context "
        "transforms, numbers of 16 bits",
        data="people with identities; their publisher does not name the sets",
        metrics={"mAP": mean_ap, "rank-1": rank1},
        measured_on=f"{PUBLISHED} (Open Model Zoo's README of the network): Market-1501",
    )


OPEN_MODEL_ZOO = (
    _reid(
        "0277",
        (616140, "82039b1bb986231c50345550e59def94e63579998e9cddbd1a312f293eb87729"),
        (4178806, "6bb69e09d07733cc3896b29081d2627f92db7b9aacd50f1a8c3df491cb10f1b7"),
        0.877,
        0.962,
    ),
    _reid(
        "0286",
        (611793, "cc547e622d8aeabf97938213f68171bf59ac7d01c910ceadfea984aa96e5d1b5"),
        (2453724, "d06beb9e2b2661d42b233f64ef623f3518fc46dc11f6b7dd53cda8962d9d1bd9"),
        0.837,
        0.948,
    ),
    _reid(
        "0287",
        (614946, "95125bc630208d9a27370b11bd04d220f93f64b60fe4be5bc576e9aebb69603d"),
        (1181124, "8811b3db2f6ebacbf2c05510593783316026ff779d9b048b6ca2581f17baf86c"),
        0.766,
        0.929,
    ),
    _reid(
        "0288",
        (614533, "0d5021c772e603dce69d9ef2e326ecf0a43234cc8b4c5bb5e8aa566f090bdb51"),
        (364098, "08e24c2f1dd976ff8e1f667b93db2950ac8db8da09e163e1ca6463b82d1dbc42"),
        0.589,
        0.861,
    ),
)
