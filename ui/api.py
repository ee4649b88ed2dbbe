"""What `import veil` offers: to protect a photo or clip, and to judge one, in a few lines of Python."""

from __future__ import annotations

from ..core.threads import configure_threads

configure_threads()  # before torch is loaded, where it is not yet

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

from PIL import Image

from ..attacks import RECOGNIZERS
from ..attacks.faces.detection import search
from ..core.errors import BadPhoto, BadSettings
from ..core.progress import finish
from ..core.types import Face, Photo, Step, Steps
from ..eval import report as judge
from ..eval.linking import Linking
from ..eval.report import Report
from ..privacy import protect as protected
from ..privacy.settings import Settings, settings
from ..weights.registry import Card, card, cards
from . import beside, clip_checks, face_words, given, linking, pipes, records, wording, workflow
from .clip_api import ClipResult, album_of, protect_clip
from .clip_records import ClipReport
from .given import Source, open_photo
from .outputs import Output, record_of
from .references import known_in
from .selection import Whom, choose


@dataclass(frozen=True, eq=False)
class Result:
    """A protected photo, and what recognisers and eyes make of it.

    before, photo: the photo before and after; `photo.pixels` are (H, W, 3) bytes.
    report: for each face both halves of the promise; it judges the pixels as they are. `save` judges the
        written file anew.
    """

    made: workflow.Made
    report: Report

    @property
    def before(self) -> Photo:
        """The photo as it was."""
        return self.made.photo

    @property
    def photo(self) -> Photo:
        """The protected photo."""
        return self.made.protected.photo

    @property
    def settings(self) -> Settings:
        """Everything that decided how it was protected."""
        return self.made.settings

    @property
    def image(self) -> Image.Image:
        """The protected photo, for Pillow."""
        return Image.fromarray(self.photo.pixels)

    def save(
        self,
        path: str | PathLike[str],
        *,
        quality: int | None = None,
        keep_metadata: bool = False,
        replace: bool = False,
    ) -> Report:
        """Write the picture, and beside it NAME.json, as `veil protect` does; both appear together.

        Args:
            path: whose ending is the format: .jpg, .png, .webp, .avif, .heic.
            quality: 1 to 100; as the photo's own file where none is given.
            keep_metadata: keep what of the photo's metadata describes it (it may say where it was taken).
            replace: whether files that are there may be replaced.

        Returns:
            The report on the file as it was written.

        Raises:
            BadPhoto: it cannot be written, or is there already.
        """
        picture = Path(path)
        output = Output(quality=quality, keep_metadata=keep_metadata, force=replace)
        record = record_of(picture)
        for file in (picture, record):
            if file.exists() and not replace:
                raise BadPhoto(f"{file} exists already.", "Give replace=True, or another name.")
        return workflow.keep(self.made, picture, record, output).report

    def __str__(self) -> str:
        left = face_words.unprotected(
            self.report.unprotected, way="give faces=[{}]", protected=self.made.choice.faces
        )
        said = wording.headline(self.report), *self.report.beside_references()
        how = wording.made(**records.named(self.settings))
        return "\n".join([*left, *self.made.ignored, *self.made.notes, *said, how])

    def _repr_html_(self) -> str:
        """For notebooks: before and after, what there is to say, and the verdict of every recogniser."""
        from .web.pictures import embedded

        pictures = "".join(
            f'<img src="{embedded(photo.pixels)}" alt="{name}" title="{name}">'
            for name, photo in (("before", self.before), ("after", self.photo))
        )
        rows = [wording.MATCH_COLUMNS, *wording.match_rows(self.report)]
        cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
        table = "".join(f"<tr>{row}</tr>" for row in cells)
        said = "".join(f"<p>{escape(line)}</p>" for line in (*str(self).split("\n"), wording.LIMITS))
        return f"<div>{pictures}{said}<table>{table}</table></div>"


def find_faces(photo: Source) -> list[Face]:
    """The faces of a photo, the largest first: their boxes, and five points each, in pixels.

    Raises:
        BadPhoto, BadSettings: it is no usable photograph.
    """
    return search(open_photo(photo).pixels).faces


