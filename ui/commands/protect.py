"""`veil protect`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import typer

from ...core.errors import BadSettings
from ..terminal import Json, QuietOnFaces, Terminal


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
    piped = output == pipes.PIPE or (output is None and pipes.PIPE in photos)
    terminal = Terminal(json, quiet, to_stderr=piped, waits=album)  # for what is linked
    with ExitStack() as stack:
        from ..outputs import Output, real  # which load torch, as all from here on

        stack.callback(terminal.release)
        lists = terminal.each(
            photos, lambda path: pipes.expanded(path, recursive, stack, terminal.note), pipes.name
        )
        every = [file for files in lists for file in files]
        todo = list({real(file): file for file in reversed(every)}.values())[::-1]
        if piped and (json or len(todo) > 1 or any(map(pipes.is_clip, todo))):
            raise BadSettings("A picture on standard output stands alone.", "Name one photo, without --json.")
        place = pipes.temporary(stack) if piped else output
        wanted = Output(place, format, quality, keep_metadata, force, crf, codec)
        stack.enter_context(wanted.ready(len(todo)))

        from .. import cluster, workflow
        from .batch import Asked, Batch
        from .people import whom

        # the device of a cluster's workers is not here
        workflow.check_models(chosen.model_copy(update={"device": "cpu"}) if ray else chosen)
        asked = Asked(
            settings=chosen,
            output=wanted,
            whom=whom(faces, largest, only, spare),
            instead="--largest" if largest else "--only" if only else "--except" if spare else "",
            people=only or spare or (),
            references=me or (),
            target=target,
            probe=probe,
            album=album,
            strict=fail_if_recognised,
        )
        workers = stack.enter_context(cluster.workers(ray, chosen)) if ray else None
        batch = Batch(terminal, photos, todo, asked, workers)
        batch.run()
    batch.end(len(todo) + len(photos) - len(lists))
