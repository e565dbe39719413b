# SPDX-License-Identifier: Apache-2.0
"""``train blend``: a straight line between two networks, in the layers that are named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from custom_joints import own_network, own_skeleton, skeleton_file

from alphapose_ros.base.errors import ConfigError, InputError, WeightsError
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.models.checkpoint import load_checkpoint, save_checkpoint
from alphapose_ros.models.stored_skeleton import skeleton_text, stored_skeleton
from alphapose_ros.train.blend import BlendConfig, blend
from alphapose_ros.train.students import make_student, write_student

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Files of two random networks; their norms have moments that folding must take along."""
    folder = tmp_path_factory.mktemp("blend")
    paths = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        student = make_student("", HALPE136)
        for name, value in student.network.state_dict().items():
            if name.endswith(("running_mean", "bn.bias")):
                value.normal_(std=0.1)
            elif name.endswith("running_var"):
                value.uniform_(0.5, 2)
        paths.append(str(folder / f"{seed}.safetensors"))
        write_student(student, student.network.state_dict(), Path(paths[-1]))
    return paths[0], paths[1]


def weights(path: str | Path) -> dict[str, torch.Tensor]:
    return {k: v.float() for k, v in load_checkpoint(Path(path))[0].state_dict().items()}


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_named_layers_lie_between(two: tuple[str, str], tmp_path: Path, share: float) -> None:
    first, second = two
    made = blend(
        BlendConfig(weights=first, other=second, share=share, out=str(tmp_path / "b.safetensors"))
    )
    ours, theirs, found = weights(first), weights(second), weights(made)
    assert found.keys() == ours.keys()
    for name, value in found.items():
        expected = ours[name]
        if name.startswith("features"):
            expected = (1 - share) * ours[name] + share * theirs[name]
        torch.testing.assert_close(value, expected, atol=2e-3, rtol=2e-3)  # written in half
    apart = (found["features.0.0.weight"] - ours["features.0.0.weight"]).abs().max()
    assert (apart < 1e-3) == (share == 0)


def test_the_size_of_the_crops_is_kept(two: tuple[str, str], tmp_path: Path) -> None:
    student = make_student(two[0], HALPE136)
    large = tmp_path / "large.safetensors"
    info = replace(student.info, input_hw=(320, 256))
    write_student(replace(student, info=info), student.network.state_dict(), large)
    made = blend(
        BlendConfig(weights=str(large), other=two[1], out=str(tmp_path / "b.safetensors"))
    )
    assert load_checkpoint(made)[1].input_hw == (320, 256)


@pytest.mark.parametrize(
    "told", [{"decode": "heatmap"}, {"decode": "combined", "tail_cut": 0.0}, {"norm": "softmax"}]
)
def test_maps_are_read_as_those_of_the_trained_network(
    two: tuple[str, str], tmp_path: Path, told: dict[str, Any]
) -> None:
    student = make_student(two[0], HALPE136)
    trained, out = tmp_path / "trained.safetensors", tmp_path / "b.safetensors"
    info = replace(student.info, **told)
    write_student(replace(student, info=info), student.network.state_dict(), trained)
    config = BlendConfig(weights=str(trained), other=two[1], out=str(out))
    found = load_checkpoint(blend(config))[1]
    for name in ("decode", "tail_cut", "norm"):
        assert getattr(found, name) == getattr(info, name)
    if info.decode == "combined":
        with pytest.raises(ConfigError, match="combined is for 68, 133, 136 joints"):
            blend(replace(config, skeleton="coco17"))


def test_the_joints_of_the_trained_network_are_kept(two: tuple[str, str], tmp_path: Path) -> None:
    own, out = own_network(tmp_path / "own.safetensors"), tmp_path / "b.safetensors"
    blend(BlendConfig(weights=str(own), other=two[0], out=str(out)))
    stored = stored_skeleton(out)
    assert stored is not None
    assert skeleton_text(stored) == skeleton_text(own_skeleton())
    head = "heatmaps.weight"
    torch.testing.assert_close(weights(out)[head], weights(own)[head])


def test_joints_that_the_file_does_not_tell_are_named(
    two: tuple[str, str], tmp_path: Path
) -> None:
    bare, out = tmp_path / "bare.safetensors", tmp_path / "b.safetensors"
    save_checkpoint(*load_checkpoint(own_network(tmp_path / "own.safetensors")), bare)
    config = BlendConfig(weights=str(bare), other=two[0], out=str(out))
    with pytest.raises(ConfigError, match="no known skeleton has 5 joints; name one"):
        blend(config)
    assert blend(replace(config, skeleton=skeleton_file(tmp_path))) == out


def test_all_layers_are_blended_where_none_is_named(two: tuple[str, str], tmp_path: Path) -> None:
    first, second = two
    out = str(tmp_path / "new" / "all.safetensors")
    made = blend(BlendConfig(weights=first, other=second, share=1.0, layers="", out=out))
    found = weights(made)
    for name, value in weights(second).items():
        torch.testing.assert_close(found[name], value, atol=2e-3, rtol=2e-3)


def test_what_is_refused(two: tuple[str, str], tmp_path: Path) -> None:
    first, second = two
    with pytest.raises(ConfigError, match="expected weights and other"):
        BlendConfig(weights=first)
    with pytest.raises(ConfigError, match=r"share: .*2"):
        BlendConfig(weights=first, other=second, share=2)
    with pytest.raises(InputError, match="expected another file than the ones that are blended"):
        blend(BlendConfig(weights=first, other=second, out=second))
    out = str(tmp_path / "b.safetensors")
    with pytest.raises(ConfigError, match="layers: expected the beginning of a layer's name"):
        blend(BlendConfig(weights=first, other=second, layers="nothing", out=out))
    with pytest.raises(WeightsError):
        blend(BlendConfig(weights=first, other=str(tmp_path / "absent.safetensors"), out=out))
    assert not Path(out).exists()


def test_another_layout_is_refused(two: tuple[str, str], tmp_path: Path) -> None:
    torch.manual_seed(0)
    other = make_student("", HALPE136, "simplepose50")
    path = tmp_path / "simple.safetensors"
    write_student(other, other.network.state_dict(), path)
    with pytest.raises(ConfigError, match="expected two networks of one layout"):
        blend(BlendConfig(weights=two[0], other=str(path), out=str(tmp_path / "b.safetensors")))
