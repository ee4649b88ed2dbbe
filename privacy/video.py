"""Protect the people of a video: one change for each person and shot, carried by the face mesh.

The change is made in the canonical crop of one frame, the key, while others that differ most from it in pose
and expression take turns as what recognisers see; it is then checked on more of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from ..attacks.faces.tracks import Mesh, MeshTrack, Tracks, arrays
from ..attacks.faces.transforms import inverse
from ..core.errors import BadSettings
from ..core.files import atomic_write
from ..core.progress import WithResult
from ..core.types import Array, Item, Pixels, Sighting, Stage, Step, Steps, Track
from . import telling_when_full
from .engine import elsewhere, invert_faces, objective_of, seen_of
from .face_context import Crop, FaceContext, align_crop, context_of
from .key_frames import VIEWED, FaceFrame, FramesOf, face_frames
from .latent import Optimisation, optimise
from .mesh_placement import NO_HANDS, MeshPlacement, triangulated, with_ring
from .occlusion import Appearance, lines_of
from .paste import paste
from .priors import Prior, prior
from .settings import Settings
from .subject import Subject

Elsewhere: TypeAlias = Mapping[int, Sequence[Sighting]]  # how people are shown elsewhere, by number
NOWHERE: Elsewhere = {}

ADDED = 4  # of the frames that are checked: how many, the worst, then take turns, too
AGAIN = 1 / 3  # of the steps: how many more are taken with them
LESS = 0.5  # of a margin may be lost where a change is kept in another shot


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

    def placement(self, mesh: Mesh, hands: Array = NO_HANDS) -> MeshPlacement:
        """How the crop lies in a frame that shows the face with this mesh (468, 2), and hands (K, 21, 2)."""
        return MeshPlacement.of(self.source, with_ring(mesh), self.triangles, self.change.shape[-1], hands)


@dataclass(frozen=True, eq=False)
class ClipChange:
    """The changes of a video: one for each of the `tracks`, in their order."""

    tracks: Tracks
    changes: tuple[TrackChange, ...]

    @property
    def margins(self) -> tuple[float, ...]:
        """The `margin` of each."""
        return tuple(one.margin for one in self.changes)

    def between(self, start: int, stop: int) -> ClipChange:
        """What `render` needs for the frames from `start` to before `stop`."""
        return replace(self, tracks=self.tracks.between(start, stop))

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
    references: Elsewhere = NOWHERE,
) -> Steps[ClipChange]:
    """Find the change of every track: a generator that yields a `Step` for every step.

    Args:
        frames_of: reads frames (H, W, 3) by their numbers, in rising order.
        tracks: whom to protect.
        known: what was found before of the same video. A person's change of one shot is kept in another where
            it does there what it did before, and so are those that are found here.
        album: of people, by number, how they are shown elsewhere and protected already, with which they
            should not be linked.
        references: how they are shown elsewhere as they are.

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
        return (yield from _find_changes(frames_of, tracks, settings, known, album, references))


def _find_changes(
    frames_of: FramesOf,
    tracks: Tracks,
    settings: Settings,
    known: Sequence[ClipChange],
    album: Elsewhere,
    references: Elsewhere,
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
        beside = album.get(track.person, ()), references.get(track.person, ())
        run = WithResult(find_change(used, frames_of, track, settings, own, *beside))
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
    references: Sequence[Sighting] = (),
) -> Steps[TrackChange]:
    """Find the change of one track: one of those known of the person, where it holds here, or a new one.

    album: the person elsewhere, protected already, with which this one should not be linked.
    references: the person elsewhere, as they are.
    """
    shown = face_frames(frames_of, track)
    key, mesh, _ = shown[0]
    crop = align_crop(key.frame.pixels, key.face, used.template, used.size, used.device)
    to_crop = inverse(crop.placement.matrix)
    source = with_ring(mesh) @ to_crop[:, :2].T + to_crop[:, 2]
    blank = TrackChange(torch.zeros_like(crop.pixels), source, triangulated(source), 0.0)
    views = _views(blank, shown, crop.pixels)
    own = [(view.context.image, view.context.face) for view in views[:VIEWED]]
    own += [elsewhere(one, crop) for one in references]
    surrogates = [surrogate(name) for name in settings.surrogates]
    protected = [seen_of(surrogates, sighting, crop) for sighting in album]
    objective = objective_of(surrogates, own, None, settings, protected)
    for one in known:
        margin = min(_margins(objective, _views(one, shown, crop.pixels), one.change.to(crop.pixels)))
        if margin > min(0.0, one.margin) - LESS:
            change, chosen = one.change, replace(one, margin=margin)
            break
    else:
        change, margin = yield from _solved(used, views, objective, settings)
        chosen = replace(blank, change=change.half().float().cpu(), margin=margin)
    placed = [(sighting.frame.pixels, chosen.placement(mesh)) for sighting, mesh, _ in shown]
    usual = placed[VIEWED:] or placed
    return replace(chosen, appearance=Appearance.of([lines_of(*one) for one in usual]))


@dataclass(frozen=True, eq=False)
class _View:
    """A frame that shows a face: the part of it around the face, the canonical crop there, what is seen."""

    sighting: Sighting
    crop: Crop
    context: FaceContext


def _views(change: TrackChange, shown: Sequence[FaceFrame], pixels: Tensor) -> list[_View]:
    """The views of a face in sightings, each with the canonical crop of a change; `pixels` are the key's."""
    found = list[_View]()
    for sighting, mesh, hands in shown:
        crop, frame = Crop(pixels, sighting.face, change.placement(mesh, hands)), sighting.frame
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


def render(pixels: Pixels, index: int, change: ClipChange) -> Pixels:
    """A frame (H, W, 3), by its number, with the changes of all who are in it.

    It depends on nothing else, so that frames may be rendered in any order and by any process.
    """
    result = pixels
    for track, one in zip(change.tracks.tracks, change.changes, strict=True):
        mesh = track.mesh(index)
        if mesh is not None:
            placement = one.placement(mesh, track.hands.at(index))
            visible = one.appearance.visible(pixels, placement)
            shown = functional.interpolate(visible, one.change.shape[-2:], mode="bilinear")
            result = paste(result, shown * one.change, placement)
    return result
