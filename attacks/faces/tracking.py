"""Follow the faces of a video: detected every few frames, carried by the face mesh between.

Between two detections frames are held and each known face is followed from frame to frame: its mesh is found
around where it was. What a detection finds anew is followed back through the same frames, so that nobody is
missed who came in between. Hands near faces are followed beside them. Of what was read nothing is kept but
points, and one small picture of each face, by which faces that were lost and found are taken for one person.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import ceil

import numpy as np
import torch
from PIL import Image

from ...core.images import to_tensor
from ...core.types import Face, Pixels, Stage, Step, Steps
from ..networks.facemesh import SIZE as MESH_SIZE
from ..networks.facemesh import landmarks_in_crop
from .boxes import clipped, reaching
from .detection import around, search, second_opinion
from .found import SMALLEST
from .stored_points import PointFile, StoredMeshes, blocks
from .tracks import Mesh, MeshTrack, Tracks, face_of, track_of
from .trails import Trail, apart, hands_of, meshes_of, people_of, same
from .transforms import ARCFACE, template_transform

EVERY = 15  # frames from one detection to the next
# The smallest faces that are looked for: LEAST pixels, in large frames only those that are worth protecting.
LEAST, FINE = 20.0, 60.0  # the second is a frame's longer side in sides of the smallest face
CHECKED = 3  # frames from one time that BlazeFace is asked whether a mesh is a face's to the next
BELIEVED = 0.25  # how well BlazeFace has to support a face, for the mesh to be followed further
# Where the five points lie in the crop of the mesh, in fractions of its side: higher than in `MESH_TEMPLATE`,
# by which a crop that is off by .4 eye distances gives a mesh that is off by up to .7; by this one, by .02.
TEMPLATE = 0.7 * (ARCFACE - 0.5) + (0.5, 0.4)
MOVED = 0.1  # of the eye distance: if a face has moved further, its mesh is looked for once more,
ROUNDS = 4  # at most so many times
JUMP = 1.5  # eye distances that a face may move from one frame to the next
STRAYED = 0.3  # of the eye distance between mesh and detector, from which the detector is believed
ONE_FACE = 0.4  # of the eye distance: two meshes that are nearer are of one face
CUT, LEAP = 0.08, 5.0  # a scene change: frames differ so much, and so many times more than those before
LARGEST = 2048  # pixels: the longer side up to which frames are held; larger ones are made smaller
THUMB = 32  # pixels: the side of the copies that are compared for that
SIDE = 256  # pixels: of the picture that is kept of a face
NEAR = 1.5  # how far it reaches, in sides of the face


def follow(frames: Iterable[tuple[int, Pixels]], total: int | None = None) -> Steps[Tracks]:
    """Follow all faces of a video: a generator that yields a `Step` a frame and returns the `Tracks`.

    Args:
        frames: upright, all (H, W, 3) of one size, by their number: 0, 1, 2, ...
        total: how many they will be, where that is known.
    """
    follower = Follower()
    for index, pixels in frames:
        follower.take(index, pixels)
        yield Step(Stage.FOLLOWING, index + 1, max(total or 0, index + 1))
    return follower.finish()


class Follower:
    """What `follow` does, a frame at a time."""

    def __init__(self) -> None:
        self.stretch: list[tuple[int, Pixels]] = []  # from the last detection on
        self.trails: list[Trail] = []
        self.file = PointFile()
        self.cuts: list[int] = []
        self.count, self.size = 0, (0, 0)
        self.factor = 1  # how many pixels of a frame are one of what is held of it
        self.thumb: Image.Image | None = None
        self.usual = 0.0  # the running mean of how much frames differ

    def take(self, index: int, pixels: Pixels) -> None:
        """Read the next frame (H, W, 3)."""
        self.factor = ceil(max(pixels.shape) / LARGEST)
        if self.factor > 1:
            pixels = np.asarray(Image.fromarray(pixels).reduce(self.factor))
        if self._is_cut(pixels) or not self.count:
            self._close()
            self.cuts.append(index)
            self.stretch = [(index, pixels)]
            self._detect()
        else:
            self.stretch.append((index, pixels))
        self.count, self.size = index + 1, (pixels.shape[1], pixels.shape[0])
        if len(self.stretch) > EVERY:
            self._close()
            self.stretch = self.stretch[-1:]

    def finish(self) -> Tracks:
        """The tracks of all frames that were read."""
        self._close()
        self.stretch = []
        ends, file = [*self.cuts[1:], self.count], PointFile()
        tracks = [
            track_of(
                person,
                shot,
                meshes_of(trails, shot),
                self.cuts[shot],
                ends[shot],
                self.size,
                hands_of(trails, shot),
                file,
            )
            for person, trails in enumerate(people_of(self.trails), 1)
            for shot in sorted({trail.shot for trail in trails})
        ]
        if self.factor > 1:
            tracks = [self._enlarged(track, file) for track in tracks]
        return Tracks(tuple(tracks), tuple(self.cuts), self.count)

    def _enlarged(self, track: MeshTrack, file: PointFile) -> MeshTrack:
        """A track as it lies in frames that were made smaller."""
        shift = (self.factor - 1) / 2
        meshes = (mesh * self.factor + shift for some in blocks(track.points) for mesh in some)
        hands = replace(track.hands, points=track.hands.points * self.factor + shift)
        return replace(track, points=file.extend(meshes), hands=hands)

    def _is_cut(self, pixels: Pixels) -> bool:
        """Whether the scene has changed: small copies of two frames differ much, and far more than usual."""
        small = Image.fromarray(pixels[:: max(1, pixels.shape[0] // 256), :: max(1, pixels.shape[1] // 256)])
        thumb, before = small.resize((THUMB, THUMB), Image.Resampling.BOX), self.thumb
        self.thumb = thumb
        if before is None:
            return False
        differs = float(np.abs(np.asarray(thumb, float) - np.asarray(before, float)).mean() / 255)
        if cut := differs > CUT and differs > LEAP * self.usual:
            self.usual = 0.0
        else:
            self.usual += 0.2 * (differs - self.usual)
        return cut

    def _close(self) -> None:
        """Follow all faces through the frames that are held, and look for new ones in the last of them."""
        if len(self.stretch) < 2:
            return
        first, *rest = self.stretch
        known = self._known(first[0])
        for place, trail in enumerate(known):
            _go(trail, rest)
            for other in known[:place]:
                _part(other, trail, [index for index, _ in rest])
        self._detect()
        for trail in self.trails:
            faces = {
                index: face_of(trail.meshes[index]) for index, _ in self.stretch if index in trail.meshes
            }
            if faces:
                trail.hands.take(self.stretch, faces)

    def _known(self, frame: int) -> list[Trail]:
        return [trail for trail in self.trails if frame in trail.meshes]

    def _detect(self) -> None:
        """Look for faces in the last frame, and follow new ones back through those that are held."""
        index, pixels = self.stretch[-1]
        smallest = np.clip(max(pixels.shape) / FINE, LEAST, SMALLEST)
        for face in search(pixels, float(smallest)).faces:
            trail = next((one for one in self._known(index) if same(face_of(one.meshes[index]), face)), None)
            mesh = mesh_at(pixels, face)
            if mesh is None:
                continue
            if trail is None:
                trail = self._new(index, mesh)
            elif apart(face_of(trail.meshes[index]), face) > STRAYED:
                trail.meshes[index] = mesh
            _remember(trail, index, pixels)

    def _new(self, index: int, mesh: Mesh) -> Trail:
        """A new face, as far back as it can be followed; or one that was lost on the way, where it is met."""
        trail = Trail(len(self.cuts) - 1, StoredMeshes(self.file, {index: mesh}))
        known = [one for one in self.trails if one.meshes.keys() & {frame for frame, _ in self.stretch}]
        for frame, before in reversed(self.stretch[:-1]):
            found = _next(trail.meshes[frame + 1], before, frame % CHECKED == 0)
            if found is None:
                break
            for other in known:
                if frame in other.meshes and same(face_of(other.meshes[frame]), face_of(found)):
                    other.meshes.update(trail.meshes)
                    return other
            trail.meshes[frame] = found
        self.trails.append(trail)
        return trail


def mesh_at(pixels: Pixels, face: Face) -> Mesh | None:
    """The mesh (468, 2) of a face in a frame (H, W, 3), in its pixels; None where it lies outside."""
    left, top, right, bottom = clipped(reaching(face.box, 0.5), (pixels.shape[1], pixels.shape[0]))
    if right - left < 2 or bottom - top < 2:
        return None
    part = to_tensor(pixels[top:bottom, left:right])
    there = template_transform(face.transformed(1.0, -left, -top), TEMPLATE, MESH_SIZE)
    with torch.no_grad():
        found = landmarks_in_crop(part, there)[0][0]
    return (found.double().numpy() + (left, top)).astype(np.float32)


def _next(mesh: Mesh, pixels: Pixels, check: bool) -> Mesh | None:
    """The mesh in the frame after or before one in which it was `mesh`; None where it is lost.

    `check`: ask a detector, too, as is always done where a face moved fast.
    """
    before = face = face_of(mesh)
    for round in range(ROUNDS):
        found = mesh_at(pixels, face)
        if found is None:
            return None
        moved, face = apart(face_of(found), face), face_of(found)
        if moved < MOVED:
            if not 0.7 < face.eyes / max(before.eyes, 1.0) < 1.4:
                break
            if (check or round) and second_opinion(pixels, face) < BELIEVED:
                break
            return found
    return _found_again(pixels, before)


def _found_again(pixels: Pixels, face: Face) -> Mesh | None:
    """The mesh of a face that was lost, by looking for it again near its last place."""
    left, top, right, bottom = clipped(reaching(face.box, 1.0), (pixels.shape[1], pixels.shape[0]))
    if right - left < 2 or bottom - top < 2:
        return None
    there = [one.transformed(1.0, left, top) for one in search(pixels[top:bottom, left:right]).faces]
    nearest = min(there, key=lambda one: apart(one, face), default=None)
    return mesh_at(pixels, nearest) if nearest and apart(nearest, face) < JUMP else None


def _go(trail: Trail, frames: Iterable[tuple[int, Pixels]]) -> None:
    """Follow a face, known in the frame before, until it is lost."""
    for index, pixels in frames:
        found = _next(trail.meshes[index - 1], pixels, index % CHECKED == 0)
        if found is None:
            return
        trail.meshes[index] = found


def _part(kept: Trail, trail: Trail, indexes: Sequence[int]) -> None:
    """End a trail where, in these frames, it has come upon the face of another one."""
    one_face = False
    for index in indexes:
        mesh, other = trail.meshes.get(index), kept.meshes.get(index)
        if mesh is not None and other is not None:
            one_face = one_face or apart(face_of(mesh), face_of(other)) < ONE_FACE
        if one_face:
            trail.meshes.pop(index, None)


def _remember(trail: Trail, index: int, pixels: Pixels) -> None:
    """Keep a picture of a face if it shows more than the one that is kept: large, and seen from the front."""
    face = face_of(trail.meshes[index])
    if face.eyes > 1.3 * trail.quality:
        part, scale, (left, top) = around(pixels, face, NEAR, SIDE)
        trail.portrait = part, face.transformed(scale, -left * scale, -top * scale)
        trail.quality = face.eyes
