"""What might tell how much a face still looks like itself: candidates for `validate_likeness.py`.

Each takes a `Pair` and gives one number, the higher the more alike. What the engine pays for is known to
`priced`: a judge that reports what the engine buys flatters it. Many are here to show that they fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import numpy as np
import piq
import torch
from kornia.filters import sobel, spatial_gradient
from likeness_looks import BANDS, FEATURES, PARTS, SIDE, SIGMAS, SKIN, Look, Pair, blurred
from torch import Tensor
from torch.nn import functional

from veil.attacks import recognizer
from veil.attacks.faces import find_faces, inverse, warp
from veil.attacks.networks import blazeface, emotion, facemesh
from veil.core.images import to_pixels
from veil.eval.report import same_place

JUDGES = ("dlib", "mobilefacenet", "faceres", "faceres-deep", "mobileface", "faceplugin", "sface")
STRONG = ("mobilefacenet", "faceplugin", "sface")

Candidate = Callable[[Pair], float]

# Recognisers


def cosine(pair: Pair, name: str, way: str = "plain", amount: float = 0.0) -> float:
    """A recogniser's cosine of both photos, each treated in one way."""
    old, new = (look.seen(name, way, amount) for look in pair.looks)
    return float(old @ new)


def by_parts(pair: Pair, name: str) -> float:
    """The mean of a recogniser's cosines with one part from the photo after."""
    return overall(pair, swapped, name)


def views(pair: Pair, name: str) -> float:
    """A recogniser's cosine of both photos, each seen in six places and mirrored."""
    one = recognizer(name)
    vectors: list[Tensor] = []
    for look in pair.looks:
        crops: list[Tensor] = []
        for scale, dx, dy in ((1, 0, 0), (0.93, 0, 0), (1.07, 0, 0), (1, 4, 0), (1, -4, 0), (1, 0, 4)):
            middle = one.size / 2
            near = np.array(
                [[scale, 0, middle * (1 - scale) + dx], [0, scale, middle * (1 - scale) + dy], [0, 0, 1]]
            )
            crops.append(warp(look.image, (np.vstack([one.crop(look.face), [0, 0, 1]]) @ near)[:2], one.size))
        vectors.append(
            functional.normalize(one.embed(torch.cat([*crops, *(c.flip(-1) for c in crops)])).mean(0), dim=0)
        )
    return float(vectors[0] @ vectors[1])


def swapped(pair: Pair, name: str, part: str) -> float:
    """A recogniser's cosine when only one part of the face is taken from the photo after."""
    weights = pair.before.parts[part]
    mask = (2 * weights / weights.max()).clamp(0, 1)[None, None]
    high, wide = pair.before.image.shape[-2:]
    reach = inverse(pair.before.to_photo)
    lines = torch.meshgrid(torch.arange(wide).float(), torch.arange(high).float(), indexing="xy")
    grid = [(reach[i, 0] * lines[0] + reach[i, 1] * lines[1] + reach[i, 2]) * 2 + 1 for i in range(2)]
    where = torch.stack(grid, -1)[None].float() / SIDE - 1
    here = functional.grid_sample(mask, where, align_corners=False)
    mixed = pair.before.image + here * (pair.after.image - pair.before.image)
    return float(pair.before.seen(name) @ pair.after.vector(name, mixed, ("swapped", part)))


@lru_cache(4)
def _stages(network: torch.nn.Module, crop: Tensor, often: int) -> list[Tensor]:
    found: list[Tensor] = []
    for place, layer in enumerate(network):  # type: ignore[arg-type]
        crop = layer(crop)
        if crop.ndim == 4 and place % often == often - 1:
            found.append(crop)
    return found


def stage(pair: Pair, number: int, where: str = "everywhere") -> float:
    """How alike the features of SFace are at one depth, channels normalised as in LPIPS; or in the parts."""
    one: Any = recognizer("sface")
    both = [
        _stages(one.network, (255 * one.align(look.image, look.face) - 127.5) / 128, 3) for look in pair.looks
    ]
    return _alike(both[0][number], both[1][number], _telling(pair, one.crop(pair.before.face), 112, where))


def _telling(pair: Pair, to_photo: np.ndarray, side: int, where: str) -> Tensor | None:
    """Where the parts are that tell people apart, in another crop (1, 1, side, side); None for everywhere."""
    if where == "everywhere":
        return None
    spots = torch.stack([pair.before.parts[part] for part in FEATURES]).mean(0)
    back = inverse(pair.before.to_photo)
    here = np.vstack([back, [0, 0, 1]]) @ np.vstack([to_photo, [0, 0, 1]])
    return warp(spots[None, None], here[:2], side)


