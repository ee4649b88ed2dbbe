"""The diffusion protection engine: `protect` is all of it that others need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..core.errors import DeviceFull
from ..core.registry import Registry
from ..core.types import Face, Photo, Steps

if TYPE_CHECKING:
    from .settings import Settings


AT_CEILING = 0.9  # of it: the price of a change holds its size near below, and the mean of latents is less


@dataclass(frozen=True)
class Protected:
    """A protected photo.

    faces: the faces that were protected, as they lie in the photo.
    similarity: for each of them, the cosine to the person's own clean embedding that is left, by surrogate.
    leads: for each of them, by how many standard deviations of strangers' cosines the surrogate that is worst
        off, over views, lies beyond its threshold at FAR 0.1 %; empty where nothing was attacked.
    sizes: for each of them, how much has changed, as a share of the ceiling that the settings name.
    """

    photo: Photo
    faces: tuple[Face, ...]
    similarity: tuple[dict[str, float], ...]
    settings: Settings
    worst_margins: tuple[float, ...] = ()
    sizes: tuple[float, ...] = ()

    @property
    def limited(self) -> tuple[int, ...]:
        """Which of the faces, by index, a surrogate may still know: the change was not allowed to grow."""
        return tuple(index for index in self._known if self.sizes[index] >= AT_CEILING)

    @property
    def unfinished(self) -> tuple[int, ...]:
        """Which of the faces, by index, a surrogate may still know though the change might have grown: the
        search ended first."""
        return tuple(index for index in self._known if self.sizes[index] < AT_CEILING)

    @property
    def _known(self) -> list[int]:
        return [index for index, lead in enumerate(self.worst_margins) if lead < 0]


class Method(Protocol):
    """Protects the given faces of a photo; `target` is whom to impersonate, where that is the goal."""

    def __call__(
        self, photo: Photo, faces: Sequence[Face], settings: Settings, target: tuple[Photo, Face] | None
    ) -> Steps[Protected]: ...


METHODS: Registry[Method] = Registry(
    "method",
    {
        "veil": "veil.privacy.engine:protect",
        "reconstruction": "veil.privacy.reconstruction:protect",
        "identity": "veil.privacy.pixel:identity",
        "random-noise": "veil.privacy.pixel:random_noise",
        "pgd": "veil.privacy.pixel:pgd",
        "mi-fgsm": "veil.privacy.pixel:mi_fgsm",
        "ti-dim": "veil.privacy.pixel:ti_dim",
        "tip-im": "veil.privacy.pixel:tip_im",
    },
)


def protect(
    photo: Photo, faces: Sequence[Face], settings: Settings, target: tuple[Photo, Face] | None = None
) -> Steps[Protected]:
    """Protect `faces` of `photo`: a generator that yields a `Step` for every step and returns `Protected`.

    Closing the generator cancels it and leaves every network as it was.

    Raises:
        UnknownName: the settings name a method, prior or recogniser that does not exist.
        BadSettings: the settings contradict each other (impersonation without a target), or ask for a
            device or an extra that is not here, or for a surrogate without gradients or thresholds.
        WeightsMissing, WeightsCorrupt: a model's file is not here, or not what it should be.
        DeviceFull: the device ran out of memory.
    """
    from torch import OutOfMemoryError

    try:
        return (yield from METHODS[settings.method](photo, faces, settings, target))
    except OutOfMemoryError as error:
        raise DeviceFull(
            f"The device {settings.device!r} ran out of memory.",
            "Close what else uses it, take smaller crops (--size 256) or another device (VEIL_DEVICE=cpu).",
        ) from error
