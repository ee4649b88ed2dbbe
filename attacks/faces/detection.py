"""Find faces and five points with MTCNN, and let BlazeFace say how likely each of them is one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from ...core.errors import NoFace
from ...core.types import Array, Face, Pixels
from ..networks import blazeface
from .boxes import iou
from .found import SMALLEST, Found

if TYPE_CHECKING:
    from facenet_pytorch import MTCNN

FINEST = 12  # pixels: the smallest face that MTCNN can see
COARSE = 1600  # pixels: the longer side of the copy on which faces are looked for first
LONGEST = int(COARSE * SMALLEST / FINEST)  # pixels: longer photos are looked at in tiles, too
SHARED = 500  # pixels that neighbouring tiles share: larger faces are seen on the copy of the whole photo
REFINED = 100  # pixels: the side to which a face is scaled to find its points again
REACH = 1.2  # what is looked at then, to each side of a face's middle, in sides of its box
STRICT = 0.75  # the bound of MTCNN's first network for faces that are not upright, which saves time
UPRIGHT, TURNED = (0,), (1, 2, 3)  # quarters
SLACK = 1.2  # the square in which MTCNN looks at a face, at most, in longer sides of the box that it gives
MARGIN = 0.04  # of the longer side: grey that is laid around what is searched
SAME_PLACE = 0.3  # intersection over union from which two boxes are around one face
SURE = 0.95  # the score of MTCNN from which it is sure of a face
CERTAIN, WELL_SUPPORTED = 0.995, 0.6  # from which a face stands upright: other turns need not be tried
ROOM = 64  # pixels beside a face that stands upright, below which no face that lies is looked for there
GREY = 127  # which MTCNN takes for nothing


@lru_cache
def _mtcnn(smallest: int, first: float) -> MTCNN:
    from facenet_pytorch import MTCNN

    detector = MTCNN(keep_all=True, min_face_size=smallest, thresholds=[first, 0.7, 0.7], device="cpu")
    return detector.to(memory_format=torch.channels_last)  # a quarter less time


def _detect(pictures: Pixels, smallest: float, margin: int = 0, first: float = 0.6) -> list[list[Face]]:
    """All faces of at least `smallest` pixels in each of some pictures (B, H, W, 3), which together take less
    time where they are small.

    A grey margin is laid around them: MTCNN squeezes into a square what is left of a face that the border
    cuts, and so finds its points elsewhere. `first` is the bound of its first network, 0.6 as published.
    """
    framed = np.pad(pictures, ((0, 0), (margin, margin), (margin, margin), (0, 0)), constant_values=GREY)
    finest = max(FINEST, round(smallest))
    if min(framed.shape[1:3]) < finest:  # no face fits, and facenet-pytorch would raise
        return [[] for _ in pictures]
    planes = torch.from_numpy(framed).permute(0, 3, 1, 2).contiguous().float()  # a tenth less time
    found: Any = _mtcnn(finest, first).detect(planes.permute(0, 2, 3, 1), landmarks=True)
    return [
        []
        if boxes is None
        else [
            Face(np.asarray(box, float), np.asarray(five, float), float(score)).transformed(
                1, -margin, -margin
            )
            for box, five, score in zip(boxes, points, scores, strict=True)
        ]
        for boxes, scores, points in zip(*found, strict=True)
    ]


def _shrunk(pixels: Pixels, scale: float) -> Pixels:
    """Pixels (H, W, 3) at a scale of at most 1; of far larger ones only every second or third is read."""
    high, wide = (max(1, round(side * scale)) for side in pixels.shape[:2])
    step = max(1, int(0.5 / scale))
    few = Image.fromarray(np.ascontiguousarray(pixels[step // 2 :: step, step // 2 :: step]))
    return np.asarray(few.resize((wide, high), Image.Resampling.BOX))


def around(pixels: Pixels, face: Face, reach: float, size: int) -> tuple[Pixels, float, tuple[int, int]]:
    """What lies within `reach` times a face's side of its middle: a picture (S, S, 3) as the face is turned
    in the photo, grey outside of the photo; how many of its pixels are one of the photo, and the place of its
    corner in the photo."""
    half = max(1, ceil(face.side * reach))
    left, top = (face.box.reshape(2, 2).mean(0) - half).round().astype(int)
    low = np.clip((left, top), 0, np.array(pixels.shape[1::-1]) - 1)
    high = np.clip((left + 2 * half, top + 2 * half), low + 1, pixels.shape[1::-1])
    scale = size / (2 * half)
    part = pixels[low[1] : high[1], low[0] : high[0]]
    if scale < 1:
        part = _shrunk(part, scale)
    else:
        wide, tall = np.maximum(1, (scale * (high - low)).round().astype(int))
        part = np.asarray(Image.fromarray(part).resize((wide, tall), Image.Resampling.BILINEAR))
    whole = np.full((size, size, 3), GREY, np.uint8)
    x, y = np.minimum((scale * (low - (left, top))).round().astype(int), size - 1)
    part = part[: size - y, : size - x]
    whole[y : y + part.shape[0], x : x + part.shape[1]] = part
    return whole, scale, (int(left), int(top))


def _turned_back(face: Face, turn: int, wide: int, high: int) -> Face:
    """A face that was found after turning a picture by `turn` quarters against the clock, before that."""

    def back(spots: Array) -> Array:
        x, y = spots.T
        places = ((x, y), (wide - 1 - y, x), (wide - 1 - x, high - 1 - y), (y, high - 1 - x))
        return np.stack(places[turn], 1)

    corners = back(face.box.reshape(2, 2))
    box = np.concatenate([corners.min(0), corners.max(0)])
    return replace(face, box=box, points=back(face.points), turn=turn)


def _look(pixels: Pixels, smallest: float, turns: Sequence[int], known: Sequence[Face]) -> Iterator[Face]:
    """The faces of a part of a photo (H, W, 3) that are turned so, as a copy of 1600 pixels shows them; those
    that lie or stand on their heads on half that copy, where they have to be twice as large (most smaller
    ones are seen upright, too, and turned at a closer look). Known faces are hidden, which saves time."""
    scale = min(1.0, COARSE / max(pixels.shape))
    copy = _shrunk(pixels, scale / 2 if any(turns) else scale).copy()
    high, wide = copy.shape[:2]
    for face in known:
        left, top, right, bottom = (
            _inner(face.transformed(wide / pixels.shape[1], 0.0, 0.0)).round().astype(int)
        )
        copy[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = GREY
    for alike in _of_one_shape(turns, high == wide):
        margin, first = (0, STRICT) if any(alike) else (round(MARGIN * max(high, wide)), 0.6)
        pictures = np.stack([np.rot90(copy, turn) for turn in alike])
        for turn, faces in zip(alike, _detect(pictures, smallest * scale, margin, first), strict=True):
            for face in faces:
                yield _turned_back(face, turn, wide, high).transformed(pixels.shape[1] / wide, 0.0, 0.0)


def _of_one_shape(turns: Sequence[int], square: bool) -> list[Sequence[int]]:
    """Turns, those together after which a picture has the same shape."""
    if square:
        return [turns]
    return [some for odd in (0, 1) if (some := [turn for turn in turns if turn % 2 == odd])]


def _tiles(high: int, wide: int) -> Iterator[tuple[int, int]]:
    """The corners (left, top) of the tiles of `LONGEST` pixels in which a photo that is longer is seen."""
    if max(high, wide) > LONGEST:
        yield from ((left, top) for top in _starts(high) for left in _starts(wide))


def _starts(length: int) -> list[int]:
    count = max(1, ceil((length - SHARED) / (LONGEST - SHARED)))
    return np.linspace(0, max(0, length - LONGEST), count).astype(int).tolist()


def _candidates(pixels: Pixels, smallest: float, turns: Sequence[int], known: Sequence[Face]) -> list[Face]:
    """All that MTCNN takes for a face at a first look, once for each way in which it may be turned, but for
    what lies in the place of a known one."""
    seen = list(_look(pixels, smallest, turns, known))
    for left, top in _tiles(*pixels.shape[:2]):
        tile = pixels[top : top + LONGEST, left : left + LONGEST]
        hidden = [face.transformed(1, -left, -top) for face in known]
        seen += [face.transformed(1, left, top) for face in _look(tile, smallest, turns, hidden)]
    seen = [face for face in seen if not any(_same_place(face, other) for other in known)]
    seen.sort(key=lambda face: -face.score)
    return [face for turn in turns for face in _apart(face for face in seen if face.turn == turn)]


def _apart(faces: Iterable[Face]) -> list[Face]:
    """The faces, the better ones first, without those in the place of a better one."""
    kept: list[Face] = []
    for face in faces:
        if not any(_same_place(face, other) for other in kept):
            kept.append(face)
    return kept


def _same_place(a: Face, b: Face) -> bool:
    """Whether two boxes share a good part, or the middle of the smaller lies well within the larger."""
    small, large = sorted((a, b), key=lambda face: face.side)
    middle = small.box.reshape(2, 2).mean(0)
    inner = _inner(large)
    within = bool((middle > inner[:2]).all() and (middle < inner[2:]).all())
    return within or iou(a.box, b.box) > SAME_PLACE


def _inner(face: Face) -> Array:
    """The part of a face's box (4,) that lies well within it."""
    return face.box + face.side / 6 * np.array([1, 1, -1, -1])


