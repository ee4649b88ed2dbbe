"""How much may change: what the eye makes of a crop's change, in units of [0, 1], and what that costs."""

from __future__ import annotations

from kornia.color import rgb_to_grayscale
from kornia.filters import box_blur
from torch import Tensor
from torch.nn import functional

DARK = 0.1  # added to a colour, since that of what is nearly black means little
NEAR = 1 / 64  # of a crop's side: about as wide are spots and wrinkles
FLAT = 6 / 255  # the deviation of light within twice that, in what is half smooth


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
    """How smooth images (B, 3, H, W) in [0, 1] are, (B, 1, H, W): 1 on even skin, towards 0 in hair.

    On even skin the eye sees what it overlooks among texture (Legge and Foley 1980,
    doi:10.1364/JOSA.70.001458).
    """
    light, half = rgb_to_grayscale(image), max(1, round(NEAR * image.shape[-1]))
    mean, square = (box_blur(one, 2 * half + 1) for one in (light, light.square()))
    return 1 / (1 + (square - mean.square()).clamp(min=0) / FLAT**2)


def roughness(change: Tensor, smooth: Tensor) -> Tensor:
    """The mean square of how the light of a change (B, 3, H, W) differs between near points: (B,).

    It counts by `smooth` (B, 1, H, W) of the image before. Spots and wrinkles are rough, light is not.
    """
    light, gap = rgb_to_grayscale(change), max(2, round(NEAR * change.shape[-1]) // 2 * 2)
    half = gap // 2
    across = (light[..., gap:] - light[..., :-gap]).square() * smooth[..., half:-half]
    down = (light[..., gap:, :] - light[..., :-gap, :]).square() * smooth[..., half:-half, :]
    return across.mean((1, 2, 3)) + down.mean((1, 2, 3))


def ceiling_scale(ceiling: float, change: Tensor) -> Tensor:
    """The factors (B, 1, 1, 1), at most 1, that bring the root mean square of changes (B, 3, H, W) below a
    ceiling."""
    return (ceiling / change_energy(change).sqrt().clamp(min=1e-9)).clamp(max=1)[:, None, None, None]


class PenaltySchedule:
    """What visible change costs while a face is being protected, as a factor: `least` at first.

    It rises while the protection has its margin or the change exceeds its ceiling, and falls back otherwise:
    so a face that is easily hidden is changed less, and none is changed more than is allowed.
    """

    PATIENCE = 5  # steps before the price moves
    STEP = 1.2
    LONG = 60  # steps: in a longer search the price moves slower, so that it settles instead of swinging
    MOST = 20.0  # times the least
    MEMORY = 0.7  # of how far the protection leads: its views differ from step to step

    def __init__(self, least: float, target_margin: float, ceiling: float, steps: int = LONG) -> None:
        self.least, self.target_margin, self.ceiling = least, target_margin, ceiling
        self.factor = self.STEP ** min(1.0, (self.LONG / steps) ** 2)
        self.value, self.smoothed_margin, self.steps = least, 0.0, 0

    def update(self, margin: float, size: float) -> None:
        """Learn by how much the protection led in a step, and the root mean square of the change."""
        self.smoothed_margin = (
            self.MEMORY * self.smoothed_margin + (1 - self.MEMORY) * margin if self.steps else margin
        )
        self.steps += 1
        if self.steps > self.PATIENCE:
            dearer = self.smoothed_margin > self.target_margin or size > self.ceiling
            value = self.value * (self.factor if dearer else 1 / self.factor)
            self.value = min(max(value, self.least), self.MOST * self.least)