def early(pair: Pair, number: int) -> float:
    """How alike the early features of the face mesh are."""
    old, new = (facemesh.seen(look.image, look.face)[1][number] for look in pair.looks)
    return _alike(old, new)


def found_by_blazeface(pair: Pair, depth: str, where: str = "everywhere") -> float:
    """How alike the features are by which BlazeFace finds faces."""
    net = blazeface.network()
    old, new = (net.fine(2 * functional.interpolate(look.crop, (256, 256)) - 1) for look in pair.looks)
    if depth == "coarse":
        old, new = net.coarse(old), net.coarse(new)
    return _alike(old, new, _telling(pair, pair.before.to_photo, SIDE, where))


def _alike(old: Tensor, new: Tensor, weights: Tensor | None = None) -> float:
    a, b = (functional.normalize(one, dim=1) for one in (old, new))
    apart = (a - b).square().sum(1, keepdim=True)
    if weights is None:
        return -float(apart.mean())
    weights = functional.adaptive_avg_pool2d(weights, apart.shape[-1])
    return -float((weights * apart).sum() / weights.sum())


# Full-reference measures of the picture, over the aligned crop

PIQ: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "psnr": piq.psnr,
    "ssim": partial(piq.ssim, downsample=False),
    "ms-ssim": piq.multi_scale_ssim,
    "iw-ssim": piq.information_weighted_ssim,
    "vif": piq.vif_p,
    "fsim": piq.fsim,
    "haarpsi": piq.haarpsi,
    "srsim": piq.srsim,
    "vsi": piq.vsi,
    "dss": piq.dss,
    "mdsi": lambda old, new: -piq.mdsi(old, new),
    "gmsd": lambda old, new: -piq.gmsd(old, new),
    "ms-gmsd": lambda old, new: -piq.multi_scale_gmsd(old, new),
}


def by_piq(pair: Pair, name: str) -> float:
    """A measure of piq's."""
    old, new = (look.crop.clamp(0, 1) for look in pair.looks)
    return float(PIQ[name](old, new))


def boxed_mdsi(pair: Pair) -> float:
    """MDSI over the face's box at the photo's resolution."""
    left, top, right, bottom = pair.before.face.within(pair.before.image.shape[:-3:-1])
    old, new = (look.image[..., top:bottom, left:right] for look in pair.looks)
    return -float(piq.mdsi(old, new))


# Bands, parts, contrast


def energy(pair: Pair, band: int, part: str, colour: bool = False) -> float:
    """The root mean square change of lightness (or colour) in one band and part."""
    change = pair.change[band]
    return -(pair.over(part, change[1:].square().sum(0) if colour else change[0].square()) ** 0.5)


def masked(pair: Pair, band: int, part: str) -> float:
    """The same as a share of the contrast that was there (Laparra et al. 2016, in short)."""
    old = pair.before.bands[band][:, :1]
    there = blurred(old.square(), 2 * SIGMAS[min(band, 4)]).sqrt()[0, 0]
    return -pair.over(part, pair.change[band][0].abs() / (there + 0.01))


def correlation(pair: Pair, band: int, part: str) -> float:
    """The correlation of lightness in one band and part: its shape, whatever its contrast."""
    weights = pair.before.parts[part]
    old, new = (look.bands[band][0, 0] for look in pair.looks)
    old, new = (one - (weights * one).sum() for one in (old, new))
    return pair.over(part, old * new) / (pair.over(part, old**2) * pair.over(part, new**2)) ** 0.5


def structure(pair: Pair, sigma: float, part: str, share: float | None = None) -> float:
    """SSIM of lightness under a window of sigma, over a part; or a low quantile of it."""
    old, new = (look.lab[:, :1] for look in pair.looks)
    a, b = blurred(old, sigma), blurred(new, sigma)
    spread = [blurred(one * two, sigma) for one, two in ((old, old), (new, new), (old, new))]
    va, vb, both = spread[0] - a * a, spread[1] - b * b, spread[2] - a * b
    found = (2 * a * b + 1e-4) / (a * a + b * b + 1e-4) * (2 * both + 9e-4) / (va + vb + 9e-4)
    if share is None:
        return pair.over(part, found[0, 0])
    weights = pair.before.parts[part]
    return float(found[0, 0][weights > weights.max() / 2].quantile(share))


def shading(pair: Pair, sigma: float, part: str) -> float:
    """The cosine of both fields of slopes of the blurred lightness over a part."""
    old, new = (spatial_gradient(blurred(look.lab[:, :1], sigma))[0, 0] for look in pair.looks)
    sizes = [pair.over(part, one.square().sum(0)) for one in (old, new)]
    return pair.over(part, (old * new).sum(0)) / (sizes[0] * sizes[1]) ** 0.5


