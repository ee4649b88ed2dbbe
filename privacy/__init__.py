"""The diffusion protection engine: `protect` is all of it that others need."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..core.errors import DeviceFull
from ..core.registry import Registry
from ..core.types import Photo, Sighting, Steps, Track

if TYPE_CHECKING:
    from .settings import Settings


AT_CEILING = 0.9  # of it: penalties hold a change near below, and the mean of the last latents gives less


@dataclass(frozen=True, eq=False)
class Protected:
    """What a protection made.

    frames: those of the tracks, protected, in the order in which the tracks first show them.
    tracks: whom they protect, as they were seen before.
    similarity: for each track, the cosine to the person's own clean embedding that is left, by surrogate: the
        largest of its sightings'.
    settings: what it was made with.
    worst_margins: for each track, by how many standard deviations of strangers' cosines the worst surrogate,
        over views and sightings, lies beyond its threshold at FAR 0.1 %; empty where nothing was attacked.
    sizes: for each track, the root mean square of the change as a share of the ceiling.
    """

    frames: tuple[Photo, ...]
    tracks: tuple[Track, ...]
    similarity: tuple[dict[str, float], ...]
    settings: Settings
    worst_margins: tuple[float, ...] = ()
    sizes: tuple[float, ...] = ()

    @property
    def photo(self) -> Photo:
        """The only frame, where a photo was protected."""
        (photo,) = self.frames
        return photo

    @property
    def limited(self) -> tuple[int, ...]:
        """Which tracks, by index, a surrogate may still know: the change was not allowed to grow."""
        return tuple(index for index in self._known if self.sizes[index] >= AT_CEILING)

    @property
    def unfinished(self) -> tuple[int, ...]:
        """Which tracks, by index, a surrogate may still know though the change might have grown: the search
        ended first."""
        return tuple(index for index in self._known if self.sizes[index] < AT_CEILING)

    @property
    def _known(self) -> list[int]:
        return [index for index, margin in enumerate(self.worst_margins) if margin < 0]


class Method(Protocol):
    """Protects the people of `tracks`; `target` is whom to impersonate, where that is the goal."""

    def __call__(
        self, tracks: Sequence[Track], settings: Settings, target: Sighting | None
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


def protect(tracks: Sequence[Track], settings: Settings, target: Sighting | None = None) -> Steps[Protected]:
    """Protect people: a generator that yields a `Step` for every step and returns `Protected`.

    Closing the generator cancels it and leaves every network as it was.

    Args:
        tracks: of one photo, as `core.types.tracks_of` makes them of its faces.
        settings: how, as `privacy.settings.settings` makes them of a preset.
        target: whom to impersonate, where that is the goal.

    Raises:
        UnknownName: the settings name a method, prior or recogniser that does not exist.
        BadSettings: the settings contradict each other (impersonation without a target), or ask for a
            device or an extra that is not here, or for a surrogate without gradients or thresholds.
        WeightsMissing, WeightsCorrupt: a model's file is not here, or not what it should be.
        DeviceFull: the device ran out of memory.
    """
    with telling_when_full(settings.device):
        return (yield from METHODS[settings.method](tracks, settings, target))


@contextmanager
def telling_when_full(device: str) -> Generator[None]:
    """Work on a device within.

    Raises:
        DeviceFull: it ran out of memory.
    """
    from torch import OutOfMemoryError

    try:
        yield
    except OutOfMemoryError as error:
        raise DeviceFull(
            f"The device {device!r} ran out of memory.",
            "Close what else uses it, take smaller crops (--size 256) or another device (VEIL_DEVICE=cpu).",
        ) from error
