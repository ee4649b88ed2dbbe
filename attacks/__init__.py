"""Recognisers, and the machinery that turns them into an objective.

A recogniser turns a face into a unit vector; two faces are taken for one person where the cosine of their
vectors exceeds the recogniser's threshold (`weights/cards.toml`). Listing names imports no torch.

Those that are not packaged are fetched first (`veil fetch NAME`) and calibrated before they can judge.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Protocol

from ..core.errors import BadSettings
from ..core.registry import Registry
from ..weights import store
from ..weights.registry import card

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.types import Array, Face


class Recognizer(Protocol):
    """A network that tells people apart. Images are RGB in [0, 1]; what else it wants it does inside."""

    @property
    def name(self) -> str:
        """Its name in `RECOGNIZERS` and on its card."""
        ...

    @property
    def size(self) -> int:
        """The side S of its crop, in pixels."""
        ...

    @property
    def differentiable(self) -> bool:
        """Whether gradients flow through `embed`; only then can an attack use it."""
        ...

    def crop(self, face: Face) -> Array:
        """The transform (2, 3) from the pixels of its crop of `face` to the photo's pixels."""
        ...

    def align(self, image: Tensor, face: Face) -> Tensor:
        """Cut its crops (B, 3, S, S) of `face` out of images (B, 3, H, W), differentiably."""
        ...

    def embed(self, crops: Tensor) -> Tensor:
        """The unit vectors (B, D) of aligned crops (B, 3, S, S)."""
        ...


RECOGNIZERS: Registry[Callable[[], Recognizer]] = Registry(
    "recogniser",
    {
        "dlib": "veil.attacks.recognizers.dlib_resnet:load",
        "mobilefacenet": "veil.attacks.recognizers.mobilefacenet:load",
        "faceres": "veil.attacks.recognizers.faceres:load",
        "faceres-deep": "veil.attacks.recognizers.faceres:load_deep",
        "mobileface": "veil.attacks.recognizers.mobileface:load",
        "faceplugin": "veil.attacks.recognizers.faceplugin:load",
        "sface": "veil.attacks.recognizers.sface:load",
        "facenet:": "veil.attacks.recognizers.facenet:load",
        "frbench:": "veil.attacks.recognizers.frbench:load",
        "insightface:": "veil.attacks.recognizers.insightface_onnx:load",
    },
)


def packaged() -> tuple[str, ...]:
    """The recognisers that come with veil: those that are used and asked where none is named."""
    return tuple(name for name in RECOGNIZERS if card(name).packaged)


def held_out() -> str:
    """The recogniser that judges and does not attack, where none is named: the one whose card says so."""
    return next(name for name in packaged() if card(name).held_out)


def attacked(judge: str | None = None) -> tuple[str, ...]:
    """The recognisers that attacks use where none is named: all that are packaged but `judge`, by default
    `held_out`, and its kin.

    Raises:
        UnknownName: no recogniser is called `judge`.
    """
    judge = RECOGNIZERS.check(judge or held_out())
    return tuple(name for name in packaged() if independent(name, judge))


def recognizer(name: str) -> Recognizer:
    """Load a recogniser, once: frozen and in evaluation mode; a copy of its network serves crops that
    lie on another device.

    Raises:
        UnknownName: no recogniser has this name.
        BadSettings: the extra that it needs is not installed.
        WeightsMissing, WeightsCorrupt: its file is not here, or not what its card says.
    """
    return _load(card(RECOGNIZERS.check(name)).name, store.default_store())


@cache
def _load(name: str, default: store.WeightsStore) -> Recognizer:
    """A recogniser of the default store, which is named for the cache alone."""
    return RECOGNIZERS[name]()


def surrogate(name: str) -> Recognizer:
    """Load a recogniser that an attack is to use.

    Raises:
        BadSettings: it has no gradients, so that no attack can use it.
        UnknownName, WeightsMissing, WeightsCorrupt: as `recognizer` does.
    """
    one = recognizer(name)
    if not one.differentiable:
        raise BadSettings(
            f"{name!r} has no gradients: it can judge a protection, but not help to make it.",
            f"Name other surrogates: {', '.join(packaged())}.",
        )
    return one


def independent(a: str, b: str) -> bool:
    """Whether a photo that defeats recogniser `a` says nothing of itself about `b`.

    Recognisers that share a trunk fall together, so neither may be held out against the other.
    """
    return card(a).trunk != card(b).trunk
