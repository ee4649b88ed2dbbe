"""What a benchmark file says."""

from __future__ import annotations

import tomllib
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...attacks import independent, packaged
from ...core.errors import BadSettings
from ...core.refusals import refused
from .. import CLEAN, FACE_MEASURES

AnySpec = TypeVar("AnySpec", bound=BaseModel)
EXAMPLES = "Those of veil lie in benchmarks/, and docs/research.md describes every field."
ALL = "all"  # stands for the recogniser left out where none is
MADE_UP = "prior"  # people whom our prior makes up, as a name of distractors


class TunedSetting(BaseModel):
    """The setting of a method that is tuned between two values until quality meets its `QualityTarget`.

    `start` is the first value that is tried, by default the geometric mean of the two.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    setting: str
    low: float = Field(gt=0)
    high: float = Field(gt=0)
    start: float | None = Field(None, gt=0)


class MethodSpec(BaseModel):
    """One method under test: its `name` in the tables; `method`, `preset`, `settings` as the engine has them.

    attacks: whether it uses surrogates; one that does not is run once, not once for each left-out recogniser.
    pool: its own surrogates, of which one is left out, in place of the benchmark's.
    disturbances: its own, in place of the benchmark's.
    knob: the setting that is tuned, where quality is matched.
    curve: methods of one curve are joined in plots; one that names none stands by itself.
    album: with pairings, whether the other photo is kept apart from the protected first one, as in an album.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[\w.+-]+$")
    method: str = "veil"
    preset: str = "balanced"
    settings: dict[str, Any] = {}
    attacks: bool = True
    pool: tuple[str, ...] = ()
    disturbances: tuple[str, ...] = ()
    knob: TunedSetting | None = None
    curve: str = ""
    album: bool = False


class QualityTarget(BaseModel):
    """Make the mean of `metric` over the first `photos` equal for all methods that have a tuned setting.

    To the mean of the method `like`, or to `value`, within a share `tolerance`, in at most `rounds` tries.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str = "psnr"
    like: str = ""
    value: float = 0.0
    photos: int = Field(6, ge=1)
    tolerance: float = Field(0.02, gt=0)
    rounds: int = Field(6, ge=2)


class CommonSpec(BaseModel):
    """What benchmark files of photos and of clips say alike: who is asked, and what is tried.

    judges: left out of the surrogates in turn; with `surrogates`, these attack and all judges judge.
    pool: whose members that are no kin of the judge left out are the surrogates; by default all packaged.
    photos: how many people, or clips, at most.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    judges: tuple[str, ...] = Field(min_length=1)
    surrogates: tuple[str, ...] = ()
    pool: tuple[str, ...] = ()
    methods: tuple[MethodSpec, ...] = Field(min_length=1)
    photos: int | None = Field(None, ge=1)
    measures: tuple[str, ...] = ()

    def surrogate_sets(self, method: MethodSpec) -> dict[str, tuple[str, ...]]:
        """The surrogates of a method by the recogniser left out; `ALL` where there is one set of them."""
        if not method.attacks or self.surrogates:
            return {ALL: self.surrogates or self.judges}
        pool = method.pool or self.pool or packaged()
        return {judge: tuple(name for name in pool if independent(name, judge)) for judge in self.judges}

    def independent_judges(self, method: MethodSpec, left_out: str) -> tuple[str, ...]:
        """The judges that share no weights with the surrogates of a method that leaves one out."""
        used = self.surrogate_sets(method)[left_out] if method.attacks else ()
        return tuple(judge for judge in self.judges if all(independent(judge, name) for name in used))


class Spec(CommonSpec):
    """A benchmark file of photos.

    leave_out: for each person every judge, or one of them: every judge once among as many people as there are
        judges. As much work for more people tells more, since what befalls one person's photos goes together.
    per_group: how many people for each gender and race.
    only_recognised: take only people whose two clean photos every judge takes for one person.
    pairings: protect the other photo of each person, too, as another visit would, by the same settings and
        against the same surrogates: twice the work, and what both together give away (`eval.pairings`).
        It may be asked for in the folder of a finished run.
    distractors: strangers who fill the gallery of pairings: names of datasets, and "prior:N" for N people who
        are made up. They may be asked for in the folder of a finished run.
    targets: for impersonation, a folder with enrol/ (attacked) and probe/ (measured), paired by order.
    rate: the rate of false accepts at which recognisers decide.
    disturbances: before recognition; or the name of a detector that takes the place of ours.
    measures: of quality, beside PSNR and SSIM; lpips and fid need weights that are not packaged, t_acc and
        t_ned the extra "ocr".
    """

    dataset: str
    disturbances: tuple[str, ...] = ("none",)
    per_group: int | None = Field(None, ge=1)
    leave_out: Literal["each", "turns"] = "each"
    only_recognised: bool = False
    pairings: bool = False
    distractors: tuple[Annotated[str, Field(pattern=rf"^{MADE_UP}:[1-9]\d*$|^[\w./-]+$")], ...] = ()
    goal: Literal["dodge", "impersonate"] = "dodge"
    targets: str = ""
    rate: Literal["far10", "far1", "far01"] = "far1"
    seeds: tuple[int, ...] = (0,)
    match: QualityTarget | None = None
    measures: tuple[str, ...] = ("ms_ssim", "chroma", "brightness", "colourfulness", *FACE_MEASURES)

    def all_methods(self) -> tuple[MethodSpec, ...]:
        """The methods, with the one that changes nothing first."""
        clean = MethodSpec(name=CLEAN, method="identity", attacks=False)
        return (clean, *(method for method in self.methods if method.name != CLEAN))

    def left_out_for(self, method: MethodSpec, index: int) -> str:
        """The one recogniser that a method leaves out for the person with an index, with "turns".

        Their order is drawn anew each time round: groups and targets take turns, too, and must not meet the
        same recogniser each time.
        """
        names = list(self.surrogate_sets(method))
        cycle, place = divmod(index, len(names))
        return Random(cycle).sample(names, len(names))[place]


def read(path: Path) -> Spec:
    """Read a benchmark file of photos.

    Args:
        path: a TOML file, with the fields of `Spec`.

    Raises:
        BadSettings: it is missing, no TOML, or says what is not allowed; the message names it.
    """
    return read_as(Spec, path)


def read_as(kind: type[AnySpec], path: Path) -> AnySpec:
    """Read a benchmark file with the fields of `kind`; see `read`."""
    try:
        return kind.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadSettings(f"There is no file {path}.", EXAMPLES) from error
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{path} is not TOML: {error}.", EXAMPLES) from error
    except ValidationError as error:
        raise refused(error, kind, "field", f"{path}: ", EXAMPLES) from error
