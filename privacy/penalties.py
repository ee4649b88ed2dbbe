"""How much may change: measures of how visible a crop's change is, in units of [0, 1], and what it costs."""

from __future__ import annotations

from kornia.color import rgb_to_grayscale
from kornia.filters import box_blur
from torch import Tensor
from torch.nn import functional

DARK = 0.1  # added to a colour, since that of what is nearly black means little
NEAR = 1 / 64  # of a crop's side: about as wide are spots and wrinkles
FLAT = 6 / 255  # the local deviation of luminance, within about twice that, at which smoothness is 0.5


def change_energy(change: Tensor) -> Tensor:
    """The mean square of a change (B, 3, H, W): (B,)."""
    return change.square().mean((1, 2, 3))


def colours(image: Tensor) -> Tensor:
    """The unit vectors (B, 3, H, W) along which the colours of an image in [0, 1] grow brighter or darker."""
    return functional.normalize(image + DARK, dim=1)


def chroma_energy(change: Tensor, colours: Tensor) -> Tensor:
    """The mean square of what of a change (B, 3, H, W) is neither brightening nor darkening: (B,).

    Light and shade scale a colour. To add the same to red, green and blue instead makes skin look pale.
    """
    along = (change * colours).sum(1, keepdim=True)
    return (change - along * colours).square().mean((1, 2, 3))


def smooth(image: Tensor) -> Tensor:
    """The smoothness (B, 1, H, W) of images (B, 3, H, W) in [0, 1]: 1 on even skin, towards 0 in hair.

    On even skin the eye sees what it overlooks among texture (Legge and Foley 1980,
    doi:10.1364/JOSA.70.001458).
    """
    luminance, half = rgb_to_grayscale(image), max(1, round(NEAR * image.shape[-1]))
    mean, square = (box_blur(one, 2 * half + 1) for one in (luminance, luminance.square()))
    return 1 / (1 + (square - mean.square()).clamp(min=0) / FLAT**2)


def roughness(change: Tensor, smooth: Tensor) -> Tensor:
    """The mean square of how the luminance of a change (B, 3, H, W) differs between near points: (B,).

    Each pair counts by the smoothness (B, 1, H, W), from 0 to 1, of the image before. Spots and wrinkles are
    rough, light is not.
    """
    luminance, gap = rgb_to_grayscale(change), max(2, round(NEAR * change.shape[-1]) // 2 * 2)
    half = gap // 2
    across = (luminance[..., gap:] - luminance[..., :-gap]).square() * smooth[..., half:-half]
    down = (luminance[..., gap:, :] - luminance[..., :-gap, :]).square() * smooth[..., half:-half, :]
    return across.mean((1, 2, 3)) + down.mean((1, 2, 3))


def ceiling_scale(ceiling: float, change: Tensor) -> Tensor:
    """The factors (B, 1, 1, 1), at most 1, that bring the root mean square of changes (B, 3, H, W) below a
    ceiling."""
    return (ceiling / change_energy(change).sqrt().clamp(min=1e-9)).clamp(max=1)[:, None, None, None]


class PenaltySchedule:
    """The factor of all penalties while a face is being protected: `least` at first.

    It rises while the protection has its margin or the change exceeds its ceiling, and falls back otherwise:
    so a face that is easily hidden is changed less, and none is changed more than is allowed.

    Args:
        least: the smallest factor.
        target_margin: from which the protection is enough, in standard deviations of strangers' cosines.
        ceiling: of the root mean square of the change, in [0, 1].
        steps: how many the search has.
    """

    PATIENCE = 5  # steps before the factor changes
    STEP = 1.2  # by which it is multiplied, or divided
    LONG = 60  # steps: in a longer search it changes slower, so that it settles instead of oscillating
    MOST = 20.0  # times the least
    MEMORY = 0.7  # of the running mean of margins: views differ from step to step

    def __init__(self, least: float, target_margin: float, ceiling: float, steps: int = LONG) -> None:
        self.least, self.target_margin, self.ceiling = least, target_margin, ceiling
        self.factor = self.STEP ** min(1.0, (self.LONG / steps) ** 2)
        self.value, self.smoothed_margin, self.steps = least, 0.0, 0

    def update(self, margin: float, size: float) -> None:
        """Take in a step's margin and the root mean square of its change, in [0, 1]."""
        self.smoothed_margin = (
            self.MEMORY * self.smoothed_margin + (1 - self.MEMORY) * margin if self.steps else margin
        )
        self.steps += 1
        if self.steps > self.PATIENCE:
            rises = self.smoothed_margin > self.target_margin or size > self.ceiling
            value = self.value * (self.factor if rises else 1 / self.factor)
            self.value = min(max(value, self.least), self.MOST * self.least)
