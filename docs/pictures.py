# SPDX-License-Identifier: Apache-2.0
"""Makes the pictures of the documents: ``python docs/pictures.py [NAME ...]``.

Those of people need scikit-image and the bundled networks, the drawings nothing. Others
are made by the commands that stand in :data:`MEASURED`, and are left as they are.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS / "_pictures"))

# Name -> module and function that draws it.
DRAWN = {
    "astronaut.jpg": ("people", "draw_portrait"),
    "sikr.jpg": ("people", "draw_sikr"),
    "pose_nms.jpg": ("people", "draw_suppression"),
    "joints136.svg": ("joints", "draw_joints"),
    "states.svg": ("diagrams", "draw_states"),
    "frames.svg": ("diagrams", "draw_frames"),
    "learning_curves.svg": ("curves", "draw_curves"),
}
# Name -> the commands that make it, which take long or need programs of their own.
MEASURED = {
    "viewer.jpg": ("python docs/_pictures/viewer.py  # needs Chromium, playwright and Rerun",),
    "scaling_people.png": (
        "python benchmarks/scaling.py --threads 1 --json scaling.json",
        "python benchmarks/page.py scaling.json --png plots  # scaling_time_over_people.png",
    ),
}


def drawer(name: str) -> Callable[[Path], None]:
    """The function that draws a picture into a file."""
    module, function = DRAWN[name]
    found: Callable[[Path], None] = getattr(import_module(module), function)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Draw those that are asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as states.svg; none: all")
    parser.add_argument("--output", type=Path, default=DOCS / "images", help="folder")
    args = parser.parse_args(arguments)
    unknown = set(args.names) - DRAWN.keys() - MEASURED.keys()
    if unknown:
        parser.error(f"no such picture: {', '.join(sorted(unknown))}")
    args.output.mkdir(parents=True, exist_ok=True)
    for name in args.names or [*DRAWN, *MEASURED]:
        if name in DRAWN:
            drawer(name)(args.output / name)
            sys.stdout.write(f"{name}: drawn\n")
        else:
            sys.stdout.write(f"{name}: kept; made by\n")
            sys.stdout.write("".join(f"    {line}\n" for line in MEASURED[name]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
