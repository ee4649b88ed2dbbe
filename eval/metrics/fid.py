"""FID (Heusel et al. 2017, arXiv:1706.08500), where the weights of its Inception are on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

import torch
from piq.feature_extractors import InceptionV3
from torch import Tensor

from .backbone import require


@cache
def _network() -> Callable[[Tensor], list[Tensor]]:
    require("fid", "pt_inception-2015-12-05-6726825d.pth")
    return InceptionV3().eval()


def fid(before: Iterable[Tensor], after: Iterable[Tensor]) -> float:
    """The Frechet distance of two sets of images (1, 3, H, W) in [0, 1], NaN for fewer than two.

    It falls with the number of images: compare only what was measured on equally many.

    Raises:
        WeightsMissing: its backbone is not on this machine; nothing is downloaded.
    """
    network = _network()
    with torch.no_grad():
        features = [torch.cat([network(one)[0].flatten(1) for one in images]) for images in (before, after)]
    return distance(*features)


def distance(one: Tensor, other: Tensor) -> float:
    """The Frechet distance between the normal distributions of features (N, D) and (M, D).

    The trace of the root of the covariances' product is the sum of the singular values of one set of
    deviations times the other, transposed: exact, and quick where there are fewer images than features.
    """
    if min(len(one), len(other)) < 2:
        return float("nan")
    means = [features.double().mean(0) for features in (one, other)]
    parts = [
        (features.double() - mean) / (len(features) - 1) ** 0.5
        for features, mean in zip((one, other), means, strict=True)
    ]
    spread = sum(part.square().sum() for part in parts)
    shared = torch.linalg.svdvals(parts[0] @ parts[1].T).sum()
    return float((means[0] - means[1]).square().sum() + spread - 2 * shared)
