"""Whether people would still know the person: how the parts of a face look that tell people apart."""

from __future__ import annotations

import torch
from kornia.color import rgb_to_lab
from kornia.filters import gaussian_blur2d
from torch import Tensor

from ...attacks.faces.sampling import warp
from ...attacks.faces.transforms import inverse, template_transform
from ...attacks.networks import facemesh
from ...core.types import Face

# Half of the pictures that a vision-language model rated blind (benchmarks/ratings, rounds 2 to 6: 224
# ratings, 14 people) pass for the same person with small changes (4 or 5) at the first, and for a sibling at
# least (3) at the second.
SAME, RELATIVE = 0.973, 0.927
SIDE = 192  # pixels of the crop, the face mesh's own
REACH = 5.0  # pixels of it around the points of a part
SIGMA = 1.5  # pixels of it: the window of SSIM
LIGHT, CONTRAST = 1e-4, 9e-4  # SSIM's own constants, for values in [0, 1]
# Points of the face mesh that lie on a part.
PARTS: dict[str, tuple[int, ...]] = {
    "nose": (
        *(168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 98, 97, 326, 327, 64, 294, 129, 358, 48, 278, 49, 279, 209),
        *(429, 198, 420, 131, 360, 134, 363, 51, 281, 45, 275, 220, 440, 115, 344, 196, 419, 236, 456),
    ),
    "brow-a": (70, 63, 105, 66, 107, 55, 65, 52, 53, 46),
    "brow-b": (300, 293, 334, 296, 336, 285, 295, 282, 283, 276),
    "between": (9, 8, 168, 107, 336, 55, 285, 193, 417),
    "eyes": (
        *(33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
        *(263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
    ),
    "mouth": (
        *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
        *(13, 14, 78, 308, 82, 312, 87, 317),
    ),
    "folds": (129, 203, 206, 216, 212, 358, 423, 426, 436, 432, 205, 425, 36, 266),
}


@torch.no_grad()
def likeness(before: Tensor, after: Tensor, face: Face) -> Tensor:
    """How far a face in images (B, 3, H, W) in [0, 1] still looks like one person -> (B,), 1 where equal.

    The mean, over the parts as they lie in the image before, of SSIM (Wang et al. 2004) of lightness under a
    window that sees the shape of an eye and not the grain of the skin. The engine does not pay for it, and no
    recogniser is asked, so that it may stand beside what they say. Picked for its correlation with blind
    ratings by `scripts/validate_likeness.py`: see benchmarks/ratings/README.md. Half of the pictures that
    viewers rated 4 or 5 lie above .98, half of those below 3 under .93, JPEG 90 above .99.
    """
    old, new = (lightness(image, face) for image in (before, after))
    return (parts(before, face) * structure(old, new)).sum((2, 3)).mean(1)


def lightness(image: Tensor, face: Face) -> Tensor:
    """The lightness (B, 1, SIDE, SIDE) of the crop of a face of images (B, 3, H, W) in [0, 1]."""
    crop = warp(image, template_transform(face, facemesh.MESH_TEMPLATE, SIDE), SIDE, "border")
    return rgb_to_lab(crop.clamp(0, 1))[:, :1] / 100


def parts(image: Tensor, face: Face) -> Tensor:
    """Where the `PARTS` of a face of images (B, 3, H, W) lie in its crop: weights (B, parts, SIDE, SIDE).

    Those of each part add up to 1.
    """
    to_crop = torch.from_numpy(inverse(template_transform(face, facemesh.MESH_TEMPLATE, SIDE))).to(image)
    mesh = facemesh.landmarks(image, face) @ to_crop[:, :2].T + to_crop[:, 2]
    line = torch.arange(SIDE).to(mesh)
    places = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).reshape(1, -1, 2)
    near = [torch.cdist(places, mesh[:, list(points)]).amin(2) for points in PARTS.values()]
    weights = (-(torch.stack(near, 1) / REACH).square() / 2).exp()
    return (weights / weights.sum(2, keepdim=True)).unflatten(2, (SIDE, SIDE))


def structure(old: Tensor, new: Tensor) -> Tensor:
    """SSIM around each pixel of pictures (B, 1, H, W) in [0, 1], in the same shape."""
    a, b = _blurred(old), _blurred(new)
    spread_a, spread_b, both = (
        _blurred(one * other) - product
        for one, other, product in ((old, old, a * a), (new, new, b * b), (old, new, a * b))
    )
    light = (2 * a * b + LIGHT) / (a * a + b * b + LIGHT)
    return light * (2 * both + CONTRAST) / (spread_a + spread_b + CONTRAST)


def _blurred(image: Tensor) -> Tensor:
    size = 2 * int(3 * SIGMA) + 1
    return gaussian_blur2d(image, (size, size), (SIGMA, SIGMA), "reflect")