def protect(
    photo: Source,
    *,
    strength: str = "balanced",
    effort: str = "normal",
    faces: Collection[int] = (),
    target: Source | None = None,
    probe: Source | None = None,
    crf: int | None = None,
    codec: str | None = None,
    album: Iterable[Result | ClipResult] | Result | ClipResult = (),
    references: Iterable[Source] | Source = (),
    progress: Callable[[Step], object] = lambda step: None,
    **changes: Any,
) -> Result | ClipResult:
    """Change the faces of a photo or clip so that recognisers no longer match it to others of the person.

    Args:
        photo: a file (of a photo, or a clip by its ending), a picture of Pillow, or pixels (H, W, 3) as
            bytes.
        strength: "subtle", "balanced" or "strong"; "paper" is the paper's own setting.
        effort: "quick", "normal" or "thorough".
        faces: numbers from 1, the largest, or of a clip who is shown most; by default all that are large
            enough.
        target: a photo of somebody to be taken for; by default nobody.
        probe: another photo of the person, with which recognisers compare; by default the photo before.
        crf, codec: of a clip: its constant rate factor (0 to 51, of vp9 and av1 63; lower is better), and
            "h264", "hevc", "vp9" or "av1"; by default the codec's usual one, and the clip's own.
        album: earlier results, or one, with which this one should not be linked where they show the same
            person.
        references: other photos of the person, or one, alone on each: they say better who that is. What is
            returned names those that counted for a face, and those that counted for none.
        progress: called at every step.
        changes: of fields of `veil.Settings`, such as seed=1, steps=30 or method="pgd".

    Returns:
        Of a photo a `Result`, of a clip a `ClipResult`. Nothing is written where the photo or clip lies.

    Raises:
        BadPhoto, NoFace: the photo or clip cannot be used (of a clip `BadClip`), or shows no face.
        BadSettings, UnknownName: a setting does not exist, or does not fit; clips are not impersonated.
        WeightsMissing, WeightsCorrupt: a model's file is not here, or not what it should be.
        DeviceFull: the device ran out of memory.
    """
    goal = {"goal": "impersonate"} if target is not None else {}
    chosen = settings(strength, effort, **{"device": workflow.device(), **goal, **changes})
    workflow.check_models(chosen)
    numbers = given.numbers(faces, "faces")
    hint = "Give what veil.protect returned; other photos of the person are references=[...]."
    earlier = given.several(album, Result | ClipResult, "album", hint)
    known = album_of(earlier, map(open_photo, given.photos(references, "references")))
    if isinstance(photo, str | PathLike) and pipes.is_clip(Path(photo)):
        other = workflow.with_largest_face(open_photo(probe)) if probe is not None else None
        return protect_clip(Path(photo), chosen, numbers, other, crf, codec, progress, known)
    if crf is not None or codec is not None:
        raise BadSettings("crf and codec are of clips, and this is a photo.", "Give quality to `save`.")
    before = open_photo(photo)
    choice = choose(before, search(before.pixels), Whom(numbers))
    aim = workflow.with_largest_face(open_photo(target)) if target is not None else None
    _, tracks, said = known_in(known, before, choice.faces)
    notes = (*before.warnings, *choice.notes, *said.notes)
    result = finish(protected(tracks, chosen, aim), progress)
    made = workflow.Made(before, result, choice, chosen, notes, ignored=said.ignored)
    return Result(made, made.judged(made.protected.photo, open_photo(probe) if probe is not None else None))


