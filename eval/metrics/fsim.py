"""F-Sim of TokBench (arXiv 2505.18142): how much of a face's identity a reconstruction keeps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from ...core.types import Face
from ..verification import embedding

# The bins of TokBench: a face's longer side as a share of the image's, by the image's side in pixels. They
# are those of the authors' first code; their later one has (0.1, 0.2, 0.3, 1) and leaves smaller faces out.
BINS = {256: (0.0, 0.1, 0.2, 1.0)}


def fsim(
    name: str, pairs: Sequence[tuple[Tensor, Tensor, Face]], edges: Sequence[float] = BINS[256]
) -> tuple[float, list[float]]:
    """The mean over bins of face size of the mean cosine between originals and reconstructions.

    Args:
        name: the recogniser.
        pairs: original (1, 3, H, W), reconstruction (1, 3, H, W) and the face in the original, by whose
            points both are aligned.
        edges: of the bins; a bin without a face does not count.

    Returns:
        F-Sim, and the mean of each bin, NaN where it is empty.
    """
    sizes = np.array([share(image, face) for image, _, face in pairs])
    cosines = np.array([_cosine(name, *pair) for pair in pairs])
    bins = np.clip(np.digitize(sizes, edges) - 1, 0, len(edges) - 2)
    means = [
        float(cosines[bins == number].mean()) if (bins == number).any() else float("nan")
        for number in range(len(edges) - 1)
    ]
    return float(np.nanmean(means)), means


def share(image: Tensor, face: Face) -> float:
    """The longer side of a face as a share of the image's (1, 3, H, W) longer side."""
    return float(max(face.box[2:] - face.box[:2])) / max(image.shape[-2:])


def _cosine(name: str, original: Tensor, reconstruction: Tensor, face: Face) -> float:
    return float(embedding(name, original, face) @ embedding(name, reconstruction, face))
