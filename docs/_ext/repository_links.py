# SPDX-License-Identifier: Apache-2.0
"""Links that leave docs/, such as ``../config/pose.yaml``: they work on the code host and here.

With ``<url type="repository">`` in package.xml they lead there. Without one, as long as the
project has no public address, the files are copied into the site.
"""

from __future__ import annotations

import os
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any
from urllib.parse import quote

from docutils import nodes
from sphinx.addnodes import download_reference, pending_xref
from sphinx.application import Sphinx

COPIES = "_repository"  # folder of the built site


def package_version(root: Path) -> str:
    """The version in package.xml."""
    return _package(root).findtext("version") or ""


def repository_url(root: Path) -> str:
    """The repository's address in package.xml; empty where it has none."""
    for item in _package(root).findall("url"):
        if item.get("type") == "repository":
            return (item.text or "").strip().rstrip("/")
    return ""


def _package(root: Path) -> ElementTree.Element:
    return ElementTree.parse(root / "package.xml").getroot()  # noqa: S314 (our own file)


def outside(target: str, page: Path, docs: Path) -> Path | None:
    """What a link of ``page`` means, relative to the repository; None: it stays in ``docs``."""
    path = target.partition("#")[0]
    if not path or "://" in path:
        return None
    found = Path(os.path.normpath(page.parent / path))
    if found.is_relative_to(docs) or not found.is_relative_to(docs.parent):
        return None
    if not found.exists():  # MyST takes the ending off what it believes to be a page
        found = found.with_name(f"{found.name}.md")
    return found.relative_to(docs.parent) if found.exists() else None


def address(path: Path, url: str, root: Path, depth: int) -> str:
    """Where such a link leads; ``depth``: how many folders deep its page lies in the site."""
    if url:
        kind = "tree" if (root / path).is_dir() else "blob"
        return f"{url}/{kind}/HEAD/{quote(path.as_posix())}"
    name = path.as_posix() + ("/index.html" if (root / path).is_dir() else ".txt")
    return f"{'../' * depth}{COPIES}/{quote(name)}"


def copy(path: Path, root: Path, site: Path) -> None:
    """A file as text, or a folder as a list of its files, beside the pages."""
    source, target = root / path, site / COPIES / path
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target.with_name(f"{target.name}.txt"))
        return
    files = sorted(item.relative_to(root) for item in source.iterdir() if item.is_file())
    for item in files:
        copy(item, root, site)
    rows = "".join(f'<li><a href="{f.name}.txt">{f.name}</a></li>' for f in files)
    target.mkdir(parents=True, exist_ok=True)
    page = f"<!doctype html><meta charset='utf-8'><title>{path}</title><ul>{rows}</ul>"
    (target / "index.html").write_text(page, encoding="utf-8")


def _resolve(app: Sphinx, document: nodes.document) -> None:
    docs, name = Path(app.config.source_tree) / "docs", app.env.docname
    page = docs / Path(str(document["source"])).relative_to(app.srcdir)
    for node in list(
        document.findall(lambda n: isinstance(n, (pending_xref, download_reference)))
    ):
        path = outside(str(node.get("reftarget", "")), page, docs)
        if path is None:
            continue
        app.env.outside_links.setdefault(name, set()).add(path)  # type: ignore[attr-defined]
        uri = address(path, app.config.repository_url, docs.parent, name.count("/"))
        if app.config.repository_url and node.get("reftargetid"):
            uri += f"#{node['reftargetid']}"
        node.replace_self(nodes.reference("", "", *node.children, refuri=uri, internal=False))


def _begin(app: Sphinx) -> None:
    app.config.repository_url = repository_url(Path(app.config.source_tree))
    if not hasattr(app.env, "outside_links"):
        app.env.outside_links = {}  # type: ignore[attr-defined]


def _finish(app: Sphinx, failure: Exception | None) -> None:
    if failure or app.config.repository_url or app.builder.format != "html":
        return
    for path in set().union(*app.env.outside_links.values()):  # type: ignore[attr-defined]
        copy(path, Path(app.config.source_tree), Path(app.outdir))


def setup(app: Sphinx) -> dict[str, Any]:
    """Join Sphinx."""
    app.add_config_value("source_tree", "", "env")
    app.add_config_value("repository_url", "", "env")
    app.connect("builder-inited", _begin)
    app.connect("doctree-read", _resolve)
    app.connect("build-finished", _finish)
    return {"parallel_read_safe": False}