def direction(pair: Pair, sigma: float, part: str) -> float:
    """The mean cosine between the slopes, each weighted by its steepness before."""
    old, new = (spatial_gradient(blurred(look.lab[:, :1], sigma))[0, 0] for look in pair.looks)
    steep = old.norm(dim=0) + new.norm(dim=0)
    turned = functional.cosine_similarity(old, new, dim=0)
    return pair.over(part, steep * turned) / pair.over(part, steep)


def edges(pair: Pair, part: str) -> float:
    """How alike the maps of edges are, as sets whose members count by their strength."""
    old, new = (blurred(sobel(blurred(look.lab[:, :1], 1.5)), 1.0)[0, 0] for look in pair.looks)
    return pair.over(part, torch.minimum(old, new)) / pair.over(part, torch.maximum(old, new))


def worst(pair: Pair, measure: Callable[..., float], *args: object) -> float:
    """The worst part of those that tell people apart."""
    return min(measure(pair, *args, part) for part in FEATURES)


def overall(pair: Pair, measure: Callable[..., float], *args: object) -> float:
    """The mean of those parts."""
    return sum(measure(pair, *args, part) for part in FEATURES) / len(FEATURES)


def local(pair: Pair, sigma: float, share: float) -> float:
    """A quantile over the face of the blurred change of lightness and colour."""
    change = blurred((pair.after.lab - pair.before.lab), sigma)[0].norm(dim=0)
    weights = pair.before.parts["face"]
    return -float(change[weights > weights.max() / 2].quantile(share))


def _ridges(look: Look, sigma: float) -> Tensor:
    """How much a dark line runs through each place (SIDE, SIDE)."""
    second = sigma**2 * spatial_gradient(blurred(look.lab[:, :1], sigma), order=2)[0, 0]
    middle, half = (second[0] + second[2]) / 2, (second[0] - second[2]) / 2
    return (middle + (half.square() + second[1].square()).sqrt()).clamp(min=0)


def lines(pair: Pair, sigma: float, part: str, new: bool = True) -> float:
    """How many dark lines have come into a part (or gone from it)."""
    gained = _ridges(pair.after, sigma) - _ridges(pair.before, sigma)
    return -pair.over(part, (gained if new else -gained).clamp(min=0))


def skin(pair: Pair, measure: Callable[..., float], *args: object) -> float:
    """The mean of a measure over the skin."""
    return sum(measure(pair, *args, part) for part in SKIN) / len(SKIN)


def lopsided(pair: Pair, band: int) -> float:
    """The part of a band's change that differs between the halves of the face."""
    change = pair.change[band][0]
    return -(pair.over("face", ((change - change.flip(-1)) / 2).square()) ** 0.5)


# Places


@lru_cache(4)
def _flow(pair: Pair) -> Tensor:
    from skimage.registration import optical_flow_tvl1

    old, new = (blurred(look.lab[:, :1], 1.0)[0, 0].numpy() for look in pair.looks)
    return torch.from_numpy(optical_flow_tvl1(old, new, attachment=10)).float()


def moved(pair: Pair, part: str, axis: int | None = None) -> float:
    """How far a part was moved, as optical flow sees it (TV-L1), in pixels of the crop."""
    flow = _flow(pair)
    return -pair.over(part, flow.norm(dim=0) if axis is None else flow[axis].abs())


def five_points(pair: Pair, which: tuple[int, ...]) -> float:
    """How far MTCNN's points have moved, in distances of the eyes."""
    found = [same_place(pair.before.face, find_faces(to_pixels(look.image))) for look in pair.looks]
    if found[0] is None or found[1] is None:
        return float("nan")
    shift = np.linalg.norm(found[1].points - found[0].points, axis=1)
    return -float(shift[list(which)].mean()) / pair.before.face.eyes


def mesh(pair: Pair, part: str) -> float:
    """How far the face mesh's points of a part have moved, in distances of the eyes."""
    old, new = (facemesh.points(look.image, look.face)[0] for look in pair.looks)
    points = list(PARTS.get(part, range(468)))
    return -float((new - old)[points].norm(dim=-1).mean()) / pair.before.face.eyes


def mood(pair: Pair) -> float:
    """How alike the probabilities of seven expressions are."""
    old, new = (emotion.expression(look.image, look.face) for look in pair.looks)
    return -float((new - old).abs().sum())


def roughness(pair: Pair) -> float:
    """The finest bands of the change where the skin was smooth."""
    fine = sum((look.bands[0] + look.bands[1])[0, 0] for look in (pair.before,))
    calm = (-blurred(fine[None, None].square(), 3)[0, 0].sqrt() / 0.01).exp()
    return -(pair.over("face", calm * (pair.change[0] + pair.change[1])[0].square()) ** 0.5)


