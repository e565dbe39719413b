# SPDX-License-Identifier: Apache-2.0
"""The gallery's page: numbers and pictures in, HTML out; no scripts, nothing from the net."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

_STYLE = """\
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 1640px;
  padding: 0 24px 48px; color: #1c1f24; background: #f6f7f9; }
nav { position: sticky; top: 0; background: #f6f7f9; padding: 10px 0;
  border-bottom: 1px solid #d5d9e0; }
nav a { display: inline-block; margin-right: 10px; padding: 3px 12px; border-radius: 14px;
  background: #fff; border: 1px solid #c9ced8; color: #1a4fa0; text-decoration: none; }
section { scroll-margin-top: 56px; }
.people { display: grid; gap: 16px; grid-template-columns: repeat(auto-fill, minmax(370px, 1fr)); }
figure { margin: 0; background: #fff; border: 1px solid #d5d9e0; border-radius: 8px;
  overflow: hidden; }
figure img { display: block; width: 100%; height: 330px; object-fit: contain;
  background: #23262b; }
figcaption { padding: 8px 12px; }
.rank { font-weight: 600; }
.sides { display: flex; background: #23262b; color: #dfe3ea; font-size: 12px; }
.sides span { flex: 1; text-align: center; padding: 3px; }
table { border-collapse: collapse; margin: 6px 0; }
td, th { padding: 0 12px 0 0; text-align: left; font-weight: normal; }
th { color: #5b6370; }
td { font-variant-numeric: tabular-nums; }
.here { font-weight: 600; }
small { color: #5b6370; }
@media (prefers-color-scheme: dark) {
  body, nav { background: #16181c; color: #e4e7ec; }
  figure, nav a { background: #212429; border-color: #3a3f48; }
  nav a { color: #8db8ff; } small, th { color: #9aa2af; } }
"""


@dataclass(frozen=True)
class Person:
    """One card.

    Attributes:
        row: in the data set. picture: file beside the page. image, image_id: of the data set.
        box_hw: px. score: the network's, of the person.
        annotated, pseudo: labelled joints of each kind.
        oks: part -> OKS, the parts that the person has.
    """

    row: int
    picture: str
    image: str
    image_id: int
    box_hw: tuple[int, int]
    score: float
    annotated: int
    pseudo: int
    oks: Mapping[str, float]


@dataclass(frozen=True)
class Section:
    """The worst ``people`` of a part, of ``count`` with a mean OKS of ``mean``."""

    part: str
    pseudo: bool
    count: int
    mean: float
    people: Sequence[Person]


def page(sections: Sequence[Section], measured_on: str = "") -> str:
    """The whole page, with an anchor to each part's people."""
    links = "".join(f'<a href="#{escape(s.part)}">{_title(s)}</a>' for s in sections)
    body = "".join(_section(section) for section in sections)
    if not sections:
        body = "<p>Nobody with a labelled joint: there is nothing to show.</p>"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Worst poses</title><style>\n{_STYLE}</style></head><body>"
        f"<h1>Worst poses</h1><p>{escape(measured_on)}</p>"
        "<p>Lowest object keypoint similarity (OKS) first, COCO-WholeBody constants. In every "
        "picture the truth is on the left and the prediction on the right.</p>"
        f"<nav>{links}</nav>\n{body}</body></html>\n"
    )


def _title(section: Section) -> str:
    return escape(section.part.replace("_", " "))


def _section(section: Section) -> str:
    labels = "annotated and pseudo labels" if section.pseudo else "annotated joints"
    cards = "\n".join(
        _card(rank, person, section.part) for rank, person in enumerate(section.people, 1)
    )
    return (
        f'<section id="{escape(section.part)}"><h2>{_title(section)}</h2>'
        f"<p>{len(section.people)} shown of {section.count} people, {labels}; "
        f"mean OKS of all {section.mean:.3f}</p>"
        f'<div class="people">\n{cards}\n</div></section>\n'
    )


def _card(rank: int, person: Person, part: str) -> str:
    rows = "".join(
        f"<tr{' class=here' if name == part else ''}><th>{escape(name.replace('_', ' '))}</th>"
        f"<td>{value:.3f}</td></tr>"
        for name, value in person.oks.items()
    )
    pseudo = f", {person.pseudo} derived or pseudo" if person.pseudo else ""
    return (
        f'<figure><div class="sides"><span>truth</span><span>prediction</span></div>'
        f'<img loading="lazy" src="{escape(person.picture)}" '
        f'alt="truth and prediction of a person in {escape(person.image)}"><figcaption>'
        f'<span class="rank">{rank}. OKS {person.oks[part]:.3f}</span>'
        f"<table>{rows}</table><small>person score {person.score:.3f} · box "
        f"{person.box_hw[1]} × {person.box_hw[0]} px · {person.annotated} joints annotated{pseudo}"
        f"<br>{escape(person.image)} (id {person.image_id})</small></figcaption></figure>"
    )
