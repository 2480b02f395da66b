"""Names that people give to the columns of boxes and landmarks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

BOX = ("left", "top", "right", "bottom")
CORNERS = (
    *(BOX, ("xmin", "ymin", "xmax", "ymax"), ("minx", "miny", "maxx", "maxy"), ("x0", "y0", "x1", "y1")),
    *(("x1", "y1", "x2", "y2"), ("xtl", "ytl", "xbr", "ybr"), ("startx", "starty", "endx", "endy")),
)
"""Names of left, top, right and bottom."""
SIZES = (("width", "height"), ("w", "h"), ("dx", "dy"))
STARTS = (("left", "top"), ("x", "y"), ("xmin", "ymin"), ("x1", "y1"), ("minx", "miny"), ("topleftx", "toplefty"))
CENTRES = (("cx", "cy"), ("xcenter", "ycenter"), ("centerx", "centery"), ("xcentre", "ycentre"), ("centrex", "centrey"))
FORMS: dict[tuple[str, ...], str] = {
    **dict.fromkeys(CORNERS, "xyxy"),
    **{start + size: "xywh" for start in STARTS for size in SIZES},
    **{centre + size: "centre" for centre in CENTRES for size in SIZES},
    ("x", "y", "side"): "square",  # as `smart-retail predict --format csv` writes them
}
"""Names of a box's numbers, and how they describe it."""
ALONE = {name for size in SIZES for name in size} | {"side"}
"""Names that may well be of a picture, where nothing tells where a box begins."""
PREFIXES = ("", "bbox", "box", "bb", "face", "facebbox", "facebox", "rect", "facerect", "facerectangle", "boundingbox")
ONE_COLUMN = {
    **dict.fromkeys((name for name in PREFIXES if name not in ("", "face")), ""),
    **{f"{name}{form}": form for name in PREFIXES[1:] for form in ("xywh", "xyxy")},
}
"""Names of a column that holds a whole box, and its form if the name tells it."""
POINTS = {
    "left_eye": ("lefteye", "eyeleft", "leye", "lefteyecenter", "lefteyecentre", "eyel"),
    "right_eye": ("righteye", "eyeright", "reye", "righteyecenter", "righteyecentre", "eyer"),
    "mouth": ("mouth", "mouthcenter", "mouthcentre", "lips"),
    "mouth_left": ("mouthleft", "leftmouth", "mouthleftcorner", "leftmouthcorner", "leftlip", "mouthl"),
    "mouth_right": ("mouthright", "rightmouth", "mouthrightcorner", "rightmouthcorner", "rightlip", "mouthr"),
}
POINT_LISTS = {
    f"{what}{name}" for what in ("", "face", "facial") for name in ("landmarks", "landmark", "keypoints", "kps")
}
"""Names of columns that hold all points of a face, whose order nobody knows."""
POINT_OF = {name: point for point, names in POINTS.items() for name in names}


def key_of(name: str) -> str:
    """Return a column's name without what people write differently: case, spaces, underscores, brackets."""
    return re.sub(r"[\W_]+", "", name.lower())


@dataclass(frozen=True)
class Places:
    """Which columns tell where faces lie.

    Attributes:
        box: the columns of a box, in the order of ``form``; one that holds all four; or none.
        form: ``xyxy``, ``xywh``, ``centre`` (x, y, width, height), ``square`` (x, y, side); "" if only cells tell.
        points: point of ``POINTS`` to its columns, x and y, or one that holds both.
        partial: columns that are a part of a box or of landmarks, of which others are missing.
        missing: those.
    """

    box: tuple[str, ...] = ()
    form: str = ""
    points: Mapping[str, tuple[str, ...]] | None = None
    partial: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are used."""
        return tuple(name for _, names in self.told for name in names)

    @property
    def told(self) -> list[tuple[str, tuple[str, ...]]]:
        """What is told, and the columns that tell it."""
        points = tuple(name for names in (self.points or {}).values() for name in names)
        return [(what, names) for what, names in (("landmarks", points), ("a box", self.box)) if names]


def find_places(known: Mapping[str, str]) -> Places:
    """Return which columns tell where a face is, of those whose names have these keys (see ``key_of``)."""
    points, lost_points = _points(known)
    box, form, parts, lost = _box(known)
    if lost_points and not box:
        return Places(partial=tuple(name for key, name in known.items() if point_of(key)), missing=tuple(lost_points))
    partial = tuple(known[key] for key in parts)
    return Places(box, form, points, partial, tuple(lost))


def _box(known: Mapping[str, str]) -> tuple[tuple[str, ...], str, list[str], list[str]]:
    """Return the columns of a box and its form, else what there is of one, and what is missing."""
    parts: list[tuple[int, int, list[str], list[str]]] = []
    for prefix in PREFIXES:
        for names, form in FORMS.items():
            there = [prefix + name for name in names if prefix + name in known]
            if len(there) == len(names):
                return tuple(known[name] for name in there), form, [], []
            lost = [f"{prefix}_{name}" if prefix else name for name in names if prefix + name not in known]
            if form != "square" and {name.removeprefix(prefix) for name in there} - ALONE:
                parts.append((len(lost), len(parts), there, lost))
    for key, form in ONE_COLUMN.items():
        if key in known:
            return (known[key],), form, [], []
    _, _, there, lost = min(parts, default=(0, 0, [], []))
    return (), "", there, lost


def point_of(key: str) -> tuple[str, int] | None:
    """Return the point and the axis (0, 1; -1 for both) that the key of a column tells."""
    for axis, letter in enumerate("xy"):
        for name in (key.removesuffix(letter), key.removeprefix(letter)):
            if name != key and name in POINT_OF:
                return POINT_OF[name], axis
    return (POINT_OF[key], -1) if key in POINT_OF else None


def _points(known: Mapping[str, str]) -> tuple[dict[str, tuple[str, ...]] | None, list[str]]:
    """Return the columns of each point if eyes and mouth are all there, and what is missing if a part is."""
    axes: dict[str, dict[int, str]] = {}
    for key, name in known.items():
        if (found := point_of(key)) is not None:
            axes.setdefault(found[0], {}).setdefault(found[1], name)
    whole = {p: (a[-1],) if -1 in a else (a[0], a[1]) for p, a in axes.items() if -1 in a or {0, 1} <= set(a)}
    mouth = [p for p in (("mouth",), ("mouth_left", "mouth_right")) if set(p) <= set(whole)]
    if {"left_eye", "right_eye"} <= set(whole) and mouth:
        return {p: whole[p] for p in ("left_eye", "right_eye", *mouth[0])}, []
    lost = [f"{p}_{a}" for p in ("left_eye", "right_eye", "mouth") if p not in whole for a in "xy"]
    # A column called as a point alone may tell of it something else: open or shut.
    told = any({0, 1} & set(found) for point, found in axes.items() if not point.startswith("mouth_"))
    return None, lost if told else []