def _candidates() -> Mapping[str, Candidate]:
    found: dict[str, Candidate] = {}
    for name in JUDGES:
        found[f"cosine {name}"] = partial(cosine, name=name)
    for name in STRONG:
        for amount in (50, 150, 300):
            found[f"cosine {name}, purified {amount}"] = partial(
                cosine, name=name, way="washed", amount=amount
            )
        for amount in (0.1, 0.2):
            found[f"cosine {name}, noise {amount}"] = partial(cosine, name=name, way="noisy", amount=amount)
        for amount in (1.5, 3.0):
            found[f"cosine {name}, blur {amount}"] = partial(cosine, name=name, way="blurred", amount=amount)
        found[f"cosine {name}, by parts"] = partial(by_parts, name=name)
        found[f"cosine {name}, views"] = partial(views, name=name)
        for part in FEATURES:
            found[f"cosine {name}, {part} only"] = partial(swapped, name=name, part=part)
    for where in ("everywhere", "parts"):
        for number in range(9):
            found[f"SFace features {number}, {where}"] = partial(stage, number=number, where=where)
        for depth in ("fine", "coarse"):
            found[f"BlazeFace features {depth}, {where}"] = partial(
                found_by_blazeface, depth=depth, where=where
            )
    found |= {name: partial(by_piq, name=name) for name in PIQ}
    found["mdsi box"] = boxed_mdsi
    for band in BANDS:
        found[f"colour {band} face"] = partial(energy, band=band, part="face", colour=True)
        found[f"colour {band} in the eyes"] = partial(energy, band=band, part="eyes", colour=True)
        for part in ("face", *PARTS):
            found[f"energy {band} {part}"] = partial(energy, band=band, part=part)
            found[f"masked {band} {part}"] = partial(masked, band=band, part=part)
            found[f"correlation {band} {part}"] = partial(correlation, band=band, part=part)
        for label, measure in (("energy", energy), ("masked", masked), ("correlation", correlation)):
            found[f"{label} {band} worst"] = lambda pair, m=measure, b=band: worst(pair, m, b)
            found[f"{label} {band} mean"] = lambda pair, m=measure, b=band: overall(pair, m, b)
        found[f"lopsided {band}"] = partial(lopsided, band=band)
    for sigma in (1.5, 3.0, 6.0):
        for label, measure in (("structure", structure), ("shading", shading), ("direction", direction)):
            for part in ("face", *PARTS):
                found[f"{label} {sigma} {part}"] = partial(measure, sigma=sigma, part=part)
            found[f"{label} {sigma} worst"] = lambda pair, m=measure, s=sigma: worst(pair, m, s)
            found[f"{label} {sigma} mean"] = lambda pair, m=measure, s=sigma: overall(pair, m, s)
        found[f"structure {sigma} lowest tenth"] = partial(structure, sigma=sigma, part="face", share=0.1)
        found[f"new lines {sigma} skin"] = lambda pair, s=sigma: skin(pair, lines, s)
        for part in ("face", "folds", "between", "nose", "brow-a", "brow-b", "forehead", "cheeks"):
            found[f"new lines {sigma} {part}"] = partial(lines, sigma=sigma, part=part)
            found[f"lost lines {sigma} {part}"] = partial(lines, sigma=sigma, part=part, new=False)
        for share in (0.5, 0.9, 0.99):
            found[f"local {sigma} {share}"] = partial(local, sigma=sigma, share=share)
    for part in ("face", *PARTS):
        found[f"edges {part}"] = partial(edges, part=part)
        found[f"moved {part}"] = partial(moved, part=part)
        found[f"face mesh {part}"] = partial(mesh, part=part)
    for label, which in (("all", (0, 1, 2, 3, 4)), ("eyes", (0, 1)), ("nose", (2,)), ("mouth", (3, 4))):
        found[f"five points {label}"] = partial(five_points, which=which)
    for number in range(3):
        found[f"face mesh features {number}"] = partial(early, number=number)
    return {**found, "expression": mood, "roughness": roughness}


CANDIDATES = _candidates()


def priced(name: str) -> bool:
    """Whether the engine pays for it."""
    return not name.endswith("in the eyes") and name.startswith(
        ("face mesh", "colour", "expression", "roughness", "psnr")
    )


def askable(name: str) -> bool:
    """Whether the judge may report it: the engine does not pay for it, nor is it needed, and no recogniser is
    asked. Each is attacked in some fold of a benchmark, and that over which protection is plotted must not
    fall because protection rises."""
    return not (priced(name) or any(word in name for word in ("cosine", "purified", "SFace")))
