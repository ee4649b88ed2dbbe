"""Views of a face as the world may see it: a differentiable expectation over what happens to photos.

An attack that holds over random views carries over better to recognisers it never met (expectation over
transformation, Athalye et al., arXiv 1707.07397; input diversity, Xie et al., arXiv 1803.06978).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Generator, Tensor
from torch.nn import functional

from ..core.images import onto
from ..core.types import Face

View = Callable[[Tensor, Generator], Tensor]  # images (B, 3, H, W) -> the same shape

JITTER = 0.02  # of the eye distance: the standard deviation of a detector's points


def _between(low: float, high: float, generator: Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def resized(image: Tensor, generator: Generator) -> Tensor:
    """Reduced to 40-80 % and enlarged again."""
    scale = _between(0.4, 0.8, generator)
    small = functional.interpolate(
        image, scale_factor=scale, mode="bilinear", antialias=True, align_corners=False
    )
    return functional.interpolate(small, size=image.shape[-2:], mode="bilinear", align_corners=False)


def noisy(image: Tensor, generator: Generator) -> Tensor:
    """With Gaussian noise of 0.02."""
    noise = torch.randn(image.shape, generator=generator)
    return (image + 0.02 * onto(noise, image)).clamp(0, 1)


def blurred(image: Tensor, generator: Generator) -> Tensor:
    """Blurred by a Gaussian of 0.5 to 1.5 pixels."""
    from kornia.filters import gaussian_blur2d

    sigma = _between(0.5, 1.5, generator)
    return gaussian_blur2d(image, (7, 7), (sigma, sigma))


def compressed(image: Tensor, generator: Generator) -> Tensor:
    """As a JPEG of quality 50 to 90, by kornia's differentiable codec."""
    from kornia.enhance import jpeg_codec_differentiable

    quality = torch.full((len(image),), _between(50, 90, generator))  # on the CPU, where kornia checks it
    high, wide = image.shape[-2:]
    padded = functional.pad(image, (0, -wide % 16, 0, -high % 16), mode="replicate")
    return jpeg_codec_differentiable(padded.clamp(0, 1), quality)[..., :high, :wide]


VIEWS: tuple[View, ...] = (resized, noisy, compressed, blurred)


def jittered(face: Face, generator: Generator) -> Face:
    """The face as another detector might find it: points and box with a little Gaussian noise."""
    noise = JITTER * face.eyes * torch.randn(7, 2, generator=generator, dtype=torch.float64).numpy()
    return replace(face, box=face.box + 2 * noise[5:].reshape(4), points=face.points + noise[:5])


def draw(
    image: Tensor, face: Face, count: int, step: int, generator: Generator
) -> Iterator[tuple[Tensor, Face]]:
    """Views of an image (1, 3, H, W), each with the face as it lies there.

    The image as it is and each kind of view take turns from step to step, so that all of them come round
    however few there are at a time; of as many as there are kinds, the image as it is comes first.

    Args:
        count: how many; with 0, the image as it is.
        step: how many times views were drawn before.
    """
    kinds = (None, *VIEWS)
    for turn in range(step * count, step * count + count) if count else (0,):
        kind = kinds[turn % len(kinds)]
        yield (kind(image, generator), jittered(face, generator)) if kind else (image, face)
