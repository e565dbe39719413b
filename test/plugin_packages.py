# SPDX-License-Identifier: Apache-2.0
"""Tiny distributions as pip would have installed them: a module, and metadata beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from docs_pages import blocks

MAKER = """
import numpy as np
from alphapose_ros.base.records import Detections


class Corner:
    \"\"\"One person in the upper left quarter of every image.\"\"\"

    def __init__(self, config, device):
        self.config, self.device = config, device

    def reconfigure(self, config):
        self.config = config

    def __call__(self, batch):
        boxes = [np.array([[0, 0, w / 2, h / 2]], np.float32) for h, w in batch.sizes_hw]
        return [Detections(box, np.array([0.9], np.float32)) for box in boxes]
"""


class Site:
    """A folder of packages on the path of Python; what was imported from it is forgotten again."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self._patch = folder, patch
        folder.mkdir(exist_ok=True)
        patch.syspath_prepend(str(folder))

    def install(
        self,
        distribution: str,
        detectors: dict[str, str],
        modules: dict[str, str] | None = None,
        version: str = "1.0",
    ) -> None:
        """Add a distribution; ``detectors``: name -> module:attribute."""
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        head = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        (info / "METADATA").write_text(head, encoding="utf-8")
        lines = [f"{name} = {value}" for name, value in detectors.items()]
        text = "\n".join(["[alphapose_ros.detectors]", *lines, ""])
        (info / "entry_points.txt").write_text(text, encoding="utf-8")
        for name, code in (modules or {}).items():
            (self.folder / f"{name}.py").write_text(code, encoding="utf-8")
            self._patch.setitem(sys.modules, name, sys)  # so that its absence is restored
            self._patch.delitem(sys.modules, name)

    def install_page(self, page: Path) -> None:
        """The package that a page of the documentation writes, as its pyproject.toml says."""
        found = [block for block in blocks(page) if block.language == "toml"]
        if not found:
            return
        tomllib = pytest.importorskip("tomllib", reason="PAGE NOT CHECKED: no tomllib before 3.11")
        (project,) = [tomllib.loads(block.code)["project"] for block in found]
        detectors = project["entry-points"]["alphapose_ros.detectors"]
        code = {
            value.partition(":")[0]: next(
                block.code
                for block in blocks(page)
                if block.language == "python" and f"def {value.partition(':')[2]}(" in block.code
            )
            for value in detectors.values()
        }
        self.install(project["name"], detectors, code, project["version"])