def assess(
    before: Source,
    after: Source,
    probe: Source | None = None,
    *,
    surrogates: Iterable[str] | str | None = None,
    recognizers: Iterable[str] | str | None = None,
) -> Report:
    """Judge a protected photo: both halves of the promise, for every face.

    Args:
        before, after: the photo before and after, of one size.
        probe: another photo of the person, with which recognisers compare; by default the photo before.
        surrogates: the recognisers that the protection used, which are no honest judges; by default those
            that the report beside `after` names, if it is a file of veil's.
        recognizers: who judges; by default all that are packaged.

    Returns:
        The report: of each face (`faces`) what recognisers say (`matches`) and how much it has changed
        (`quality`), and the verdict of those that the protection did not use (`headline`).

    Raises:
        BadPhoto, NoFace: a photo cannot be used, shows no face, or has another size.
        BadSettings: the report beside `after` does not say what was used, or an argument is of the wrong
            kind, or no recogniser is left to judge.
        UnknownName, WeightsMissing, WeightsCorrupt: a recogniser does not exist, or its file.
    """
    judges, used = given.recognizers(recognizers, "recognizers"), given.recognizers(surrogates, "surrogates")
    if used is None and isinstance(after, str | PathLike):
        first = before if isinstance(before, str | PathLike) else after
        used = beside.known_to_either(Path(first), Path(after))
    return judge.assess(
        open_photo(before),
        open_photo(after),
        surrogates=frozenset(used or ()),
        recognizers=judges,
        probe=open_photo(probe) if probe is not None else None,
    )


def assess_clip(
    before: str | PathLike[str],
    after: str | PathLike[str],
    probe: Source | None = None,
    *,
    surrogates: Iterable[str] | str | None = None,
    recognizers: Iterable[str] | str | None = None,
    progress: Callable[[Step], object] = lambda step: None,
) -> ClipReport:
    """Judge a protected clip, as `assess` does a photo: for every person the share of the pictures in which
    each recogniser knows them, the most like of these, and all together.

    Args:
        before, after: the files of the clip before and after, of one size and as many pictures.
        probe: a photo of the person, with which recognisers compare; by default the clip before.
        surrogates, recognizers: as `assess` has them.
        progress: called at every step.

    Returns:
        The report: for each person what each recogniser says, and what is still expressed.

    Raises:
        BadPhoto, NoFace: a clip cannot be used (`BadClip`), shows no face, or has another length or size.
        BadSettings: the report beside `after` does not say what was used; the extra `video` is missing.
        UnknownName, WeightsMissing, WeightsCorrupt: a recogniser does not exist, or its file.
    """
    judges, used = given.recognizers(recognizers, "recognizers"), given.recognizers(surrogates, "surrogates")
    files = given.file(before), given.file(after)
    if surrogates is None:
        used = beside.known_to_either(*files)
    other = workflow.with_largest_face(open_photo(probe)) if probe is not None else None
    judging = clip_checks.assess(*files, tuple(used or ()), judges or (), other)
    return finish(judging, progress)


def link(
    photos: Iterable[Source] | Source,
    *,
    surrogates: Iterable[str] | str | None = None,
    recognizers: Iterable[str] | str | None = None,
    progress: Callable[[Step], object] = lambda step: None,
) -> Linking:
    """Could a machine take the photos of an album for photos of one person?

    The main face of each is compared with that of every other. Photos that cannot be used, or show no face
    that is large enough, are left out, and named in what is returned; `print` it for the verdict in words.

    Args:
        photos: two or more. One is open at a time. Of the file of a clip the picture counts that shows best
            who is shown most.
        surrogates: the recognisers that their protection used, which are no honest judges; by default those
            that the reports beside them name, where they are files of veil's.
        recognizers: who judges; by default all that are packaged.
        progress: called after every photo, and every picture of a clip.

    Returns:
        What each recogniser links (`judges`), how many of them link which two photos (`matrix`), and which
        photos hang together (`groups`). Files of one name are named with their folders.

    Raises:
        BadPhoto: fewer than two photos can be compared.
        BadSettings: an argument is of the wrong kind, or no recogniser is left to judge.
        UnknownName, WeightsMissing, WeightsCorrupt: a recogniser does not exist, or its file.
    """
    judges, used = given.recognizers(recognizers, "recognizers"), given.recognizers(surrogates, "surrogates")

    def opened(one: Source) -> Steps[clip_checks.AlbumView]:
        return clip_checks.album_view(Path(one) if isinstance(one, str | PathLike) else open_photo(one))

    return finish(linking.link(given.photos(photos, "photos"), opened, judges, used), progress)


def recognizers() -> dict[str, Card]:
    """The recognisers by name, with what is known of each: licence, thresholds, whether it is packaged."""
    return {name: card(name) for name in cards() if name.partition(":")[0] in RECOGNIZERS}
