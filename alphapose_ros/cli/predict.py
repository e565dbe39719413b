# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros predict``: poses of single images as JSON, no tracking."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from alphapose_ros.base.errors import InputError, SourceError
from alphapose_ros.cli.console import (
    Commands,
    add_command,
    add_pipeline_options,
    progress,
    say,
    warn,
)
from alphapose_ros.cli.endings import signals_wait

if TYPE_CHECKING:
    from alphapose_ros.base.records import ImageArray, Poses
    from alphapose_ros.base.skeletons import Skeleton
    from alphapose_ros.pipeline import PosePipeline

_EXAMPLES = """\
formats:
  alphapose  one list of people with image_id, keypoints, score, box and idx
  coco       COCO result rows: image_id is the integer in the file name (the name itself where two
             images have one integer), score is in [0, 1]
  openpose   BODY_25, face and hands; OUTPUT ending in .json is one file with the images' names
             as keys, any other OUTPUT is a folder with one <name>_keypoints.json per image

An image's name is its path in the folder that was named. Two images of one name are refused: name
the folder above both, or give them outputs of their own.

--boxes takes given person boxes (COCO result rows: image_id, bbox [x, y, w, h], score) instead of
the detector, and answers each of them: no pose is suppressed.

examples:
  alphapose-ros predict photo.jpg --output poses.json
  alphapose-ros predict val2017/ --output results.json --format coco --skeleton coco17
"""
_FORMATS = ("alphapose", "coco", "openpose")


