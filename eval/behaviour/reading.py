"""Read what a person does through frames: face, eyes, expression, head, hands and body."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from kornia.color import rgb_to_grayscale
from numpy.typing import NDArray
from torch import Tensor

from ...attacks.faces.detection import find_faces
from ...attacks.faces.sampling import warp
from ...attacks.faces.transforms import inverse, umeyama
from ...attacks.networks import blendshapes, emotion, hands, irismesh, pose
from ...attacks.networks.facemesh import MESH_TEMPLATE, five_points
from ...core.errors import BadPhoto
from ...core.images import to_tensor
from ...core.types import Array, Face, Pixels, Stage, Step, Steps
from ..metrics.colourfulness import colourfulness_of

Mask: TypeAlias = NDArray[np.bool_]

MIN_SCORE = 0.5  # of the mesh, and of the body; below it nothing is there
IN_SIGHT = 0.8  # how likely a point of the body must be visible: where others lie is a guess
RETRY = 10  # frames after which a face that was lost is looked for elsewhere again
CROP = 128  # pixels: the side of the aligned faces of which motion is told
SAME_CLIP = "Give the clip that was protected, frame for frame."
STABLE = slice(0, 3)  # of the five points: what expressions move the least


@dataclass(frozen=True, eq=False)
class Reading:
    """What was read of one person in N frames; not a number, or nothing, where it was not found.

    About 30 KB a frame.

    size: of the frames, (width, height) in pixels.
    times: of them (N,), in seconds.
    mesh: the points of `irismesh` (N, 478, 3), in pixels.
    blendshapes, expressions: as `networks.blendshapes` (N, 52) and `networks.emotion` (N, 7) read them.
    crops: the face (N, S, S), grey, aligned by its eyes and nose; black where there is none.
    hands: those of each frame (21, 2), in pixels.
    body, visible: the points of `pose` (N, 33, 2), in pixels, and which of them can be seen (N, 33).
    brightness, colourfulness: of the whole frame (N,), in 1/255.
    loudness: of the sound around each frame (N,); None without sound.
    rarely: hands and body were looked for in one frame of so many, the first being one.
    """

    size: tuple[int, int]
    times: Array
    mesh: Array
    blendshapes: Array
    expressions: Array
    crops: Pixels
    hands: tuple[tuple[Array, ...], ...]
    body: Array
    visible: Mask
    brightness: Array
    colourfulness: Array
    loudness: Array | None = None
    rarely: int = 1

    @property
    def found(self) -> Mask:
        """In which frames the face was read (N,), boolean."""
        return ~np.isnan(self.mesh[:, 0, 0])

    @property
    def eyes(self) -> Array:
        """The distance between the outer corners of the eyes (N,), in pixels."""
        left, right = (self.mesh[:, index, :2] for index in irismesh.EYES)
        return np.linalg.norm(right - left, axis=1)


class Follower:
    """Follows one person's face from frame to frame.

    Each crop of the mesh is laid around the points that were found last, as a tracker does; a detected face
    begins it, and begins it anew where nothing is left there or the mesh has gone to somebody else.
    """

    def __init__(self) -> None:
        self.last: Array | None = None
        self.waited = RETRY

    def follow(self, pixels: Pixels, image: Tensor, known: Face | None) -> Array | None:
        """The points (478, 3) of the face in a frame (H, W, 3); None where it was lost.

        Args:
            image: the frame as (1, 3, H, W).
            known: where the face is, by somebody else's account; by none, the largest is looked for.
        """
        found = None
        if self.last is not None and not (known and _elsewhere(self.last, known)):
            found = self._read(image, irismesh.next_crop(self.last))
        if found is None and (face := known or self._detected(pixels)):
            first = self._read(image, irismesh.first_crop(face))
            found = None if first is None else self._read(image, irismesh.next_crop(first))
        if found is not None:
            self.last, self.waited = found, RETRY
        return found

    def _read(self, image: Tensor, crop: Array) -> Array | None:
        found = irismesh.mesh(image, crop)
        return found.points if found.score > MIN_SCORE else None

    def _detected(self, pixels: Pixels) -> Face | None:
        self.waited += 1
        if self.waited <= RETRY:
            return None
        self.waited = 0
        return next(iter(find_faces(pixels)), None)


def _elsewhere(points: Array, face: Face) -> bool:
    """Whether a mesh (478, 3) lies on another face than the one that is known."""
    return float(np.linalg.norm((five_points(points[:, :2]) - face.points).mean(0))) > face.side / 2


def face_of(points: Array) -> Face:
    """The face of a mesh (478, 3)."""
    box = np.concatenate([points[:, :2].min(0), points[:, :2].max(0)])
    return Face(box, five_points(points[:, :2]))


def read(
    frames: Iterable[Pixels],
    times: Array,
    faces: Sequence[Face | None] | None = None,
    loudness: Array | None = None,
    rarely: int = 1,
) -> Steps[Reading]:
    """Read one person in frames (H, W, 3), which are looked at once, one after the other.

    Args:
        times: of the frames (N,), in seconds.
        faces: the person's, frame by frame, None where the person is not there; by default the largest face
            is found and followed.
        loudness: of the sound around each frame (N,).
        rarely: hands and body, which take half of the time, are looked for in one frame of so many.

    Raises:
        BadPhoto: there are more or fewer frames than times, or of several sizes.
    """
    number = len(times)
    nowhere = np.full((number, irismesh.POINTS, 3), np.nan)
    reading = Reading(
        size=(0, 0),
        times=times,
        mesh=nowhere,
        blendshapes=np.full((number, len(blendshapes.NAMES)), np.nan),
        expressions=np.full((number, len(emotion.EXPRESSIONS)), np.nan),
        crops=np.zeros((number, CROP, CROP), np.uint8),
        hands=(),
        body=np.full((number, pose.POINTS, 2), np.nan),
        visible=np.zeros((number, pose.POINTS), bool),
        brightness=np.full(number, np.nan),
        colourfulness=np.full(number, np.nan),
        loudness=loudness,
        rarely=rarely,
    )
    follower, every_hand, size = Follower(), list[tuple[Array, ...]](), (0, 0)
    for index, pixels in enumerate(frames):
        here = pixels.shape[1], pixels.shape[0]
        size = size if index else here
        if index >= number:
            raise _uneven(f"more than {number}", number)
        if here != size:
            raise BadPhoto(f"Frame {index + 1} has another size than those before.", SAME_CLIP)
        known = faces[index] if faces is not None else None
        every_hand.append(_read_frame(reading, index, pixels, follower, known, faces is not None))
        yield Step(Stage.JUDGING, index + 1, number)
    if len(every_hand) < number:
        raise _uneven(str(len(every_hand)), number)
    return replace(reading, size=size, hands=tuple(every_hand))


def _uneven(seen: str, number: int) -> BadPhoto:
    return BadPhoto(f"There are {seen} frames where {number} were expected.", SAME_CLIP)


@torch.no_grad()
def _read_frame(
    reading: Reading, index: int, pixels: Pixels, follower: Follower, known: Face | None, told: bool
) -> tuple[Array, ...]:
    """Write what is read of one frame into the arrays of a reading; the hands in it."""
    image = to_tensor(pixels)
    reading.brightness[index] = 255 * float(rgb_to_grayscale(image).mean())
    reading.colourfulness[index] = float(colourfulness_of(image))
    there, face = known is not None or not told, None
    if there and (points := follower.follow(pixels, image, known)) is not None:
        face = face_of(points)
        reading.mesh[index] = points
        values = torch.from_numpy(points[None]).float()
        reading.blendshapes[index] = blendshapes.blendshapes(values)[0].numpy()
        reading.expressions[index] = emotion.expression(image, face)[0].numpy()
        reading.crops[index] = _aligned(image, face)
    if index % reading.rarely:
        return ()
    if face and (body := pose.body(image, pose.crop_below(face))).score > MIN_SCORE:
        high, wide = pixels.shape[:2]
        inside = ((body.points >= 0) & (body.points < (wide, high))).all(1)
        reading.body[index], reading.visible[index] = body.points, inside & (body.visible > IN_SIGHT)
    return tuple(hands.find_hands(image))


def _aligned(image: Tensor, face: Face) -> Pixels:
    """The face (S, S) in grey, turned, scaled and shifted so that eyes and nose lie where they always do."""
    template = MESH_TEMPLATE[STABLE] * CROP - 0.5
    crop = warp(image, inverse(umeyama(face.points[STABLE], template)), CROP)
    return (255 * rgb_to_grayscale(crop)[0, 0]).round().byte().numpy()
