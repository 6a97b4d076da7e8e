"""One thing to paint: a shape, a tissue, and what the annotation says about it."""

from __future__ import annotations

from dataclasses import dataclass

from .combine import Mirrored
from .shapes import Shape

KEEP = "keep"  # the annotation stays as it is: gas in the stomach is stomach


@dataclass(frozen=True)
class Part:
    """`label` is a canonical structure, None where the annotation is cleared, or KEEP. Parts of one `group` move together.

    Where `inside` is given the part reaches only as far as that structure, so that a lung can be cut into lobes.
    `loose` scales how far a group strays from its place and size: 1 an organ, 0 what only follows the body's deformation.
    """

    shape: Shape
    tissue: str | None  # None paints nothing: the part only renames
    label: str | None = None
    group: str = ""
    loose: float = 0.0
    inside: str = ""


def pair(shape: Shape, tissue: str, stem: str | None = None, group: str = "", loose: float = 0.0) -> list[Part]:
    """A part of the left side and its mirror image; a `stem` is labelled with `_L` and `_R`, KEEP and None stay."""

    def named(side: str) -> str | None:
        return stem if stem in (None, KEEP) else f"{stem}_{side}"

    base = group or (stem if stem not in (None, KEEP) else "")
    return [Part(shape, tissue, named("L"), f"{base}_L" if base else "", loose),
            Part(Mirrored(shape), tissue, named("R"), f"{base}_R" if base else "", loose)]