class Image(NamedTuple):
    """An image to look at; one that was named itself must be readable."""

    path: Path
    name: str
    named: bool


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands, "predict", "Poses of single images as JSON, without tracking.", epilog=_EXAMPLES
    )
    parser.set_defaults(handler=run)
    parser.add_argument("images", nargs="+", metavar="IMAGES", help="images and folders of them")
    parser.add_argument("--output", required=True, metavar="OUTPUT", help="JSON file to write")
    parser.add_argument("--format", choices=_FORMATS, default="alphapose", help="see below")
    parser.add_argument("--boxes", metavar="FILE", help="person boxes instead of the detector")
    parser.add_argument(
        "--skeleton", metavar="NAME", help="map the joints by name, as coco17 or a YAML file"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_pipeline_options(parser)


def run(args: argparse.Namespace) -> int:
    """Estimate, then write everything at once."""
    from alphapose_ros.cli.output_files import spare_inputs
    from alphapose_ros.cli.pipelines import make_pipeline
    from alphapose_ros.io.formats import to_skeleton

    images = find(args.images)
    if args.skeleton and args.format == "openpose":
        raise InputError("--skeleton: openpose has a skeleton of its own")
    output = Path(args.output)
    spare_inputs(
        {"output": args.output},
        (*(image.path for image in images), args.boxes, args.params_file),
    )
    _check_output(args.format, output, images)
    found: list[tuple[Image, Poses]] = []
    pipeline = make_pipeline(args)
    skeleton, numbers = _skeleton(args, pipeline.skeleton), _numbers(images)
    for image, poses in _estimate(args, images, numbers, pipeline):
        found.append((image, to_skeleton(poses, skeleton)))
    with signals_wait():
        _write(args.format, output, found, numbers)
    people = sum(len(poses) for _, poses in found)
    say(f"{people} people in {len(found)} images: {output}")
    return 0


def _skeleton(args: argparse.Namespace, own: Skeleton) -> Skeleton:
    """Of the joints to write, where the network's own can be written so.

    Raises:
        ConfigError: no such skeleton, or one without a joint of the network.
        InputError: the format has no place for the joints.
    """
    from alphapose_ros.base.custom_skeleton import skeleton_named
    from alphapose_ros.base.keypoints import check_mapped
    from alphapose_ros.io.formats import check_openpose

    if args.format == "openpose":
        check_openpose(own)
    if args.skeleton in (None, "", own.name):
        return own
    return check_mapped(own, skeleton_named(args.skeleton))


def find(arguments: list[str]) -> list[Image]:
    """The images named, and those in the folders named, under the names of the output.

    Raises:
        SourceError: something does not exist, or a folder has no image.
    """
    from alphapose_ros.io.sources import find_images

    images: list[Image] = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            images += [
                Image(item, item.relative_to(path).as_posix(), False) for item in find_images(path)
            ]
        elif path.is_file():
            images.append(Image(path, path.name, True))
        else:
            raise SourceError(f"{argument}: no such image or folder")
    return images


def _estimate(
    args: argparse.Namespace,
    images: list[Image],
    numbers: dict[str, int | str],
    pipeline: PosePipeline,
) -> Iterator[tuple[Image, Poses]]:
    from alphapose_ros.cli.boxes import GivenBoxes
    from alphapose_ros.imaging import ImageBatch

    boxes = GivenBoxes(Path(args.boxes)) if args.boxes else None
    if boxes is not None and pipeline.estimator.finds_people:
        raise InputError(
            f"--boxes {args.boxes}: expected a pose network that takes boxes, got one that finds "
            "the people itself"
        )
    broken: list[SourceError] = []
    for image, pixels in _readable(
        progress(images, total=len(images), unit=" images", quiet=args.quiet), broken
    ):
        batch = ImageBatch.upload([pixels], pipeline.device)
        if boxes is None:
            yield image, pipeline.detect_and_estimate(batch)[0]
        else:
            found = boxes.of(image.name, numbers[image.name])
            yield image, pipeline.estimator(batch, [found])[0]
    if broken and len(broken) == len(images):
        raise broken[0]
    if broken:
        warn(f"{len(broken)} of {len(images)} images skipped; the first: {broken[0]}")
    if boxes is not None and boxes.unused:
        warn(f"{args.boxes}: {boxes.unused} boxes are of other images")


def _readable(
    images: Iterator[Image], broken: list[SourceError]
) -> Iterator[tuple[Image, ImageArray]]:
    from alphapose_ros.io.sources import read_image

    for image in images:
        try:
            pixels = read_image(image.path)
        except SourceError as error:
            if image.named:
                raise
            broken.append(error)
            continue
        yield image, pixels


def _check_output(form: str, output: Path, images: list[Image]) -> None:
    """Refuse, before any image is looked at, what could not be written or would be lost.

    Raises:
        InputError: ``output`` cannot be made, or two images would get one place in it.
    """
    from alphapose_ros.io.sinks import check_folder, check_writable

    if not _is_folder_output(form, output):
        check_folder(output)
    elif not (there := next(p for p in (output, *output.parents) if p.exists())).is_dir():
        raise InputError(f"{output}: expected a folder to write to, {there} is a file")
    else:
        check_writable(output, there)
    taken: dict[str, Image] = {}
    for image in images:
        key = _key(form, image, output)
        other = taken.setdefault(key, image)
        if other.path != image.path:
            raise InputError(
                f"--format {form}: expected a name of its own for each image, got {key!r} "
                f"for {other.path} and {image.path}; give them outputs of their own"
            )


def _key(form: str, image: Image, output: Path) -> str:
    """What its people are found by: in a folder the name of its file, without the ending."""
    if _is_folder_output(form, output):
        return Path(image.name).with_suffix("").as_posix()
    return image.name


def _is_folder_output(form: str, output: Path) -> bool:
    return form == "openpose" and output.suffix.lower() != ".json"


def _numbers(images: list[Image]) -> dict[str, int | str]:
    """Each image's COCO id by its name: the integer in it, where no two images have the same."""
    from alphapose_ros.io.formats import coco_image_id

    numbers = {image.name: coco_image_id(Path(image.name).stem) for image in images}
    unique = len(set(numbers.values())) == len(numbers)
    return numbers if unique else {name: name for name in numbers}


def _write(
    form: str,
    output: Path,
    found: list[tuple[Image, Poses]],
    numbers: dict[str, int | str],
) -> None:
    from alphapose_ros.io.formats import alphapose_rows, coco_rows, openpose_document

    if form == "openpose":
        documents = {_key(form, image, output): openpose_document(poses) for image, poses in found}
        if not _is_folder_output(form, output):
            _write_json(output, documents)
            return
        for name, document in documents.items():
            path = output / f"{name}_keypoints.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_json(path, document)
        return
    rows: list[dict[str, Any]] = []
    for image, poses in found:
        if form == "coco":
            rows += coco_rows(numbers[image.name], poses)
        else:
            rows += alphapose_rows(image.name, poses)
    _write_json(output, rows)


def _write_json(path: Path, content: object) -> None:
    from alphapose_ros.io.part import write_text

    write_text(path, json.dumps(content))
