"""`veil protect`."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ...core.errors import BadSettings
from ..terminal import FELL_SHORT, Json, QuietOnFaces, Terminal
from .clips import passed_over, tell_result
from .clips import protect as protect_clip
from .people import known, left_as_it_is, linked, reopened, way_out, whom, with_earlier


def protect(
    photos: Annotated[
        list[Path],
        typer.Argument(help="The photos and clips, or folders of them; - reads a photo.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder, which is made where it is missing, or for one photo or clip its result: NAME.jpg, "
            "NAME.mp4 and so on, - for a photo on standard output. Otherwise beside it.",
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Folders with all that are in them.")
    ] = False,
    strength: Annotated[
        str, typer.Option(help="subtle, balanced or strong; or paper, to compare.")
    ] = "balanced",
    effort: Annotated[
        str,
        typer.Option(
            help="quick, normal or thorough: how long to search, about 5, 20 or 60 s a face of a photo on "
            "two cores; a clip takes longer."
        ),
    ] = "normal",
    goal: Annotated[
        Literal["dodge", "impersonate"], typer.Option(help="Look like nobody known, or like the target.")
    ] = "dodge",
    target: Annotated[Path | None, typer.Option(help="A photo of whom to impersonate.")] = None,
    faces: Annotated[
        str | None, typer.Option(help="Numbers as `veil faces` shows them: 1,3. Otherwise all.")
    ] = None,
    largest: Annotated[bool, typer.Option("--largest", help="Only the largest face.")] = False,
    only: Annotated[
        list[Path] | None,
        typer.Option(help="Only the person of this photo, which shows nobody else; may be repeated."),
    ] = None,
    spare: Annotated[
        list[Path] | None,
        typer.Option("--except", help="Everyone but the person of this photo; may be repeated."),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="The same seed gives the same result, on the same machine.")
    ] = 0,
    prior: Annotated[
        str, typer.Option(help="The generative model: portrait, stable-diffusion[:FOLDER or HUB/ID].")
    ] = "portrait",
    size: Annotated[
        int | None, typer.Option(help="Side of the prior's crop in pixels.", show_default="the prior's own")
    ] = None,
    device: Annotated[str, typer.Option(envvar="VEIL_DEVICE", help="cpu, cuda, cuda:1, mps.")] = "cpu",
    surrogates: Annotated[
        str | None, typer.Option(help="The recognisers to defeat: dlib,faceres.", show_default=False)
    ] = None,
    all_surrogates: Annotated[
        bool, typer.Option("--all-surrogates", help="Defeat every one, and keep no honest judge.")
    ] = False,
    leave_out: Annotated[
        str | None,
        typer.Option(help="The recogniser kept as honest judge.", show_default="sface"),
    ] = None,
    format: Annotated[
        Literal["keep", "png", "jpeg", "webp", "avif", "heic"],
        typer.Option(help="Format of the result, where -o does not tell; keep: the photo's own."),
    ] = "keep",
    quality: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Of JPEG, WebP, AVIF, HEIC.", show_default="as the photo's file"),
    ] = None,
    crf: Annotated[
        int | None,
        typer.Option(
            min=0, max=63, help="Of clips: constant rate factor, lower is better.", show_default="the codec's"
        ),
    ] = None,
    codec: Annotated[
        str | None, typer.Option(help="Of clips: h264, hevc, vp9 or av1.", show_default="the clip's own")
    ] = None,
    keep_metadata: Annotated[
        bool,
        typer.Option("--keep-metadata", help="Of photos: keep EXIF, place and comments, which also tell."),
    ] = False,
    probe: Annotated[
        Path | None,
        typer.Option(help="Another photo of the person, to judge the result with, be it a photo or a clip."),
    ] = None,
    me: Annotated[
        list[Path] | None,
        typer.Option(
            help="Another photo of the person, alone on it, from which the result is led away, too; may be "
            "repeated. Hides more, and shows more."
        ),
    ] = None,
    album: Annotated[
        bool,
        typer.Option(
            "--album",
            help="Keep photos and clips apart: those of one person should not be linked with one another.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace results that exist.")] = False,
    fail_if_recognised: Annotated[
        bool,
        typer.Option(
            "--fail-if-recognised", help="Exit with 3 where any recogniser, used or not, still knows a face."
        ),
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            help="Share photos and clips among the machines of a Ray cluster: its address, or local."
        ),
    ] = None,
    json: Json = False,
    quiet: QuietOnFaces = False,
) -> None:
    """Protect the faces of photos and clips; write NAME.veiled.jpg (or as the photo or clip) and the report
    NAME.veiled.json.

    A result that is there, made of the same photo in the same way and not changed since, was done before and
    is left as it is; so is one made with other settings, with an error that names them. Work on a clip that
    was stopped goes on where it was.

    Exit code: 0 where all is protected; 3 where not, for reasons that the last line and the exit_because of
    --json name: "no face found" (in one of several photos or clips), "face left" (it is too small), "still
    recognised" (by a recogniser that was not used, as balanced mostly leaves it) or, of an album, "linked"
    (by such a one); 2 where a photo or clip could not be protected at all, has a result of other settings, or
    is the one that was asked for and shows nobody whom --only or --except protect; 130 where it was stopped.
    """
    from ...privacy.priors import PRIORS
    from ...privacy.settings import settings
    from .. import pipes, recognizers
    from ..endings import failed, fell_short
    from ..wording import CLIP_LIMITS, GOES_ON, LIMITS, ON_LIMITS

    if (goal == "impersonate") != (target is not None):
        raise BadSettings("--goal impersonate and --target belong together.", "Give both or neither.")
    if ray and album:
        raise BadSettings(
            "--album and --ray exclude each other.",
            "Each photo of an album is kept apart from those before it, so they cannot be shared out.",
        )
    if quality and format == "png":
        raise BadSettings("A PNG has no quality: it is exact.", "Leave --quality away.")
    used = recognizers.surrogates(surrogates, all_surrogates, leave_out)
    chosen = settings(
        strength,
        effort,
        surrogates=used,
        goal=goal,
        seed=seed,
        prior=PRIORS.check(prior),
        size=size,
        device=device,
    )
    from .. import beside, clips, cluster, face_words, records, references, workflow  # which load torch
    from ..outputs import Output, names_file, real, reserved

    piped = output == pipes.PIPE or (output is None and pipes.PIPE in photos)
    terminal = Terminal(json, quiet, to_stderr=piped, waits=album)  # for what is linked
    with ExitStack() as stack:
        stack.callback(terminal.release)
        lists = terminal.each(
            photos, lambda path: pipes.expanded(path, recursive, stack, terminal.note), pipes.name
        )
        named = [photo for photos in lists for photo in photos]
        todo = list({real(photo): photo for photo in reversed(named)}.values())[::-1]
        filmed = any(map(pipes.is_clip, todo))
        if piped and (json or len(todo) > 1 or filmed):
            raise BadSettings("A picture on standard output stands alone.", "Name one photo, without --json.")
        place = pipes.temporary(stack) if piped else output
        wanted = Output(place, format, quality, keep_metadata, force, crf, codec)
        stack.enter_context(wanted.ready(len(todo)))

        # the device of a cluster's workers is not here
        workflow.check_models(chosen.model_copy(update={"device": "cpu"}) if ray else chosen)
        aim, other = workflow.photo_and_face(target), workflow.photo_and_face(probe)
        meant, people = whom(faces, largest, only, spare), only or spare or ()
        taken = reserved(*todo, target, probe, *(me or ()), *people)
        several, alone = len(todo) > 1, len(todo) == 1 and todo == photos
        one_file = piped or (output and names_file(output)) or not any(map(os.path.isdir, photos))
        hint = way_out(meant) if one_file and not several else None
        workers = stack.enter_context(cluster.workers(ray, chosen)) if ray else None
        find = workers.search([path for path in todo if not pipes.is_clip(path)]) if workers else None
        common, earlier = records.origin(wanted, target, probe, album, me or ()), beside.Beside()

        def name(one: Any) -> str:
            return pipes.name(getattr(one, "source", one), photos)

        def prepare(path: Path) -> Any:
            if pipes.is_clip(path):
                how = chosen, people, probe, album, me or ()
                return clips.prepare(path, wanted, meant, taken, alone, *how)
            return workflow.prepare(path, wanted, meant, taken, alone, chosen, common, earlier, find)

        ready = terminal.each(todo, prepare, name)
        shown, against = known(me or (), album), other.frame if other else None
        if shown and album:
            with_earlier(terminal, shown, wanted, todo, taken)
            ready = terminal.each(ready, partial(reopened, shown), name)
        jobs = [job for job in ready if isinstance(job, workflow.Job)]
        arriving = workers.protect(jobs, chosen, aim, against, shown) if workers else None
        instead = "--largest" if largest else "--only" if only else "--except" if spare else ""
        told, ignored = list[Any](), list[tuple[str, str, str]]()

        def made(job: workflow.Job | clips.ClipJob) -> Any:
            """The record of what was made; of a clip, maybe why nothing was."""
            if isinstance(job, clips.ClipJob):
                return protect_clip(terminal, job, name(job), chosen, meant, other, shown, workers)
            if arriving:
                return terminal.follow(arriving(job), name(job))
            return terminal.follow(workflow.run(job, chosen, aim, against, shown), name(job))[1]

        def run(job: Any) -> tuple[records.Shortfall, ...]:
            notes, said = getattr(job, "notes", ()), job
            for note in notes:
                terminal.note(note)
            if isinstance(job, workflow.Done | clips.ClipDone):
                terminal.note(f"{name(job)} {job.why}: its result is left as it is.")
                said = job.said
            elif isinstance(job, workflow.Job | clips.ClipJob):
                said = made(job)
            if isinstance(said, workflow.PassedOver | clips.ClipPassedOver):
                left = left_as_it_is(said, name(job), face_words.by_number(instead, several))
                return passed_over(terminal, said, name(job), left, hint)
            for note in said.notes[len(notes) :]:
                terminal.note(note)
            way = face_words.by_number(instead, several, written=not piped)
            first = left_as_it_is(said, name(job) if quiet or several else "", way)
            if several:
                of = said.clip if isinstance(said, clips.ClipRecord) else said.photo
                ignored.extend((sentence, of, name(job)) for sentence in said.ignored)
            else:
                first += said.ignored
            short = said.shortfalls(fail_if_recognised, by_choice=bool(meant.numbers))
            tell_result(terminal, job, name(job), first, said, short)
            told.append(job)
            if piped and isinstance(job, workflow.Job):
                pipes.write(job.picture)
            return short

        try:
            done = terminal.each(ready, lambda job: (name(job), run(job)), name)
        except KeyboardInterrupt as stop:
            stop.args = (GOES_ON,) * (filmed or several and not force)
            raise
        together = tuple[tuple[str, ...], ...]()
        if shown and album:
            together = linked(terminal, shown, chosen.surrogates, fail_if_recognised, name)
            done += [(file, ("linked",)) for file in dict.fromkeys(chain(*together))]
    for sentence in references.summed_up(ignored, pipes.kind_of(todo)):
        terminal.warn(sentence)
    if told:
        anew = not all(isinstance(job, workflow.Done | clips.ClipDone) for job in told)
        limits = CLIP_LIMITS if any(pipes.is_clip(job.source) for job in told) else LIMITS
        terminal.end(limits if anew else ON_LIMITS)
    if terminal.failed or terminal.left:
        if (count := len(todo) + len(photos) - len(lists)) > 1:
            terminal.note(failed(terminal.failed, count, terminal.left), always=True)
        raise typer.Exit(2)
    if any(short for _, short in done):
        terminal.note(fell_short(done, fail_if_recognised, pipes.kind_of(todo), together), always=True)
        raise typer.Exit(FELL_SHORT)
