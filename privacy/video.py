"""Protect the people of a video: one change for each person and shot, carried by the face mesh.

The change is made in the canonical crop of one frame, the key, while others that differ most from it in pose
and expression take turns as what recognisers see; it is then checked on more of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..attacks import surrogate
from ..attacks.ensemble import Ensemble
from ..attacks.faces.boxes import clipped, padded
from ..attacks.faces.tracks import Mesh, MeshTrack, Tracks, arrays, face_of, normalised
from ..attacks.faces.transforms import inverse
from ..core.errors import BadSettings
from ..core.files import atomic_write
from ..core.progress import WithResult
from ..core.types import Array, Item, Photo, Pixels, Sighting, Stage, Step, Steps, Track
from . import telling_when_full
from .engine import invert_faces, objective_of, seen_of
from .face_context import Crop, FaceContext, align_crop, context_of
from .latent import Optimisation, optimise
from .mesh_placement import MeshPlacement, triangulated, with_ring
from .occlusion import Appearance, lines_of
from .paste import paste
from .priors import Prior, prior
from .settings import Settings
from .subject import Subject

FramesOf: TypeAlias = Callable[[Collection[int]], Iterator[tuple[int, Pixels]]]
Elsewhere: TypeAlias = Mapping[int, Sequence[Sighting]]  # how people are shown elsewhere, by number
NOWHERE: Elsewhere = {}

VIEWED = 9  # frames that take turns; no multiple of the five kinds of views, which take turns as well
CHECKED = 9  # more frames, on which the surrogates are asked afterwards
ADDED = 4  # how many of these, the worst, then take turns, too
AGAIN = 1 / 3  # of the steps: how many more are taken with them
LESS = 0.5  # of a margin may be lost where a change is kept in another shot
AROUND = 1.0  # of a face's longer side: what is kept around it of a frame
CANDIDATES = 600  # frames, at most, of which the viewed ones are chosen
COLOURLESS = 2  # the most by which the colours of a grey frame differ, as a codec leaves them


@dataclass(frozen=True, eq=False)
class TrackChange:
    """The change of one person in one shot.

    change: (1, 3, S, S) of the canonical crop.
    source: (N, 2), where the points of the mesh and of the ring around it lie in the crop.
    triangles: (T, 3), between them.
    margin: by how many standard deviations of strangers' cosines the worst surrogate, in the worst of the
        frames that were checked, lies beyond its threshold at FAR 0.1 %.
    appearance: how the face looks where nothing is before it; where that is not known, all of it is seen.
    """

    change: Tensor
    source: Array
    triangles: NDArray[np.int32]
    margin: float
    appearance: Appearance = field(default_factory=Appearance)

    def placement(self, mesh: Mesh) -> MeshPlacement:
        """How the crop lies in a frame that shows the face with this mesh (468, 2)."""
        return MeshPlacement.of(self.source, with_ring(mesh), self.triangles, self.change.shape[-1])


@dataclass(frozen=True, eq=False)
class ClipChange:
    """The changes of a video: one for each of the `tracks`, in their order."""

    tracks: Tracks
    changes: tuple[TrackChange, ...]

    @property
    def margins(self) -> tuple[float, ...]:
        """The `margin` of each."""
        return tuple(one.margin for one in self.changes)

    def save(self, path: Path) -> None:
        """Write the changes into a file, whole or not at all; the tracks have their own."""
        parts = dict[str, NDArray[np.generic]]()
        for number, one in enumerate(self.changes):
            parts[f"change-{number}"] = one.change.numpy().astype(np.float16)
            parts[f"source-{number}"], parts[f"triangles-{number}"] = one.source, one.triangles
            parts[f"usual-{number}"] = one.appearance.usual
            parts[f"spread-{number}"] = one.appearance.spread
            parts[f"margin-{number}"] = np.array(one.margin)
        with atomic_write(path, replace=True) as (part,), part.open("wb") as file:
            np.savez(file, **parts)  # pyright: ignore[reportArgumentType]

    @classmethod
    def load(cls, path: Path, tracks: Tracks) -> ClipChange:
        """Read what `save` wrote for these tracks.

        Raises:
            OSError, KeyError, ValueError: it is not there, or not that.
        """
        with arrays(path) as file:
            changes = [
                TrackChange(
                    torch.from_numpy(file[f"change-{number}"].astype(np.float32)),
                    file[f"source-{number}"],
                    file[f"triangles-{number}"],
                    float(file[f"margin-{number}"]),
                    Appearance(file[f"usual-{number}"], file[f"spread-{number}"]),
                )
                for number in range(len(tracks.tracks))
            ]
        return cls(tracks, tuple(changes))


def find_changes(
    frames_of: FramesOf,
    tracks: Tracks,
    settings: Settings,
    known: Sequence[ClipChange] = (),
    album: Elsewhere = NOWHERE,
) -> Steps[ClipChange]:
    """Find the change of every track: a generator that yields a `Step` for every step.

    Args:
        frames_of: reads frames (H, W, 3) by their numbers, in rising order.
        tracks: whom to protect.
        known: what was found before of the same video. A person's change of one shot is kept in another where
            it does there what it did before, and so are those that are found here.
        album: of people, by number, how they are shown elsewhere and protected already, with which they
            should not be linked.

    Raises:
        BadSettings: they ask for another method or for impersonation, which there is not for videos.
        DeviceFull, UnknownName, WeightsMissing, WeightsCorrupt: as `privacy.protect` does.
    """
    if settings.method != "veil" or settings.goal != "dodge":
        raise BadSettings(
            "Videos can be protected by the method 'veil' alone, and without a target.",
            "Choose a strength, and give no target.",
        )
    with telling_when_full(settings.device):
        return (yield from _find_changes(frames_of, tracks, settings, known, album))


def _find_changes(
    frames_of: FramesOf, tracks: Tracks, settings: Settings, known: Sequence[ClipChange], album: Elsewhere
) -> Steps[ClipChange]:
    used = prior(settings.prior, settings.size, settings.device)
    of_person = dict[int, list[TrackChange]]()
    for clip in known:
        for track, one in zip(clip.tracks.tracks, clip.changes, strict=True):
            of_person.setdefault(track.person, []).append(one)
    changes, total = list[TrackChange](), len(tracks.tracks)
    for number, track in enumerate(tracks.tracks, 1):
        yield Step(Stage.GETTING_READY, number - 1, total)
        own = of_person.setdefault(track.person, [])
        run = WithResult(find_change(used, frames_of, track, settings, own, album.get(track.person, ())))
        for step in run:
            yield replace(step, item=Item(number, number, total)) if total > 1 else step
        changes.append(run.result)
        own.append(run.result)
    return ClipChange(tracks, tuple(changes))


def find_change(
    used: Prior,
    frames_of: FramesOf,
    track: MeshTrack,
    settings: Settings,
    known: Sequence[TrackChange] = (),
    album: Sequence[Sighting] = (),
) -> Steps[TrackChange]:
    """Find the change of one track: one of those known of the person, where it holds here, or a new one.

    album: the person elsewhere, protected already, with which this one should not be linked.
    """
    shown = _shown(frames_of, track)
    (key, mesh), *_ = shown
    crop = align_crop(key.frame.pixels, key.face, used.template, used.size, used.device)
    to_crop = inverse(crop.placement.matrix)
    source = with_ring(mesh) @ to_crop[:, :2].T + to_crop[:, 2]
    blank = TrackChange(torch.zeros_like(crop.pixels), source, triangulated(source), 0.0)
    views = _views(blank, shown, crop.pixels)
    own = [(view.context.image, view.context.face) for view in views[:VIEWED]]
    surrogates = [surrogate(name) for name in settings.surrogates]
    elsewhere = [seen_of(surrogates, sighting, crop) for sighting in album]
    objective = objective_of(surrogates, own, None, settings, elsewhere)
    for one in known:
        margin = min(_margins(objective, _views(one, shown, crop.pixels), one.change.to(crop.pixels)))
        if margin > min(0.0, one.margin) - LESS:
            change, chosen = one.change, replace(one, margin=margin)
            break
    else:
        change, margin = yield from _solved(used, views, objective, settings)
        chosen = replace(blank, change=change.half().float().cpu(), margin=margin)
    placed = [
        (view.sighting.frame.pixels, chosen.placement(mesh))
        for view, (_, mesh) in zip(views, shown, strict=True)
    ]
    usual = placed[VIEWED:] or placed
    return replace(chosen, appearance=Appearance.of([lines_of(*one) for one in usual]))


@dataclass(frozen=True, eq=False)
class _View:
    """A frame that shows a face: the part of it around the face, the canonical crop there, what is seen."""

    sighting: Sighting
    crop: Crop
    context: FaceContext


def _views(change: TrackChange, shown: Sequence[tuple[Sighting, Mesh]], pixels: Tensor) -> list[_View]:
    """The views of a face in sightings, each with the canonical crop of a change; `pixels` are the key's."""
    found = list[_View]()
    for sighting, mesh in shown:
        crop, frame = Crop(pixels, sighting.face, change.placement(mesh)), sighting.frame
        found.append(_View(sighting, crop, context_of(crop, frame.pixels, frame.grey)))
    return found


