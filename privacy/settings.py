"""What a protection does: `Settings`, and the presets that people choose by name.

Every value is written into the report, so that a result can be made again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ..attacks import attacked
from ..core.errors import BadSettings
from ..core.refusals import refused

Goal = Literal["dodge", "impersonate"]
Share = Annotated[float, Field(ge=0, lt=1)]


# What settings were called in reports of schema 3 and before, and in benchmark files of that time.
FORMER_NAMES = {
    "rate": "learning_rate",
    "memory": "betas",
    "average": "tail_average",
    "even": "equalise_channels",
    "own_identity": "source_weight",
    "balance": "standardise_cosines",
    "focus": "easy_surrogate_bias",
    "change": "energy_weight",
    "price": "penalty_scale",
    "margin": "target_margin",
    "compose": "add_change",
}
PAPER_SOURCE = "arXiv 2503.10350"


def _setting(
    description: str, group: str, default: Any = ..., *, unit: str = "", source: str = "", **limits: Any
) -> Any:
    """A field of `Settings`, whose JSON schema also says its group, unit and source."""
    said = {"group": group, "unit": unit, "source": source}
    extra: dict[str, Any] = {key: value for key, value in said.items() if value}
    if "default_factory" in limits:
        return Field(description=description, json_schema_extra=extra, **limits)
    return Field(default, description=description, json_schema_extra=extra, **limits)


class Settings(BaseModel):
    """Everything that decides how a face is protected; the defaults are `balanced` at effort `normal`.

    Fields stand in groups: what is done ("run"), how deep the latent lies that is optimised ("diffusion"),
    how it is optimised ("optimiser"), what for ("objective"), and what the change costs ("penalties").
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # run
    method: str = _setting("how a change is made", "run", "veil")
    prior: str = _setting("the diffusion model", "run", "portrait")
    size: int | None = _setting(
        "the side of a crop; the prior's own where none is given", "run", None, ge=64, le=1024, unit="pixels"
    )
    device: str = _setting("where the prior lies, as torch names it", "run", "cpu")
    surrogates: tuple[str, ...] = _setting(
        "the recognisers that are attacked; all that are packaged but the judge that is held out",
        "run",
        default_factory=attacked,
        min_length=1,
    )
    goal: Goal = _setting("to look like nobody known, or like a target", "run", "dodge")
    seed: int = _setting("of all that is drawn", "run", 0, ge=0)

    # diffusion
    schedule: int = _setting(
        "into how many DDIM steps the noise schedule is cut",
        "diffusion",
        7,
        ge=2,
        le=500,
        unit="steps",
        source=f"{PAPER_SOURCE}, section 4.1 (20)",
    )
    depth: int = _setting(
        "how many of them are inverted and denoised again; 0 moves the autoencoder's latent",
        "diffusion",
        1,
        ge=0,
        unit="steps",
        source=f"{PAPER_SOURCE}, section 4.1 (3)",
    )
    embedding_steps: int = _setting(
        "of optimising the unconditional embedding of each denoising step",
        "diffusion",
        4,
        ge=0,
        unit="steps",
        source=f"{PAPER_SOURCE}, section 3.2; arXiv 2211.09794",
    )
    embedding_rate: float = _setting(
        "AdamW's learning rate there", "diffusion", 0.3, gt=0, source=f"{PAPER_SOURCE}, section 3.2"
    )

    # optimiser of the adversarial latent
    steps: int = _setting(
        "of Adam on the latent", "optimiser", 60, ge=1, unit="steps", source=f"{PAPER_SOURCE}, section 3.3"
    )
    learning_rate: float = _setting(
        "Adam's", "optimiser", 0.25, gt=0, unit="standard deviations of the latent"
    )
    betas: tuple[Share, Share] = _setting(
        "Adam's; with so few steps the usual ones lag behind",
        "optimiser",
        (0.7, 0.9),
        source="arXiv 1412.6980",
    )
    tail_average: float = _setting(
        "the share of the steps, the last, whose mean latent is the result",
        "optimiser",
        0.4,
        ge=0,
        le=1,
        source="Polyak and Juditsky 1992, doi:10.1137/0330046",
    )
    equalise_channels: bool = _setting(
        "move each channel of the latent so far that all are seen alike", "optimiser", True
    )

    # objective
    views: int = _setting(
        "random views a step, of kinds that take turns; 0: the photo as it is",
        "objective",
        1,
        ge=0,
        source="arXiv 1707.07397",
    )
    source_weight: float = _setting(
        "in impersonation, of the similarity to oneself beyond a stranger's", "objective", 1.0, ge=0
    )
    standardise_cosines: bool = _setting(
        "count cosines in standard deviations of strangers' cosines", "objective", True
    )
    easy_surrogate_bias: float = _setting(
        "softmax weight exp(-bias * loss): above 0 favours surrogates that are fooled already",
        "objective",
        0.17,
    )
    album_slack: float = _setting(
        "how much more like those of its album than like the person a photo may be at the same cost",
        "objective",
        2.0,
        unit="standard deviations of strangers' cosines",
    )
    target_margin: float = _setting(
        "how far every surrogate must be beyond its threshold at FAR 0.1 % before the penalties grow",
        "objective",
        6.0,
        unit="standard deviations of strangers' cosines",
    )

    # penalties: they keep skin smooth but not yet the person (a nose drawn by shade is cheap)
    structure: float = _setting(
        "weight of how far self-attention maps move",
        "penalties",
        16000.0,
        ge=0,
        source=f"{PAPER_SOURCE}, section 3.4",
    )
    energy_weight: float = _setting("weight of the mean square of the change", "penalties", 7600.0, ge=0)
    chroma: float = _setting(
        "weight of what of it is neither brightening nor darkening", "penalties", 87000.0, ge=0
    )
    smoothness: float = _setting(
        "weight of spots and wrinkles on smooth skin",
        "penalties",
        12000.0,
        ge=0,
        source="Legge and Foley 1980, doi:10.1364/JOSA.70.001458",
    )
    perceptual: float = _setting(
        "weight of how differently early features of the face mesh see it",
        "penalties",
        24.0,
        ge=0,
        source="LPIPS, arXiv 1801.03924, equation 1",
    )
    landmarks: float = _setting(
        "weight of how far 468 points of the face move",
        "penalties",
        600.0,
        ge=0,
        unit="squared eye distances",
    )
    expression: float = _setting(
        "weight of how differently the expression is read (Kullback-Leibler)", "penalties", 0.6, ge=0
    )
    penalty_scale: float = _setting(
        "the least factor of all these penalties; it grows where more protection is not needed",
        "penalties",
        2.1,
        gt=0,
    )
    ceiling: float = _setting(
        "the largest root mean square of the change over the crop", "penalties", 1.7, gt=0, unit="1/255"
    )
    add_change: bool = _setting(
        "add the change of the reconstruction to the photo; else the plain output replaces it",
        "penalties",
        True,
        source=f"{PAPER_SOURCE}, section 4.1 (plain output)",
    )

    @model_validator(mode="before")
    @classmethod
    def _of_former_names(cls, values: object) -> object:
        """Settings as reports and benchmark files of before name them."""
        return renamed(cast("dict[str, Any]", values)) if isinstance(values, dict) else values

    @field_validator("surrogates", mode="before")
    @classmethod
    def _one_or_several(cls, surrogates: object) -> object:
        return (surrogates,) if isinstance(surrogates, str) else surrogates

    @field_validator("depth")
    @classmethod
    def _within_schedule(cls, depth: int, info: ValidationInfo) -> int:
        if depth >= info.data.get("schedule", depth + 1):
            raise ValueError("it must be below the schedule")
        return depth