def _refine(pixels: Pixels, coarse: Face, turns: Sequence[int]) -> list[Face]:
    """Find a face again in the full photo, comfortably large, as if it were turned by some quarters; with
    more around it where it is not found so."""
    again = list[Face]()
    for reach in (REACH, 1.5 * REACH):
        size = round(2 * reach * REFINED)
        part, scale, corner = around(pixels, coarse, reach, size)
        pictures = np.stack([np.rot90(part, turn) for turn in turns])
        for turn, faces in zip(turns, _detect(pictures, 0.7 * REFINED), strict=True):
            found = [_turned_back(face, turn, size, size).transformed(1 / scale, *corner) for face in faces]
            best = max(found, key=lambda face: iou(face.box, coarse.box), default=None)
            if best and iou(best.box, coarse.box) > SAME_PLACE:
                again.append(best)
        if again:
            break
    return again


def _exact(pixels: Pixels, face: Face) -> list[Face]:
    """What a face is at a closer look; where it may be one that is not upright, for every quarter."""
    upright = not face.turn and face.score > SURE
    if upright and max(pixels.shape) <= COARSE and not _squeezed(face, pixels):
        return [face]
    again = _refine(pixels, face, (face.turn,) if upright or face.turn else range(4))
    if not again and _cut_off(face, pixels):  # then nothing vouches for its points
        return [replace(face, score=0.0)]
    return again or [face]


