# SPDX-License-Identifier: Apache-2.0
"""How Sphinx builds these pages: ``make docs``, or rosdoc2 on ROS's documentation servers."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

DOCS = Path(__file__).resolve().parent
# rosdoc2 builds a copy of these pages elsewhere, with the source on Python's path.
FOUND = [DOCS.parent, *(Path(folder) for folder in sys.path if folder)]
ROOT = next(folder for folder in FOUND if (folder / "alphapose_ros" / "pipeline.py").is_file())
sys.path[:0] = [str(ROOT), str(DOCS / "_ext")]

import repository_links  # noqa: E402 (needs the path above)

project = "alphapose_ros"
author = "alphapose_ros maintainers"
copyright = author  # noqa: A001 (Sphinx's name for it)
release = version = repository_links.package_version(ROOT)

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "docstring_fixes",
    "generated_pages",
    "repository_links",
]
source_tree = str(ROOT)
rosdoc2_settings = {"allow_other_extensions": True}
exclude_patterns = ["_build", "_ext", "_pictures"]
highlight_language = "none"  # of blocks that name none
myst_heading_anchors = 4  # as the code host makes them

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
# The pages can be built without what is heavy to install.
HEAVY = ("torch", "torchvision", "cv2", "scipy", "safetensors", "cyclonedds", "rosbags", "tqdm")
autodoc_mock_imports = [name for name in HEAVY if find_spec(name) is None]

nitpicky = True
# Names of other packages have no page here; the rooms' configurations are on the parameters' page.
nitpick_ignore_regex = [
    ("py:.*", r"(?!alphapose_ros\.).*"),
    ("py:class", r"alphapose_ros\.\w+\.(nms_)?config\.\w+"),
    ("py:class", r"alphapose_ros(\.\w+)+\.(Closing|ImageBatch|Self|T)"),
]

html_theme = "furo" if find_spec("furo") else "alabaster"
html_title = f"alphapose_ros {release}"
html_copy_source = False
html_show_copyright = False