STRENGTHS: dict[str, dict[str, Any]] = {
    "subtle": {"ceiling": 1.5},
    "balanced": {},
    "strong": {"penalty_scale": 0.8, "ceiling": 4.4},
}
# The paper's own setting (arXiv 2503.10350, section 4.1), for comparison: its plain output replaces the face.
PAPER: dict[str, Any] = {
    "schedule": 20,
    "depth": 3,
    "embedding_steps": 20,
    "steps": 30,
    "learning_rate": 0.02,
    "betas": (0.9, 0.999),
    "tail_average": 0.0,
    "equalise_channels": False,
    "views": 0,
    "source_weight": 0.0,
    "standardise_cosines": False,
    "easy_surrogate_bias": 0.0,
    "structure": 3000.0,
    "energy_weight": 0.0,
    "chroma": 0.0,
    "smoothness": 0.0,
    "perceptual": 0.0,
    "landmarks": 0.0,
    "expression": 0.0,
    "target_margin": 100.0,
    "ceiling": 255.0,
    "add_change": False,
}
PRESETS = {**STRENGTHS, "paper": PAPER}
# How long to search for a change, whatever its strength; the paper has steps of its own.
EFFORTS: dict[str, dict[str, Any]] = {
    "quick": {"steps": 18},
    "normal": {"steps": 60},
    "thorough": {"steps": 180},
}
SECONDS = {"quick": 5, "normal": 20, "thorough": 60}  # a face of a photo, about, on two idle cores
CLIP_SECONDS = {"quick": 25, "normal": 35}  # of 1.2 s with one face, about, on the same; docs/using.md
# What fits a prior, or a family of them, better than the defaults: the paper's for Stable Diffusion.
FITTING: dict[str, dict[str, Any]] = {"stable-diffusion": {"embedding_steps": 20, "embedding_rate": 0.1}}
# Likeness as a vision-language model rated it blind; the README says how often and what else.
DESCRIPTIONS = {
    "subtle": "People see you, side by side too (94 % of blind ratings by a vision-language model). Hides "
    "you only from recognisers that the protection has met, if at all.",
    "balanced": "People mostly see you, with small changes (85 % of blind ratings by a vision-language "
    "model, 58 % where it was told to look closely). One in five recognisers that the protection has not met "
    "no longer matches the photo to your others.",
    "strong": "Hides you from nine in ten recognisers that the protection has not met; people see a relative "
    "or somebody else (no rating by that model says the same person).",
}
# The same of clips, of which a machine takes the best picture: benchmarks/video, ratings/round-14.
CLIP_DESCRIPTIONS = {
    "subtle": "Was not measured in clips. Changes less than balanced, which hides nobody there.",
    "balanced": "People mostly see you (83 % of blind ratings of pictures by a vision-language model). Hides "
    "you in 0 of 9 clips: a recogniser that the protection has not met matched every picture.",
    "strong": "Hides you in 7 of 9 clips from a recogniser that the protection has not met; people see "
    "somebody else (no rating by that model says the same person).",
}


def renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings by today's names: see `FORMER_NAMES`."""
    return {FORMER_NAMES.get(name, name): value for name, value in values.items()}


def settings(strength: str = "balanced", effort: str = "normal", **changes: Any) -> Settings:
    """The settings of a preset, a strength or "paper", over those of an effort, with `changes`.

    Raises:
        BadSettings: unknown preset or effort, or a value that is not allowed; the message names it.
    """
    if strength not in [*PRESETS]:
        raise BadSettings(f"There is no strength called {strength!r}.", f"There are: {', '.join(PRESETS)}.")
    if effort not in [*EFFORTS]:
        raise BadSettings(f"There is no effort called {effort!r}.", f"There are: {', '.join(EFFORTS)}.")
    fitting = FITTING.get(str(changes.get("prior")).partition(":")[0], {})
    try:
        return Settings(**{**EFFORTS[effort], **fitting, **PRESETS[strength], **renamed(changes)})
    except ValidationError as error:
        raise refused(error, Settings, "setting") from error