def _squeezed(face: Face, pixels: Pixels) -> bool:
    """Whether the square in which MTCNN looked at a face may reach beyond the margin around its photo."""
    size = np.array(pixels.shape[1::-1])
    middle, half = face.box.reshape(2, 2).mean(0), SLACK / 2 * (face.box[2:] - face.box[:2]).max()
    margin = MARGIN * size.max()
    return bool((middle - half < -margin).any() or (middle + half > size + margin).any())


def _cut_off(face: Face, pixels: Pixels) -> bool:
    """Whether a face reaches beyond the border of its photo, or nearly so."""
    near = face.side / 4
    return bool((face.box[:2] < near).any() or (face.box[2:] > np.array(pixels.shape[1::-1]) - near).any())


def second_opinion(pixels: Pixels, face: Face) -> float:
    """How sure BlazeFace is of a face, times how well it agrees with its points: in [0, 1]."""
    part, scale, corner = around(pixels, face, 1.0, blazeface.CLOSE)
    score, four = blazeface.most_likely(np.rot90(part, face.turn).copy())
    there = _turned_back(replace(face, points=four), face.turn, blazeface.CLOSE, blazeface.CLOSE)
    points = there.transformed(1 / scale, *corner).points
    stray = np.linalg.norm(points - np.vstack([face.points[:3], face.points[3:].mean(0)]), axis=1).mean()
    return score * float(np.clip(1 - stray / max(face.eyes, 1.0), 0, 1))


def _believed(face: Face, support: float) -> bool:
    """Whether it is a face. How the bounds were set: docs/decisions/0022-*.md."""
    least = 0.2 if face.score > SURE else 0.6
    return support > least + (0.2 if face.turn else 0)


def _settled(face: Face, support: float) -> bool:
    """Whether it is a face that stands upright beyond doubt."""
    return not face.turn and face.score > CERTAIN and support > WELL_SUPPORTED


def _leaves_room(face: Face, pixels: Pixels) -> bool:
    """Whether a face that lies may be beside this one."""
    gaps = np.concatenate([face.box[:2], np.array(pixels.shape[1::-1]) - face.box[2:]])
    return bool(gaps.max() > ROOM)


def _judged(
    pixels: Pixels, smallest: float, turns: Sequence[int], known: Sequence[Face] = ()
) -> list[tuple[Face, float]]:
    """What may be a face that is turned so, and how well the second detector supports that."""
    candidates = _candidates(pixels, smallest, turns, known)
    faces = [face for candidate in candidates for face in _exact(pixels, candidate)]
    return [(face, second_opinion(pixels, face)) for face in faces]


def search(pixels: Pixels, smallest: float = 20.0) -> Found:
    """Find every face of at least `smallest` pixels in a photo (H, W, 3), also turned by quarters.

    MTCNN finds them: on a copy of 1600 pixels where the photo is larger, and in tiles where it is huge; it
    finds each of these again in full detail. BlazeFace gives a second opinion. Where several lie in one
    place, which is how a face looks that is turned, the one stays on which both agree the most.
    """
    judged = _judged(pixels, smallest, UPRIGHT)
    settled = [face for face, support in judged if _settled(face, support)]
    if all(_leaves_room(face, pixels) for face in settled):
        judged += _judged(pixels, smallest, TURNED, settled)
    judged.sort(key=lambda one: -one[0].score * one[1])
    believed = _apart(face for face, support in judged if _believed(face, support))
    every = _apart([*believed, *(face for face, _ in judged if not face.turn or face.score > SURE)])

    def largest_first(faces: Iterable[Face]) -> list[Face]:
        return sorted(faces, key=lambda face: -face.side)

    return Found(largest_first(believed), largest_first(every[len(believed) :]))


def find_faces(pixels: Pixels, smallest: float = 20.0) -> list[Face]:
    """The faces of a photo (H, W, 3) that `search` believes, the largest first."""
    return search(pixels, smallest).faces


def largest_face(pixels: Pixels) -> Face:
    """The largest face of a photo (H, W, 3).

    Raises:
        NoFace: the photo shows none.
    """
    faces = find_faces(pixels)
    if not faces:
        raise NoFace(
            "No face was found.", "Try a photo that shows the face larger, upright or in better light."
        )
    return faces[0]
