"""What might tell how much a face still looks like itself: candidates for `validate_likeness.py`.

Each takes a `Pair` and gives one number, the higher the more alike. What the engine pays for is known to
`priced`: a judge that reports what the engine buys flatters it. Many are here to show that they fail. The 721
candidates of which these were left are in this file's history.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import piq
import torch
from kornia.color import rgb_to_lab
from kornia.filters import gaussian_blur2d
from torch import Tensor
from torch.nn import functional

from veil.attacks import recognizer
from veil.attacks.faces.sampling import warp
from veil.attacks.faces.transforms import template_transform
from veil.attacks.networks import emotion, facemesh
from veil.core.errors import WeightsMissing
from veil.core.images import to_pixels, to_tensor
from veil.core.types import Face
from veil.eval.metrics.backbone import require
from veil.eval.metrics.likeness import PARTS, SIDE, lightness, parts, structure
from veil.eval.metrics.lpips import lpips
from veil.eval.metrics.naturalness import naturalness
from veil.privacy.face_context import align_crop
from veil.privacy.paste import paste
from veil.privacy.priors import prior
from veil.privacy.purification import purified

JUDGES = ("dlib", "mobilefacenet", "faceres", "faceres-deep", "mobileface", "faceplugin", "sface")
STRONG = ("mobilefacenet", "faceplugin", "sface")
PURIFIED = (50, 150, 300)  # timesteps
REACH = 8.0  # pixels of the crop around the points of the mesh, for the whole face
FINE = 2.0  # pixels of it: what a Gaussian of that takes away is spots and wrinkles
CALM = 0.01  # of the lightness that varies so on smooth skin
PICTURE: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "psnr": piq.psnr,
    "ssim": partial(piq.ssim, downsample=False),
    "ms-ssim": piq.multi_scale_ssim,
    "vif": piq.vif_p,
    "fsim": piq.fsim,
    "haarpsi": piq.haarpsi,
    "mdsi": lambda old, new: -piq.mdsi(old, new),
    "gmsd": lambda old, new: -piq.gmsd(old, new),
    "lpips": lambda old, new: -lpips(old, new),
}
FAIR = "cosine, mean of those not attacked"
WHOLE = ("structure 1.5 mean", "haarpsi", "mdsi")
COSINES = (
    FAIR,
    *(f"cosine {name}{way}" for name in ("sface", "faceplugin") for way in ("", ", purified 50")),
)


class Look:
    """A photo (1, 3, H, W) of a face, seen in the place where the face lies in the original."""

    def __init__(self, image: Tensor, face: Face) -> None:
        self.image, self.face = image, face
        self._vectors: dict[tuple[str, int], Tensor] = {}
        self._washed: dict[int, Tensor] = {0: image}

    @cached_property
    def crop(self) -> Tensor:
        """(1, 3, SIDE, SIDE)."""
        return warp(self.image, template_transform(self.face, facemesh.MESH_TEMPLATE, SIDE), SIDE)

    @cached_property
    def fine(self) -> Tensor:
        """The finest of the crop's lightness (1, 1, SIDE, SIDE), in about [0, 1]."""
        light = rgb_to_lab(self.crop)[:, :1] / 100
        return light - blurred(light, FINE)

    @cached_property
    def parts(self) -> dict[str, Tensor]:
        """Weights (SIDE, SIDE) that add up to 1: where each part lies, and the whole "face"."""
        matrix = torch.from_numpy(template_transform(self.face, facemesh.MESH_TEMPLATE, SIDE)).float()
        mesh = (facemesh.landmarks(self.image, self.face)[0] - matrix[:, 2]) @ matrix[:, :2].inverse().T
        line = torch.arange(SIDE).float()
        places = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).reshape(-1, 2)
        face = (-(torch.cdist(places, mesh).amin(1) / REACH).square() / 2).exp().reshape(SIDE, SIDE)
        found = dict(zip(PARTS, parts(self.image, self.face)[0], strict=True))
        return {**found, "face": face / face.sum()}

    def washed(self, timestep: int) -> Tensor:
        """The photo with its face purified by our prior from a timestep on; 0: as it is."""
        if timestep not in self._washed:
            used, pixels = prior("portrait"), to_pixels(self.image)
            crop = align_crop(pixels, self.face, used.template, used.size)
            change = purified(used, crop.pixels, timestep) - crop.pixels
            self._washed[timestep] = to_tensor(paste(pixels, change, crop.placement))
        return self._washed[timestep]

    def vector(self, name: str, timestep: int) -> Tensor:
        """The embedding (D,) of the photo as purified."""
        if (name, timestep) not in self._vectors:
            one = recognizer(name)
            self._vectors[name, timestep] = one.embed(one.align(self.washed(timestep), self.face))[0]
        return self._vectors[name, timestep]


class Pair:
    """A face before and after."""

    def __init__(self, before: Look, after: Look) -> None:
        self.before, self.after, self.looks = before, after, (before, after)

    @cached_property
    def structure(self) -> Tensor:
        """SSIM of lightness (SIDE, SIDE)."""
        return structure(*(lightness(look.image, look.face) for look in self.looks))[0, 0]

    def over(self, part: str, values: Tensor) -> float:
        """The mean of values (SIDE, SIDE) over a part of the face before."""
        return float((self.before.parts[part] * values).sum())