def _margins(objective: Ensemble, views: Sequence[_View], change: Tensor) -> list[float]:
    """The worst surrogate's margin in each view, as it is, with a change (1, 3, S, S)."""
    return [
        objective.verdict(view.context.with_change(change), view.context.face, views=0)[1] for view in views
    ]


def _solved(
    used: Prior, views: Sequence[_View], objective: Ensemble, settings: Settings
) -> Steps[tuple[Tensor, float]]:
    """The change (1, 3, S, S) that hides a face in its views, the first being the key; its worst margin."""
    viewed, checked = views[:VIEWED], views[VIEWED:]
    image = views[0].crop.pixels
    inverted = yield from invert_faces(used, image, settings)
    origin = inverted.reconstruction if settings.add_change else image

    def optimisation(some: Sequence[_View], steps: int) -> Optimisation:
        subject = Subject(
            Track(tuple(view.sighting for view in some)),
            tuple(view.crop for view in some),
            tuple(view.context for view in some),
            objective,
        )
        return Optimisation(used, inverted, settings.model_copy(update={"steps": steps}), [subject], origin)

    first = optimisation(viewed, settings.steps)
    change = yield from optimise(first)
    found = _margins(objective, views, change)
    worst = sorted(zip(found[VIEWED:], checked, strict=True), key=lambda one: one[0])[:ADDED]
    lost = [view for margin, view in worst if margin < min(0.0, *found[:VIEWED])]
    if lost:
        second = optimisation([*viewed, *lost], max(1, round(AGAIN * settings.steps)))
        second.go_on_from(first)
        change = yield from optimise(second)
        found = _margins(objective, views, change)
    return change, min(found)


