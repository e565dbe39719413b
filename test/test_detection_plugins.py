# SPDX-License-Identifier: Apache-2.0
"""Detectors that packages beside this one bring: found by their entry points, by name."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from docs_pages import ROOT
from plugin_packages import MAKER, Site

import alphapose_ros.cli as cli
from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.base.records import Frame
from alphapose_ros.cli import doctor
from alphapose_ros.cli.train_pseudo import detector_config
from alphapose_ros.config import PipelineConfig
from alphapose_ros.detection.config import DETECTOR_NAMES, DetectorConfig
from alphapose_ros.detection.factory import create_detector
from alphapose_ros.detection.yolox import YOLOXDetector
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.pipeline import PosePipeline

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path / "site", monkeypatch)


def parameters(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "my.yaml"
    path.write_text(f"/**:\n  ros__parameters:\n    {text}\n", encoding="utf-8")
    return path


def test_a_package_beside_ours_brings_a_detector(site: Site, tmp_path: Path) -> None:
    site.install("corner-detector", {"corner": "corner_module:Corner"}, {"corner_module": MAKER})
    config = PipelineConfig.from_file(
        parameters(tmp_path, "detector: {name: corner, weights: mine.bin, max_people: 7}")
    )
    assert "corner_module" not in sys.modules  # a name is known without its code
    pipeline = PosePipeline(config)
    made = pipeline.detector
    assert type(made).__name__ == "Corner"
    assert vars(made) == {"config": config.detector, "device": pipeline.device}
    assert made.config.weights == "mine.bin"
    result = pipeline(Frame(np.zeros((80, 120, 3), np.uint8), stamp_ns=0))
    assert result.header.size_hw == (80, 120)
    (found,) = pipeline.detector(ImageBatch.upload([np.zeros((80, 120, 3), np.uint8)]))
    assert found.boxes.tolist() == [[0, 0, 60, 40]]


def test_the_device_is_one_of_torch(site: Site) -> None:
    site.install("corner-detector", {"corner": "corner_module:Corner"}, {"corner_module": MAKER})
    detector = create_detector(DetectorConfig(name="corner"), "cpu")
    assert vars(detector)["device"] == torch.device("cpu")


def test_an_unknown_name_lists_the_known_ones_and_whose_they_are(site: Site) -> None:
    with pytest.raises(ConfigError) as caught:
        DetectorConfig(name="cornr")
    assert str(caught.value) == (
        f"detector.name: expected one of {', '.join(DETECTOR_NAMES)} (built in), or of the "
        "detectors of installed packages: there are none; got 'cornr'"
    )
    site.install("corner-detector", {"corner": "m:Corner"})
    site.install("many", {"blobs": "many.blobs:make", "radar": "many.radar:make"}, version="0.3")
    with pytest.raises(ConfigError) as caught:
        DetectorConfig(name="cornr")
    assert str(caught.value).endswith(
        "installed packages: blobs (of many 0.3), corner (of corner-detector 1.0), "
        "radar (of many 0.3); got 'cornr'"
    )


BREAKS = {
    "import no_such_thing": "ModuleNotFoundError: No module named 'no_such_thing'",
    "1 / 0": "ZeroDivisionError: division by zero",
    "def (": "SyntaxError: invalid syntax",
    "Other = 1": "AttributeError: module 'broken' has no attribute 'Corner'",
}


@pytest.mark.parametrize("code", BREAKS)
def test_one_that_cannot_be_imported_is_named_with_its_package_and_the_cause(
    site: Site, code: str
) -> None:
    site.install("corner-detector", {"corner": "broken:Corner"}, {"broken": code})
    with pytest.raises(ConfigError) as caught:
        create_detector(DetectorConfig(name="corner"))
    assert str(caught.value).startswith(
        "detector 'corner' of corner-detector 1.0 (broken:Corner) cannot be imported: "
        + BREAKS[code]
    )
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("Corner = 7", "expected a function or a class, got 7"),
        (
            "def Corner(config): pass",
            "cannot be made: TypeError: Corner() takes 1 positional argument but 2 were given",
        ),
        (
            "def Corner(config, device): raise OSError('no such camera')",
            "cannot be made: OSError: no such camera",
        ),
        (
            "def Corner(config, device): return 'x'",
            "expected a detector, callable and with a method reconfigure, got a str",
        ),
        (
            "def Corner(config, device): return print",
            "expected a detector, callable and with a method reconfigure, got a builtin",
        ),
    ],
)
def test_one_that_cannot_be_made_is_named_as_well(site: Site, code: str, words: str) -> None:
    site.install("corner-detector", {"corner": "broken:Corner"}, {"broken": code})
    with pytest.raises(ConfigError, match=r"'corner' of corner-detector 1\.0") as caught:
        create_detector(DetectorConfig(name="corner"))
    assert words in str(caught.value)


def test_what_it_says_of_the_configuration_is_said(site: Site) -> None:
    code = (
        "from alphapose_ros.base.errors import InputError\n"
        "def make(config, device): raise InputError('detector.weights: expected a .bin')"
    )
    site.install("corner-detector", {"corner": "module_c:make"}, {"module_c": code})
    with pytest.raises(InputError, match=r"^detector.weights: expected a .bin$"):
        create_detector(DetectorConfig(name="corner"))


def test_a_built_in_name_cannot_be_taken(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.install("sly", {"yolox": "corner_module:Corner"}, {"corner_module": MAKER})
    assert isinstance(create_detector(DetectorConfig(name="yolox")), YOLOXDetector)
    assert "corner_module" not in sys.modules
    (line,) = [each for each in caplog.messages if "sly" in each]
    assert line == (
        "detector 'yolox' of sly 1.0 (corner_module:Corner) is not used: its name is built in; a "
        "plugin needs one of its own"
    )


def test_two_packages_with_one_name_are_both_named(site: Site) -> None:
    site.install("one", {"corner": "a:Corner"})
    site.install("two", {"corner": "b:Corner"}, version="2.1")
    with pytest.raises(ConfigError) as caught:
        DetectorConfig(name="corner")
    assert str(caught.value) == (
        "detector.name: detector 'corner' of one 1.0 (a:Corner): two 2.1 has one of the same "
        "name; uninstall one of them"
    )


def test_a_command_says_it_in_one_line(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.install("corner-detector", {"corner": "broken:Corner"}, {"broken": "import no_such"})
    image = str(ROOT / "docs" / "images" / "astronaut.jpg")
    file = parameters(tmp_path, "detector: {name: corner}")
    command = ["predict", image, "--output", str(tmp_path / "p.json")]
    assert cli.main([*command, "--params-file", str(file)]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "alphapose-ros: detector 'corner' of corner-detector 1.0 (broken:Corner) cannot be "
        "imported: ModuleNotFoundError: No module named 'no_such'"
    )


def test_doctor_lists_them_and_says_what_is_wrong(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", [])  # importing all of them takes ten seconds
    monkeypatch.setattr("alphapose_ros.cli.models.verify_all", dict)
    assert cli.main(["doctor"]) == 0
    assert "detector" not in capsys.readouterr().out
    site.install("corner-detector", {"corner": "corner_module:Corner"}, {"corner_module": MAKER})
    site.install("many", {"blobs": "broken:make", "radar": "gone:make", "yolox": "sly:make"},
                 {"broken": "import no_such_thing", "sly": "1 / 0"}, "0.3")  # fmt: skip
    site.install("other", {"radar": "gone:make"})
    assert cli.main(["doctor"]) == 0  # nobody else needs them
    found = [line.split(maxsplit=3) for line in capsys.readouterr().out.splitlines()]
    assert [words[2:] for words in found if words[1:2] == ["detector"]] == [
        ["blobs", "of many 0.3, not usable: ModuleNotFoundError: No module named 'no_such_thing'"],
        ["corner", "of corner-detector 1.0"],
        ["radar", "of many 0.3, not usable: other 1.0 has one of the same name; uninstall one of "
                  "them"],
        ["radar", "of other 1.0, not usable: many 0.3 has one of the same name; uninstall one of "
                  "them"],
        ["yolox", "of many 0.3, not usable: its name is built in; a plugin needs one of its own"],
    ]  # fmt: skip
    assert [words[0] for words in found if words[1:2] == ["detector"]] == [
        "--", "ok", "--", "--", "--"
    ]  # fmt: skip
    assert "sly" not in sys.modules  # what cannot be used is not run


def test_a_teacher_of_pseudo_labels_may_be_one(site: Site) -> None:
    site.install("corner-detector", {"corner": "corner_module:Corner"})
    assert detector_config("corner=my.bin").name == "corner"
    assert detector_config("corner.onnx").name == "onnx"


def test_the_page_does_as_it_says(site: Site, tmp_path: Path) -> None:
    """The package of docs/add_detector.md, installed as its pyproject.toml says, and run."""
    site.install_page(ROOT / "docs" / "add_detector.md")
    file = parameters(tmp_path, "detector: {name: overalls}")
    pipeline = PosePipeline.from_config(file)
    assert type(pipeline.detector).__name__ == "OverallDetector"
    image = np.zeros((200, 200, 3), np.uint8)
    image[80:160, 60:100] = (240, 110, 20)
    (people,) = pipeline.detector(ImageBatch.upload([image]))
    assert len(people) == 1
