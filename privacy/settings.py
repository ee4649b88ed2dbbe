"""What a protection does: `Settings`, and the presets that people choose by name.

Every value is written into the report, so that a result can be made again.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from ..attacks import attacked
from ..core.errors import BadSettings

Goal = Literal["dodge", "impersonate"]
Share = Annotated[float, Field(ge=0, lt=1)]


class Settings(BaseModel):
    """Everything that decides how a face is protected; the defaults are `balanced` at effort `normal`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str = "veil"
    prior: str = "portrait"
    size: int | None = Field(None, ge=64, le=1024)  # pixels: the side of a crop; the prior's own where None
    device: str = "cpu"  # as torch names it
    surrogates: tuple[str, ...] = Field(default_factory=attacked, min_length=1)
    goal: Goal = "dodge"
    seed: int = Field(0, ge=0)

    # the diffusion: how deep the latent lies that is optimised (DDIM steps of a schedule of so many)
    schedule: int = Field(7, ge=2, le=500)
    depth: int = Field(1, ge=0)
    embedding_steps: int = Field(4, ge=0)
    embedding_rate: float = Field(0.3, gt=0)

    # the adversarial latent
    steps: int = Field(60, ge=1)
    learning_rate: float = Field(0.25, gt=0)
    betas: tuple[Share, Share] = (0.7, 0.9)  # Adam's betas: with so few steps the usual ones lag behind
    tail_average: float = Field(0.4, ge=0, le=1)  # the share of the steps, the last, whose mean is the result
    equalise_channels: bool = True  # move each channel of the latent so far that all are seen alike
    views: int = Field(1, ge=0)  # a step, of those that take turns; 0: the photo as it is
    source_weight: float = Field(1.0, ge=0)
    standardise_cosines: bool = True  # count each surrogate's cosines by how strangers' are spread
    easy_surrogate_bias: float = (
        0.17  # how much more a surrogate counts by what it is fooled further (log of its weight)
    )
    structure: float = Field(16_000.0, ge=0)

    # limits on a change, which keep skin smooth but not yet the person (a nose drawn by shade is cheap):
    # what it costs, its colour, and what of it is spots and wrinkles on smooth skin; that early features
    # see it, that the parts of the face are seen elsewhere, or another expression on it; a factor of all
    # these and of `structure`; how far every surrogate must be beyond its threshold at FAR 0.1 % for the
    # change to be made smaller (in standard deviations of strangers' cosines); how much may change at most
    # (root mean square over the crop, in 1/255)
    energy_weight: float = Field(7_600.0, ge=0)
    chroma: float = Field(87_000.0, ge=0)
    smoothness: float = Field(12_000.0, ge=0)
    perceptual: float = Field(24.0, ge=0)
    landmarks: float = Field(600.0, ge=0)
    expression: float = Field(0.6, ge=0)
    penalty_scale: float = Field(2.1, gt=0)
    target_margin: float = 6.0
    ceiling: float = Field(1.7, gt=0)
    add_change: bool = True

    @field_validator("depth")
    @classmethod
    def _within_schedule(cls, depth: int, info: ValidationInfo) -> int:
        if depth >= info.data.get("schedule", depth + 1):
            raise ValueError("it must be below the schedule")
        return depth


STRENGTHS: dict[str, dict[str, Any]] = {
    "subtle": {"ceiling": 1.5},
    "balanced": {},
    "strong": {"price": 0.8, "ceiling": 4.4},
}
# The paper's own setting (arXiv 2503.10350, section 4.1), for comparison: its plain output replaces the face.
PAPER: dict[str, Any] = {
    "schedule": 20,
    "depth": 3,
    "embedding_steps": 20,
    "steps": 30,
    "rate": 0.02,
    "memory": (0.9, 0.999),
    "average": 0.0,
    "even": False,
    "views": 0,
    "own_identity": 0.0,
    "balance": False,
    "focus": 0.0,
    "structure": 3000.0,
    "change": 0.0,
    "chroma": 0.0,
    "smoothness": 0.0,
    "perceptual": 0.0,
    "landmarks": 0.0,
    "expression": 0.0,
    "margin": 100.0,
    "ceiling": 255.0,
    "compose": False,
}
PRESETS = {**STRENGTHS, "paper": PAPER}
# How long to search for a change, whatever its strength; the paper has steps of its own.
EFFORTS: dict[str, dict[str, Any]] = {
    "quick": {"steps": 18},
    "normal": {"steps": 60},
    "thorough": {"steps": 180},
}
SECONDS = {"quick": 5, "normal": 20, "thorough": 60}  # a face, about, on two idle cores
# What fits a prior, or a family of them, better than the defaults: the paper's for Stable Diffusion.
FITTING: dict[str, dict[str, Any]] = {"stable-diffusion": {"embedding_steps": 20, "embedding_rate": 0.1}}
# Likeness as rated blind; the README says by whom, how often and what else.
DESCRIPTIONS = {
    "subtle": "People see you, side by side too (97 % of blind ratings). Hides you only from recognisers "
    "that it has met, if at all.",
    "balanced": "People see you, with small changes (83 % of blind ratings). One in six recognisers that it "
    "has not met no longer matches it to your other photos.",
    "strong": "Hides you from nine in ten recognisers that it has not met; people see a relative or somebody "
    "else (no rating says the same person).",
}


def settings(strength: str = "balanced", effort: str = "normal", **changes: Any) -> Settings:
    """The settings of a preset, a strength or "paper", over those of an effort, with `changes`.

    Raises:
        BadSettings: unknown preset or effort, or a value that is not allowed; the message names it.
    """
    if strength not in PRESETS:
        raise BadSettings(f"There is no strength called {strength!r}.", f"There are: {', '.join(PRESETS)}.")
    if effort not in EFFORTS:
        raise BadSettings(f"There is no effort called {effort!r}.", f"There are: {', '.join(EFFORTS)}.")
    fitting = FITTING.get(str(changes.get("prior")).partition(":")[0], {})
    try:
        return Settings(**{**EFFORTS[effort], **fitting, **PRESETS[strength], **changes})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise BadSettings(f"The setting {name!r} does not fit: {first['msg']}.") from error