Candidate = Callable[[Pair], float]


def blurred(image: Tensor, sigma: float) -> Tensor:
    """Images (B, C, H, W) under a Gaussian."""
    size = 2 * int(3 * sigma) + 1
    return gaussian_blur2d(image, (size, size), (sigma, sigma), "reflect")


def cosine(pair: Pair, name: str, timestep: int = 0) -> float:
    """A recogniser's cosine of both photos, both purified from a timestep on."""
    old, new = (look.vector(name, timestep) for look in pair.looks)
    return float(old @ new)


def of_picture(pair: Pair, name: str) -> float:
    """A measure of the picture over the aligned crop."""
    old, new = (look.crop.clamp(0, 1) for look in pair.looks)
    return float(PICTURE[name](old, new))


def boxed_mdsi(pair: Pair) -> float:
    """MDSI over the face's box at the photo's resolution: what `naturalness` is."""
    return float(naturalness(pair.before.image, pair.after.image, pair.before.face)) - 1


def part_structure(pair: Pair, part: str) -> float:
    """SSIM of a part; the "mean" over the parts, which is what `likeness` is, or their "worst"."""
    if part in PARTS:
        return pair.over(part, pair.structure)
    every = [pair.over(one, pair.structure) for one in PARTS]
    return min(every) if part == "worst" else sum(every) / len(every)


def mesh(pair: Pair, part: str) -> float:
    """How far the face mesh's points of a part have moved, in distances of the eyes."""
    old, new = (facemesh.landmarks(look.image, look.face)[0] for look in pair.looks)
    points = list(PARTS.get(part, range(468)))
    return -float((new - old)[points].norm(dim=-1).mean()) / pair.before.face.eyes


def early(pair: Pair, number: int) -> float:
    """How alike the early features of the face mesh are."""
    levels = (facemesh.landmarks_and_features(look.image, look.face)[1][number] for look in pair.looks)
    old, new = (functional.normalize(one, dim=1) for one in levels)
    return -float((old - new).square().sum(1).mean())


def mood(pair: Pair) -> float:
    """How alike the probabilities of seven expressions are."""
    old, new = (emotion.expression(look.image, look.face) for look in pair.looks)
    return -float((new - old).abs().sum())


def roughness(pair: Pair) -> float:
    """The finest of the change where the skin was smooth."""
    old, new = (look.fine for look in pair.looks)
    calm = (-blurred(old.square(), 3).sqrt() / CALM).exp()
    return -(pair.over("face", (calm * (new - old).square())[0, 0]) ** 0.5)


def candidates() -> Mapping[str, Candidate]:
    """All candidates by name; LPIPS only where its weights are on this machine."""
    found: dict[str, Candidate] = {f"cosine {name}": partial(cosine, name=name) for name in JUDGES}
    for name, step in product(STRONG, PURIFIED):
        found[f"cosine {name}, purified {step}"] = partial(cosine, name=name, timestep=step)
    found |= {name: partial(of_picture, name=name) for name in PICTURE} | {"mdsi box": boxed_mdsi}
    for part in (*PARTS, "worst", "mean"):
        found[f"structure 1.5 {part}"] = partial(part_structure, part=part)
    for part in ("face", *PARTS):
        found[f"face mesh {part}"] = partial(mesh, part=part)
    for number in range(3):
        found[f"face mesh features {number}"] = partial(early, number=number)
    try:
        require("lpips", "vgg16-397923af.pth", "lpips_weights.pt")
    except WeightsMissing:  # they are not packaged
        del found["lpips"]
    return {**found, "expression": mood, "roughness": roughness}


def standard(values: pd.DataFrame) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """What turns candidates into standard scores, as they are spread here."""
    middle, spread = values.mean(), values.std().replace(0, 1)
    return lambda new: ((new[list(values)] - middle) / spread).fillna(0)


def combined(values: pd.DataFrame, attacked: Mapping[str, frozenset[str]]) -> pd.DataFrame:
    """Beside the candidates: the mean standard score of the recognisers that were not attacked in a picture's
    version, and sums of the standard scores of one measure of the picture and one of recognisers."""
    names = [f"cosine {name}" for name in JUDGES]
    scores = standard(values[names])(values)
    versions = values.index.get_level_values("version")
    met = [[name in attacked.get(version, frozenset()) for name in JUDGES] for version in versions]
    found = values.assign(**{FAIR: scores.mask(np.array(met)).mean(axis=1)})
    scores = standard(found[[*WHOLE, *COSINES]])(found)
    sums = {f"{a} + {b}": scores[a] + scores[b] for a, b in product(WHOLE, COSINES)}
    return pd.concat([found, pd.DataFrame(sums)], axis=1)


def priced(name: str) -> bool:
    """Whether the engine pays for it."""
    return name.startswith(("face mesh", "expression", "roughness", "psnr"))


def askable(name: str) -> bool:
    """Whether the judge may report it: the engine does not pay for it, nor is it needed, and no recogniser is
    asked. Each is attacked where another is left out, and that over which protection is plotted must not
    fall because protection rises."""
    return not (priced(name) or "cosine" in name)