def _shown(frames_of: FramesOf, track: MeshTrack) -> list[tuple[Sighting, Mesh]]:
    """The key of a track, frames that differ most in pose and expression, and more at regular intervals: what
    is around the face there, and its mesh in that."""
    order = _chosen(track)
    found = dict[int, tuple[Pixels, Mesh]]()
    for index, pixels in frames_of(sorted(order)):
        mesh = track.points[track.places[index]]
        box = face_of(mesh).box
        reach = padded(box, AROUND * float((box[2:] - box[:2]).max()))
        left, top, right, bottom = clipped(reach, (pixels.shape[1], pixels.shape[0]))
        corner = np.array([left, top], np.float32)
        found[index] = pixels[top:bottom, left:right].copy(), mesh - corner
    grey = all(int(np.ptp(pixels.astype(np.int16), 2).max()) <= COLOURLESS for pixels, _ in found.values())
    parts = [found[index] for index in order]
    return [(Sighting(Photo(pixels, "", grey=grey), face_of(mesh)), mesh) for pixels, mesh in parts]


def _chosen(track: MeshTrack) -> list[int]:
    """The key frame of a track, others that differ most, each from those before it, and some to check on."""
    seen = track.indexes[track.seen]
    some = seen[np.linspace(0, len(seen) - 1, min(len(seen), CANDIDATES)).round().astype(int)]
    shapes = normalised(track.points[[track.places[int(frame)] for frame in some]])
    order = [track.key]
    near = np.linalg.norm(shapes - normalised(track.points[[track.places[track.key]]]), axis=(1, 2))
    while len(order) < VIEWED and near.max() > 0:
        further = int(near.argmax())
        order.append(int(some[further]))
        near = np.minimum(near, np.linalg.norm(shapes - shapes[further], axis=(1, 2)))
    left = [int(frame) for frame in some if int(frame) not in order]
    places = np.linspace(0, len(left) - 1, min(len(left), CHECKED)).round().astype(int) if left else []
    return order + [left[place] for place in places]


def render(pixels: Pixels, index: int, change: ClipChange) -> Pixels:
    """A frame (H, W, 3), by its number, with the changes of all who are in it.

    It depends on nothing else, so that frames may be rendered in any order and by any process.
    """
    result = pixels
    for track, one in zip(change.tracks.tracks, change.changes, strict=True):
        mesh = track.mesh(index)
        if mesh is not None:
            placement = one.placement(mesh)
            visible = one.appearance.visible(pixels, placement)
            shown = functional.interpolate(visible, one.change.shape[-2:], mode="bilinear")
            result = paste(result, shown * one.change, placement)
    return result
