"""A face before and after, as the candidates of `likeness_candidates.py` look at it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache

import numpy as np
import torch
from kornia.color import rgb_to_lab
from kornia.filters import gaussian_blur2d
from torch import Tensor

from veil.attacks import recognizer
from veil.attacks.faces import fit, warp
from veil.attacks.networks import facemesh
from veil.core.images import to_pixels
from veil.core.types import Face
from veil.eval.metrics.likeness import PARTS as TELLING
from veil.privacy.canvas import cut
from veil.privacy.paste import paste
from veil.privacy.priors import prior
from veil.privacy.purification import purified

SIDE = 192  # pixels of the aligned crop, the face mesh's own
REACH = 5.0  # pixels of it around the points of a part
SIGMAS = (1.0, 2.0, 4.0, 8.0, 16.0)  # pixels of the crop, between the bands
BANDS = range(len(SIGMAS) + 1)

# Points of the face mesh that lie on a part: those that tell people apart, and others.
PARTS: dict[str, tuple[int, ...]] = {
    **TELLING,
    "tip": (4, 1, 19, 94, 2, 98, 97, 326, 327, 64, 294, 129, 358, 48, 278, 45, 275, 220, 440, 44, 274),
    "bridge": (168, 6, 197, 195, 196, 419, 3, 248, 51, 281, 174, 399, 236, 456),
    "upper-lip": (2, 97, 326, 164, 393, 167, 165, 391, 92, 322, 206, 426),
    "cheeks": (50, 36, 205, 187, 123, 117, 118, 101, 280, 266, 425, 411, 352, 346, 347, 330),
    "forehead": (10, 151, 9, 109, 67, 103, 69, 108, 338, 297, 332, 299, 337, 104, 333),
    "jaw": (172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 199, 208, 428, 175),
}
FEATURES = tuple(TELLING)
SKIN = ("between", "cheeks", "forehead", "folds", "upper-lip", "jaw")


class Look:
    """A photo of a face, seen in the place where the face lies in the original."""

    def __init__(self, image: Tensor, face: Face) -> None:
        self.image, self.face = image, face  # (1, 3, H, W)
        self._vectors: dict[object, Tensor] = {}

    @cached_property
    def crop(self) -> Tensor:
        """(1, 3, SIDE, SIDE)."""
        return warp(self.image, fit(self.face, facemesh.LOOSER, SIDE), SIDE)

    @cached_property
    def lab(self) -> Tensor:
        """The crop's lightness and colour (1, 3, SIDE, SIDE), in about [0, 1] and [-1, 1]."""
        return rgb_to_lab(self.crop) / 100

    @cached_property
    def blurs(self) -> list[Tensor]:
        """The same, and ever more blurred."""
        return [self.lab, *(blurred(self.lab, sigma) for sigma in SIGMAS)]

    @cached_property
    def bands(self) -> list[Tensor]:
        """The differences of neighbouring blurs, and the last blur: what they add up to is `lab`."""
        return [a - b for a, b in zip(self.blurs, self.blurs[1:], strict=False)] + self.blurs[-1:]

    @cached_property
    def parts(self) -> dict[str, Tensor]:
        """Weights (SIDE, SIDE) that add up to 1: where each part lies, and the whole "face"."""
        mesh = (facemesh.points(self.image, self.face)[0].numpy() - self.to_photo[:, 2]) @ np.linalg.inv(
            self.to_photo[:, :2]
        ).T
        found = {name: near(mesh[list(points)], REACH) for name, points in PARTS.items()}
        found["face"] = near(mesh, 8.0)
        return {name: weights / weights.sum() for name, weights in found.items()}

    @property
    def to_photo(self) -> np.ndarray:
        """The transform (2, 3) from the crop's pixels to the photo's."""
        return fit(self.face, facemesh.LOOSER, SIDE)

    def vector(self, name: str, image: Tensor | None = None, key: object = "plain") -> Tensor:
        """The embedding (D,) of an image, by default the photo's own, kept under its key."""
        if (name, key) not in self._vectors:
            one = recognizer(name)
            found = one.embed(one.align(self.image if image is None else image, self.face))
            self._vectors[name, key] = found.mean(0) / found.mean(0).norm()
        return self._vectors[name, key]

    @lru_cache(16)  # noqa: B019
    def noisy(self, sigma: float) -> Tensor:
        """Four draws (4, 3, H, W) of the photo with noise."""
        noise = torch.randn((4, *self.image.shape[1:]), generator=torch.Generator().manual_seed(0))
        return (self.image + sigma * noise).clamp(0, 1)

    @lru_cache(16)  # noqa: B019
    def washed(self, timestep: int) -> Tensor:
        """The photo (1, 3, H, W) with its face purified by our prior."""
        used, pixels = prior("portrait"), to_pixels(self.image)
        crop = cut(pixels, self.face, used.template, used.size)
        pasted = paste(pixels, purified(used, crop.pixels, timestep) - crop.pixels, crop.to_photo)
        return torch.from_numpy(pasted).permute(2, 0, 1)[None] / 255

    def seen(self, name: str, way: str = "plain", amount: float = 0.0) -> Tensor:
        """The embedding (D,) of the photo plain, "noisy", "washed" or "blurred" by an amount."""
        ways: dict[str, Callable[[], Tensor]] = {
            "plain": lambda: self.image,
            "noisy": lambda: self.noisy(amount),
            "washed": lambda: self.washed(int(amount)),
            "blurred": lambda: blurred(self.image, amount),
        }
        return self.vector(name, ways[way](), (way, amount))


class Pair:
    """A face before and after."""

    def __init__(self, before: Look, after: Look) -> None:
        self.before, self.after = before, after

    @property
    def looks(self) -> tuple[Look, Look]:
        """Both."""
        return self.before, self.after

    @cached_property
    def change(self) -> list[Tensor]:
        """The change of each band of lightness and colour (3, SIDE, SIDE)."""
        return [(new - old)[0] for old, new in zip(self.before.bands, self.after.bands, strict=True)]

    def over(self, part: str, values: Tensor) -> float:
        """The mean of values (SIDE, SIDE) over a part of the face before."""
        return float((self.before.parts[part] * values).sum())


def blurred(image: Tensor, sigma: float) -> Tensor:
    """Images (B, C, H, W) under a Gaussian."""
    size = min(2 * int(3 * sigma) + 1, min(image.shape[-2:]) // 2 * 2 - 1)
    return gaussian_blur2d(image, (size, size), (sigma, sigma), "reflect")


def near(points: np.ndarray, reach: float) -> Tensor:
    """Weights (SIDE, SIDE) that fall with the distance from the nearest of points (N, 2)."""
    line = torch.arange(SIDE, dtype=torch.float32)
    grid = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).reshape(-1, 2)
    distance = torch.cdist(grid, torch.from_numpy(points).float()).min(1)[0]
    return (-(distance / reach).square() / 2).exp().reshape(SIDE, SIDE)
