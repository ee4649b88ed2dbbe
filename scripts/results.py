"""Write the figures of README.md, SECURITY.md, docs/ and benchmarks/README.md anew from the tables.

    python scripts/results.py [--check]

What stands between `<!-- results:NAME -->` and `<!-- /results -->` is made here, so that no figure is typed
by hand: NAME is one of `BLOCKS`, or each/COLUMN (one of `COLUMNS`, all strengths in a line). With --check
nothing is written, and the exit code is 1 where a file would change.
"""

from __future__ import annotations

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from veil.eval.bootstrap import Interval, mean, rate
from veil.eval.trackers import TRACKERS
from veil.privacy.settings import Settings

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "benchmarks"
MARKED = re.compile(r"(<!-- results:([\w/-]+) -->)(.*?)(<!-- /results -->)", re.DOTALL)

ROUND = {"strengths": 16, "methods": 10}  # in which blind round the pictures of a run were rated
VERSION = {  # what a method is called there, where otherwise
    "strengths": {name: f"{name}-100" for name in ("subtle", "balanced", "strong")},
    "methods": {"balanced": "balanced-1.7"},
}
ASKED = {  # what rounds call pictures of a strength, by today's engine and on its own, and what they are
    "subtle": {"subtle": "", "subtle-100": "the machines' pictures"},
    "balanced": {
        "ceiling-1.7-steps-60": "tuning people",
        "balanced": "ceiling 2.0",
        "balanced-1.7": "",
        "balanced-100": "the machines' pictures",
        "balanced-pair": "their other photos",
        "clip-balanced": "frames of clips",
        "lfw-balanced": "people of `lfw`",
    },
}
CHOOSING = (6, 7)  # the rounds by which the ceilings were chosen
LOOKED_CLOSELY = 11  # the round whose viewers were told to look closely at nose, eyes, brows, mouth and skin
SCALES = ("likeness", "naturalness")
CONTROL = "jpeg-90"  # the original, saved again: what viewers say of no change
STRENGTHS = ("subtle", "balanced", "strong")
NAMES = {
    "balanced": "`balanced`",
    "subtle": "`subtle`",
    "strong": "`strong`",
    "veil": "veil",
    "full": "the engine as it is",
    "paper": "the paper's setting",
    "depth-0": "no denoising",
    "depth-0-balanced": "`balanced` without denoising",
    "depth-0-strong": "`strong` without denoising",
    "reconstruction": "through the prior, without an attack",
    "identity": "unprotected",
}

Cell = Callable[[str, str], str]  # of a run and a method


# Reading


@cache
def read(run: str, name: str) -> pd.DataFrame:
    """A table of a run; empty where the run has none of that name."""
    path = RUNS / run / f"{name}.csv"
    return pd.read_csv(path) if path.is_file() else pd.DataFrame()


@cache
def manifest(run: str) -> dict[str, Any]:
    """What a run was made with."""
    return json.loads((RUNS / run / "manifest.json").read_text(encoding="utf-8"))


@cache
def ratings(number: int) -> pd.DataFrame:
    """What viewers said in one round."""
    return pd.read_csv(RUNS / "ratings" / f"round-{number}.csv", dtype={"photo": str})


def row(table: pd.DataFrame, **wanted: object) -> pd.Series | None:
    """The one row whose columns have these values, or none."""
    if not set(wanted) <= set(table.columns):
        return None
    found = table[np.logical_and.reduce([table[name] == value for name, value in wanted.items()])]
    return None if found.empty else found.iloc[0]


def methods(run: str) -> list[str]:
    """The methods of a run, in the order of its file."""
    return [method["name"] for method in manifest(run)["spec"]["methods"]]


# Writing


def whole(share: float) -> int:
    """A share in percent, halves rounded up."""
    return int(np.floor(100 * share + 0.5 + 1e-9))


def percent(found: Interval) -> str:
    """A rate with its 95 % interval."""
    return f"{whole(found.value)} % [{whole(found.low)}, {whole(found.high)}]"


def decimal(found: Interval, digits: int) -> str:
    """A mean with its 95 % interval."""
    return "{:.{d}f} [{:.{d}f}, {:.{d}f}]".format(*found[:3], d=digits)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, without columns that say nothing."""
    every = [list(cells) for cells in rows]
    kept = [n for n in range(len(head)) if any(cells[n] != "-" for cells in every)]
    lines = [[head[n] for n in kept], ["---"] * len(kept), *([cells[n] for n in kept] for cells in every)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def listed(words: Sequence[str]) -> str:
    """Words as code, with commas."""
    return ", ".join(f"`{word}`" for word in words)


# Cells: machines


def interval(found: pd.Series | None, column: str = "rate") -> Interval | None:
    """A value and its interval out of a row."""
    if found is None or column not in found or pd.isna(found[column]):
        return None
    prefix = "" if column == "rate" else f"{column} "
    return Interval(*(float(found[name]) for name in (column, f"{prefix}low", f"{prefix}high")))


def rated_by_machines(name: str, recognizer: str, disturbance: str, run: str, method: str) -> str:
    """How often a recogniser is escaped after a disturbance."""
    found = row(read(run, name), method=method, recognizer=recognizer, disturbance=disturbance)
    value = interval(found)
    return percent(value) if value else "-"


def at_a_glance(column: str, run: str, method: str) -> str:
    """A rate of the headline."""
    value = interval(row(read(run, "headline"), method=method), column)
    return percent(value) if value else "-"


def measured(column: str, digits: int, run: str, method: str) -> str:
    """A mean of a measure: of the headline with its interval, else of the table of quality."""
    value = interval(row(read(run, "headline"), method=method), column)
    if value:
        return decimal(value, digits)
    found = row(read(run, "quality"), method=method)
    return "-" if found is None or column not in found else f"{found[column]:.{digits}f}"


def nearer(run: str, method: str) -> str:
    """By how much the left-out recogniser's cosine is above that of a run's first method, by person."""
    value = interval(row(read(run, "compared"), method=method, **{"with": methods(run)[0]}), "cosine")
    return decimal(value, 2) if value else "-"


def worst(rates: pd.DataFrame, column: str = "rate", **wanted: str) -> str:
    """The recogniser that is escaped the least often without a disturbance; how many, where several are."""
    some = rates[(rates.disturbance == "none") & (rates.recognizer != "all")]
    for name, value in wanted.items():
        some = some[some[name] == value]
    if some.empty:
        return "-"
    least = some[some[column] == some[column].min()]
    who = listed(list(least.recognizer)) if len(least) < 3 else f"{len(least)} of {len(some)}"
    value = interval(least.iloc[0], column)
    return f"{percent(value)} ({who})" if value else "-"


# Cells: people


def answers(run: str, method: str) -> pd.DataFrame:
    """The ratings of a method's pictures; empty where nobody was asked."""
    if run not in ROUND:
        return pd.DataFrame()
    every = ratings(ROUND[run])
    return every[every.version == VERSION[run].get(method, method)]


def said_yes(scale: str, run: str, method: str) -> str:
    """How many ratings are 4 or 5 of 5."""
    some = answers(run, method)
    return "-" if some.empty else percent(rate(some[scale] >= 4, list(some.photo)))


def said(scale: str, run: str, method: str) -> str:
    """The mean rating."""
    some = answers(run, method)
    return "-" if some.empty else decimal(mean(some[scale], list(some.photo)), 1)


COLUMNS: dict[str, tuple[str, Cell]] = {
    "same-person": ("people: same person (rated 4 or 5 of 5)", partial(said_yes, "likeness")),
    "untouched": ("people: looks untouched (rated 4 or 5)", partial(said_yes, "naturalness")),
    "likeness-rated": ("likeness rated", partial(said, "likeness")),
    "naturalness-rated": ("naturalness rated", partial(said, "naturalness")),
    "other": (
        "machines: another photo of you not matched",
        partial(rated_by_machines, "rates", "all", "none"),
    ),
    "worst": ("the worst recogniser", lambda run, method: worst(read(run, "rates"), method=method)),
    "other-strict": ("at FAR 0.1 %", partial(at_a_glance, "other_far01")),
    "same": ("the same photo not matched", partial(rated_by_machines, "same_photo", "all", "none")),
    "jpeg": ("another photo, after JPEG 75", partial(rated_by_machines, "rates", "all", "jpeg-75")),
    "likeness": ("`likeness` measured", partial(measured, "likeness", 3)),
    "naturalness": ("`naturalness` measured", partial(measured, "naturalness", 3)),
    "psnr": ("PSNR, dB", partial(measured, "psnr", 1)),
    "ssim": ("SSIM", partial(measured, "ssim", 3)),
    "landmarks": ("468 landmarks moved by, in eye distances", partial(measured, "landmarks", 4)),
    "expression": ("same expression read", partial(measured, "expression", 3)),
    "seconds": ("seconds a face, one thread", partial(measured, "seconds", 0)),
    "nearer": ("cosine to the other photo above the engine's by", nearer),
}


def compared(run: str, names: Sequence[str], columns: Sequence[str], first: str = "", **titles: str) -> str:
    """A row for each method of a run, a column for each of `columns`; `titles` are other words for them."""
    head = [first or "method", *(titles.get(column, COLUMNS[column][0]) for column in columns)]
    cells = (
        [NAMES.get(name, f"`{name}`"), *(COLUMNS[column][1](run, name) for column in columns)]
        for name in names
        if row(read(run, "rates"), method=name) is not None
    )
    return table(head, cells)


def each(column: str) -> str:
    """One figure of all strengths, in a line."""
    return "; ".join(f"`{name}` {COLUMNS[column][1]('strengths', name)}" for name in STRENGTHS)


# Blocks


def setting(run: str, name: str) -> Any:
    """A setting of a run's first method."""
    first = methods(run)[0]
    return next(
        (one.get(name) for key, one in manifest(run)["settings"].items() if key.startswith(f"{first},")), None
    )


def counts(run: str, method: str) -> tuple[int, str]:
    """How many people a method was measured on, and how many of them beside each recogniser."""
    rates = read(run, "rates")
    some = rates[(rates.method == method) & (rates.disturbance == "none")]
    each_one = some[some.recognizer != "all"].n
    low, high = int(each_one.min()), int(each_one.max())
    turns = manifest(run)["spec"]["leave_out"] == "turns"  # else everybody is attacked once for each
    people = int(some[some.recognizer == "all"].n.sum()) if turns else high
    return people, f"{low}" if low == high else f"{low} to {high}"


def warned(run: str) -> str:
    """The warning of a run whose veil had not the settings of `strengths`; else nothing."""
    if manifest(run)["spec"]["methods"][0]["method"] != "veil":
        return ""
    now = "strengths"
    old = [
        f"{name} {setting(run, name)}, not {setting(now, name)}"
        for name in ("steps", "ceiling")
        if setting(run, name) != setting(now, name)
    ]
    return f"**Made with other settings than today's** ({'; '.join(old)}). " if old else ""


def about(run: str) -> str:
    """Who was measured, and by what: the line above a table."""
    spec = manifest(run)["spec"]
    people, size = counts(run, methods(run)[0])
    how = "in turn" if spec["leave_out"] == "turns" else "once for each person"
    return (
        f"{warned(run)}{people} people of `{spec['dataset']}`, seed {', '.join(map(str, spec['seeds']))}, "
        f"FAR 1 % where nothing else is said. Each of {listed(spec['judges'])} is left out of the attack "
        f"{how}, with its kin, and then asked (n = {size} each). {controls(run)} "
        f"All tables: [{run}](../benchmarks/{run}/report.md)."
    )


def controls(run: str) -> str:
    """What recognisers say of unprotected photos, and of those that only went through the prior."""
    rates, spec, parts = read(run, "rates"), manifest(run)["spec"], list[str]()
    for method, words in (("identity", "photos as they were"), ("reconstruction", NAMES["reconstruction"])):
        found = interval(row(rates, method=method, recognizer="all", disturbance="none"))
        strict = interval(row(read(run, "headline"), method=method), "other_far01")
        if found:
            at = f", at FAR 0.1 % {whole(strict.value)} %" if strict else ""
            parts.append(f"{words} {whole(found.value)} %{at}")
    goal = "taken for the target" if spec["goal"] == "impersonate" else "not matched"
    chosen = " (the first by construction: only people whom every judge knows there were taken)"
    text = f"The same rates ({goal}) without protection: {'; '.join(parts)}"
    return f"{text}{chosen if spec['only_recognised'] else ''}."


def clean(run: str, column: str) -> str:
    """How often unprotected photos are not matched."""
    value = interval(row(read(run, "headline"), method="identity"), column)
    return "-" if value is None else f"{whole(value.value)} %"


def note() -> str:
    """Who stands behind the table of strengths, in short."""
    people, size = counts("strengths", "balanced")
    asked = ratings(ROUND["strengths"])
    return (
        f"Held-out photos; 95 % intervals over people. Machines: {people} people; each of "
        f"{len(manifest('strengths')['spec']['judges'])} recognisers was left out of the attack in turn, "
        f"then asked ({size} people each), at FAR 1 %. People: {asked.photo.nunique()} photos, rated blind "
        f"by {viewers(asked)} instances of a vision-language model each. In a second run of the same people "
        f"`balanced` came to {rated_by_machines('rates', 'all', 'none', 'album', 'balanced')}, the worst "
        f"recogniser to {worst(read('album', 'rates'), method='balanced')}."
    )


def speed() -> str:
    """What a face costs beside the paper's setting, in one run, by the strength of its likeness."""
    table = read("methods", "quality").set_index("method")
    ours = table.loc[[name for name in STRENGTHS if name in table.index]]
    paper = table.loc["paper"]
    name = (ours["likeness"] - paper["likeness"]).abs().idxmin()
    row = ours.loc[name]
    times = row["seconds"] / paper["seconds"]
    return (
        f"In one run, one thread a face: `{name}` takes {times:.1f} times as long as the paper's setting at "
        f"equal likeness ({row['likeness']:.3f} and {paper['likeness']:.3f})."
    )


def footnote() -> str:
    """Who stands behind the table of strengths."""
    judges = manifest("strengths")["spec"]["judges"]
    people, size = counts("strengths", "balanced")
    asked = ratings(ROUND["strengths"])
    control = asked[asked.version == CONTROL]
    same, looks = (percent(rate(control[scale] >= 4, list(control.photo))) for scale in SCALES)
    return (
        "Held-out photos of CelebA-HQ, seed 0; in square brackets 95 % intervals over people. **Machines:** "
        f"{people} people; each of {len(judges)} recognisers ({listed(judges)}) is left out of the attack in "
        f"turn, with its kin, and then asked: {size} people each, so that the worst is a rough figure. FAR "
        "1 % where nothing else is said. Unprotected photos are not matched in "
        f"{clean('strengths', 'other_far1')}, by construction: only people of whom every judge matches them "
        f"were taken; at FAR 0.1 % in {clean('strengths', 'other_far01')}. "
        f"**People:** {asked.photo.nunique()} photos, rated blind beside the photo before by "
        f"{viewers(asked)} instances of a vision-language model each; {agreed('likeness')} of pairs of them "
        f"gave the same number. The photo itself, saved again as JPEG 90, gets {same} and "
        f"{looks}."
    )


def viewers(asked: pd.DataFrame) -> int:
    """How many viewers saw one picture."""
    return int(asked.groupby(["photo", "version"]).size().max())


def agreed(scale: str) -> str:
    """How often two viewers of one changed picture gave the same number."""
    asked = ratings(ROUND["strengths"])
    groups = asked[asked.version != CONTROL].groupby(["photo", "version"])[scale]
    same = [a == b for _, group in groups for a, b in combinations(group, 2)]
    return f"{whole(float(np.mean(same)))} %" if same else "-"


def recognizers() -> str:
    """Each strength beside each recogniser that it was not made against; and once more in a later run."""
    judges = manifest("strengths")["spec"]["judges"]
    runs = [("strengths", name) for name in STRENGTHS] + [("album", name) for name in STRENGTHS[1:]]
    cells = (
        [f"`{one}`", *(rated_by_machines("rates", one, "none", run, name) for run, name in runs)]
        for one in judges
    )
    head = [f"`{name}`" + (", run `album`" if run == "album" else "") for run, name in runs]
    return table(["another photo not matched by", *head], cells)


def disturbances() -> str:
    """What is left after each disturbance, and what it does to unprotected photos."""
    names = [*STRENGTHS, "identity"]
    cells = (
        [f"`{one}`", *(rated_by_machines("rates", "all", one, "strengths", name) for name in names)]
        for one in manifest("strengths")["spec"]["disturbances"]
    )
    return table(["after", *(NAMES[name] for name in names)], cells)


def groups() -> str:
    """Who is protected how well."""
    every = read("groups", "groups")
    some = every[every.method == methods("groups")[0]]
    cells = (
        [f"{one.label}: {one.group}", rated, f"{one.psnr:.1f}", f"{one.n}"]
        for one in some.itertuples()
        for rated in [percent(Interval(one.rate, one.low, one.high))]
    )
    name = methods("groups")[0]
    everybody = rated_by_machines("rates", "all", "none", "groups", name)
    least = worst(read("groups", "rates"), method=name)
    there = rated_by_machines("same_photo", "all", "none", "strengths", name)
    boxes = (row(read(run, "quality"), method=name) for run in ("groups", "strengths"))
    here, other = (f"{one.face_psnr:.1f} dB" for one in boxes if one is not None)
    text = (
        f"Everybody: {everybody}, the worst recogniser {least}; in `strengths` {there}. PSNR in the face's "
        f"box: {here}; there {other}."
    )
    return f"{text}\n\n{table(['group', 'the same photo not matched', 'PSNR, dB', 'n'], cells)}"


def pairings() -> str:
    """Whether two photos of one person, cloaked or not, are still taken for one person."""
    every = read("album", "pairings")
    if every.empty:
        return "`benchmarks/album.toml` was not run yet."
    cells = (
        [
            NAMES.get(one.method, f"`{one.method}`"),
            one.pairing,
            *(percent(value) if value else "-" for value in values),
            *(decimal(value, 3) if value else "-" for value in seen),
        ]
        for _, one in every[(every.recognizer == "all") & (every.disturbance == "none")].iterrows()
        for values in [[interval(one, column) for column in ("far1", "far01", "rank-1", "rank-5")]]
        for seen in [[interval(one, column) for column in ("likeness", "probe_likeness")]]
    )
    head = ["method", "pairing", "not matched", "at FAR 0.1 %", "found first", "among the first five"]
    return f"{about('album')}\n\n{table([*head, '`likeness` of the first', 'of the second'], cells)}"


def galleries() -> str:
    """How often somebody is the first that is found among ever more strangers, and how that was checked."""
    every, checked = read("album", "galleries"), read("album", "extrapolation")
    if every.empty:
        return "`benchmarks/album.toml` was not run with distractors yet."
    some = every[every.recognizer == "all"]
    sizes = sorted(some["size"].unique())
    cells = (
        [NAMES.get(method, f"`{method}`"), pairing, *(percent(value) if value else "-" for value in values)]
        for (method, pairing), part in some.groupby(["method", "pairing"], sort=False)
        for values in [[interval(row(part, size=size), "rank-1") for size in sizes]]
    )
    guessed = {*some[some.fitted > 0]["size"]}
    head = [f"{size:,}" + (" (extrapolated)" if size in guessed else "") for size in sizes]
    kinds = [f"{counts['used']} of `{name}`" for name, counts in manifest("album")["distractors"].items()]
    text = f"{about('album')} Distractors: {', '.join(kinds)}."
    if len(checked):
        part = checked[checked.recognizer == "all"]
        few, rest = part.fitted.iloc[0], part["size"].iloc[0]
        text += (
            f" Extrapolated from {few} of them, to the other {rest:,}, rates were off by "
            f"{100 * part.error.mean():.1f} points in the mean, {100 * part.error.max():.1f} at most, and by "
            f"{100 * (part.predicted - part.measured).mean():+.1f} on the whole."
        )
    return f"{text}\n\n{table(['method', 'pairing', *head], cells)}"


def unlinked(strength: str) -> str:
    """How many pairs of cloaked photos are not linked, without an album and with one."""
    every = read("album", "pairings")

    def said(method: str) -> str:
        about = {"method": method, "pairing": "cloaked-cloaked"}
        value = interval(row(every, recognizer="all", disturbance="none", **about), "far1")
        return f"{percent(value)}, the worst recogniser {worst(every, 'far1', **about)}" if value else "-"

    people = every[(every.method == strength) & (every.recognizer == "all")].n.max()
    return f"{said(strength)}; with `--album` {said(f'{strength}-album')} ({people} people)"


def large_albums() -> str:
    """What an album does with four photos of a person."""
    every = read("large-albums", "rates")
    if every.empty:
        return "`scripts/large_albums.py` was not run yet."
    every = every.assign(disturbance="none", way=every.album.map({False: "each alone", True: "an album"}))
    cells = list[list[str]]()
    for _, line in every[every.recognizer == "all"].iterrows():
        parts = [f"`{line.strength}`, {line.way}"]
        for column in ("unlinked", "first", "later"):
            value = interval(line, column)
            parts += [percent(value) if value else "-"]
            parts += [worst(every, column, strength=line.strength, way=line.way)]
        cells.append([*parts, f"{line.likeness:.3f}"])
    head = ["four photos", "two protected ones: not linked", "the worst recogniser"]
    head += ["the first and a clean one: not matched", "the worst recogniser"]
    head += ["a later one and a clean one: not matched", "the worst recogniser", "`likeness`"]
    made = manifest("large-albums")
    people = f"{made['people']} people of `lfw`, effort {made['effort']}, seed 0, FAR 1 %."
    return f"{people}\n\n{table(head, cells)}"


def references() -> str:
    """What other photos of a person, known to the engine, change of the match with one that it has not seen
    and with one that it has; and of what is seen."""
    every = read("references", "rates").assign(disturbance="none")
    if every.empty:
        return "`scripts/references.py` was not run yet."
    cells = list[list[str]]()
    for _, line in every[every.recognizer == "all"].sort_values(["strength", "references"]).iterrows():
        parts = [f"`{line.strength}`", str(line.references)]
        some = every[every.references == line.references]
        for photo in ("unseen", "second"):
            hidden, change = interval(line, photo), interval(line, f"{photo} change")
            parts += [percent(hidden) if hidden else "-", worst(some, photo, strength=line.strength)]
            parts += [f"{line[f'{photo} above']:+.2f}"]
            parts += [decimal(change, 2) if change and line.references else "-"]
        cells.append([*parts, f"{line.likeness:.4f}", f"{line.naturalness:.3f}"])
    head = ["strength", "references", "a photo that nobody has seen: not matched", "the worst recogniser"]
    head += ["above the threshold", "changed by", "the first reference itself: not matched"]
    head += ["the worst recogniser", "above the threshold", "changed by", "`likeness`", "`naturalness`"]
    rows = read("references", "rows")
    missed = whole(float((rows[rows.references == 0].unseen_before <= 0).mean()))
    people = (
        f"{manifest('references')['people']} people of `lfw`, effort normal, seed 0, FAR 1 %. Unprotected, "
        f"the photo that nobody has seen is not matched in {missed} %."
    )
    return f"{people}\n\n{table(head, cells)}"


def found_first(strength: str) -> str:
    """How often a cloaked photo finds the other first among the strangers at hand, alone and in an album."""
    every = read("album", "galleries")
    some = every[(every.pairing == "cloaked-cloaked") & (every.fitted == 0)]
    some = some[some["size"] == (largest := some["size"].max())]

    def said(method: str) -> str:
        part = some[some.method == method].set_index("recognizer")
        most = part["rank-1"].drop("all").idxmax()
        every_one, surest = (interval(part.loc[name], "rank-1") for name in ("all", most))
        return f"{percent(every_one)} (`{most}` {percent(surest)})" if every_one and surest else "-"

    alone, album = said(strength), said(f"{strength}-album")
    made_up = sum(
        kind["used"] for name, kind in manifest("album")["distractors"].items() if name.startswith("prior")
    )
    return f"among {largest:,} strangers, {made_up} of them made up, {alone}, with `--album` {album}"


def purified() -> str:
    """What a trained purifier leaves of `strong`, and from how many photos it learnt."""
    every = read("trackers", "rates")
    some = every[(every["of"] == "strengths") & (every["query"] == "strong")]
    before, after = (row(some, tracker=name, judge="all") for name in ("template", "purifier"))
    assert before is not None
    assert after is not None
    shares = (interval(found) for found in (before, after))
    first, left = (percent(share) for share in shares if share)
    least = worst(by_recognizer(some), tracker="purifier")
    minutes = read("trackers", "learning").query("stage == 'purifier'").seconds.iloc[-1] / 60
    return (
        f"from {first} to {left}, by the worst recogniser to {least} ({after['others']} cloaked photos to "
        f"learn from, {minutes:.0f} minutes)"
    )


def by_recognizer(rates: pd.DataFrame) -> pd.DataFrame:
    """A table of trackers, with the columns that those of benchmarks have."""
    return rates.assign(disturbance="none", recognizer=rates.judge)


NOT_TRACKED = "`scripts/trackers.py` was not run yet."


def trackers(of: str) -> str:
    """What trackers leave of the cloaks of a benchmark's people, of whom they know one clean photo."""
    every = read("trackers", "rates")
    some = every[every["of"] == of] if len(every) else every
    if some.empty:
        return NOT_TRACKED
    kinds = [kind for kind in some["query"].unique() if kind != "clean"]

    def cell(name: str, query: str, judge: str) -> str:
        value = interval(row(some, tracker=name, query=query, judge=judge))
        return percent(value) if value else "-"

    cells = (
        [
            TRACKERS.entry(name).does,
            *(cell(name, kind, "all") for kind in kinds),
            worst(by_recognizer(some), tracker=name, query=kinds[0]),
            cell(name, "clean", "all"),
            f"{some[some.tracker == name].others.max()}",
            f"{some[some.tracker == name].seconds.max():.2f}",
        ]
        for name in some.tracker.unique()
    )
    first = NAMES.get(kinds[0], f"`{kinds[0]}`")
    head = [
        "what the tracker does",
        *(NAMES.get(kind, f"`{kind}`") for kind in kinds),
        f"{first}, by the worst recogniser",
    ]
    people, each = (some[asked].n.max() for asked in (some.judge == "all", some.judge != "all"))
    scores = each * (1 + len(kinds)) * (people - 1)
    costs = ["clean photos rejected", "cloaked photos of others it learnt from", "seconds a photo"]
    text = f"{warned(of)}{people} people. A threshold is what 1 % of {scores:,} scores of others exceed."
    return f"{text}\n\n{table([*head, *costs], cells)}"


def tracked_albums() -> str:
    """What trackers who have several photos of a person leave of a cloak."""
    every = read("trackers", "rates")
    some = every[every["of"].isin(["lfw", "lfw, one photo"])] if len(every) else every
    if some.empty:
        return NOT_TRACKED
    cells = list[list[str]]()
    for about, part in some.groupby(
        ["of", "strength", "tracker", "album", "cloaked", "passing", "cloaks"], sort=False
    ):
        _, strength, name, album, cloaked, passing, cloaks = about
        values = [interval(row(part, query=kind)) for kind in (strength, "clean")]
        counts = [str(count) for count in (album, cloaked, passing, cloaks)]
        shown = [percent(value) if value else "-" for value in values]
        cells.append([f"`{strength}`", TRACKERS.entry(name).does, *counts, *shown, str(part.n.max())])
    counts = ["photos in the album", "cloaked ones", "cloaked photos that passed by", "cloaks of the query"]
    head = [
        "strength",
        "what the tracker does",
        *counts,
        "cloaked query rejected",
        "clean query rejected",
        "queries",
    ]
    return table(head, cells)


def detector() -> str:
    """How well a trained detector tells cloaked photos from clean ones."""
    every = read("trackers", "detector")
    if every.empty:
        return NOT_TRACKED
    shown = {"none": "as they are", "jpeg-75": "after JPEG 75"}
    cells = (
        [NAMES[strength], *(_area(every, strength, disturbance) for disturbance in shown)]
        for strength in STRENGTHS
    )
    learnt = read("trackers", "learning").query("stage == 'detector'").pairs.iloc[-1]
    text = f"It learnt from {learnt:.0f} cloaked photos: of {cloaked()}, each tenth person was held out."
    return f"{text}\n\n{table(['strength', *shown.values()], cells)}"


def cloaked() -> str:
    """How many cloaks of each strength were made to learn from."""
    made = manifest("trackers")["cloaked_to_learn_from"]
    return " and ".join(f"{count} at `{name}`" for name, count in sorted(made.items(), reverse=True))


def detected() -> str:
    """How well it does so without JPEG."""
    every = read("trackers", "detector")
    areas = ", ".join(f"{_area(every, name, 'none')} at `{name}`" for name in ("strong", "balanced"))
    return f"{areas}, learnt from {cloaked()}"


def _area(every: pd.DataFrame, strength: str, disturbance: str) -> str:
    value = interval(row(every, strength=strength, disturbance=disturbance))
    return decimal(value, 2) if value else "-"


def learning() -> str:
    """How the adversaries learnt: figures on people of the training photos who were held out."""
    every = read("trackers", "learning")
    if every.empty:
        return NOT_TRACKED
    some = every[every.stage == "purifier"]
    picked = some.iloc[np.unique(np.linspace(0, len(some) - 1, 8).round().astype(int))]
    cells = (
        [f"{one.step:.0f}", f"{one.pairs:.0f}", f"{one.loss:.3f}", f"{one.left:.2f}", f"{one.cloaked:.2f}",
         f"{one.purified:.2f}"]
        for one in picked.itertuples()
    )  # fmt: skip
    head = ["step", "pairs", "loss", "left of the change", "cosine when cloaked", "when purified"]
    return table(head, cells)


ENCODED = ("none", "crf-28")  # of the encodings of clips, those that are shown for each
MACHINES = ("other", "worst", "other-strict", "same", "jpeg")
MEASURED = ("likeness", "naturalness", "psnr", "ssim")


def references_rated() -> str:
    """What viewers say of photos that were protected with other photos of the person, and without."""
    said, words = ratings(15), list[str]()
    for version, name in (("lfw-balanced", "alone"), ("lfw-references", "with two references")):
        part = said[said.version == version]
        people = part.photo.tolist()
        alike, natural = (decimal(mean(part[scale], people), 1) for scale in SCALES)
        share = percent(rate(part[SCALES[0]] >= 4, people))
        words.append(f"{name} {alike} ({share} the same person) and {natural}")
    return f"{'; '.join(words)} ({said.photo.nunique()} people, two viewers a picture)"


def clips_rated() -> str:
    """What viewers say of frames of clips."""
    said, words = ratings(14), list[str]()
    for version in ("clip-balanced", "clip-strong", "jpeg-90"):
        part = said[said.version == version]
        clip = part.photo.str[:-2].tolist()  # two frames of each
        alike, natural = (percent(rate(part[scale] >= 4, clip)) for scale in SCALES)
        words.append(f"`{version.removeprefix('clip-')}` {alike} and {natural} ({len(part)} frames)")
    return "; ".join(words)


def clips() -> str:
    """Who is hidden in every picture of a clip, by method and encoding."""
    made = read("video", "headline")
    cells = (
        [
            NAMES.get(one["method"], f"`{one['method']}`"),
            f"`{one['encoding']}`",
            *(cell_of(one, name) for name in ("rejected", "rejected by the mean", "matched")),
            f"{100 * one['cost']:+.0f}" if one["encoding"] != "none" else "-",
            f"{cell_of(one, 'worst rejected')} (`{one['worst']}`)",
            f"{one['clips']}",
        ]
        for _, one in made.iterrows()
    )
    head = ["method", "encoding", "no picture matched", "mean of all not matched", "pictures matched"]
    return table([*head, "points more than without", "the worst recogniser", "clips"], cells)


def clips_each() -> str:
    """What recognisers that were left out make of each clip, how it flickers and looks, and what it cost."""
    made, matches = read("video", "clips"), read("video", "matches")
    asked = matches[(matches["used_by_attack"] == "no") & (matches["against"] == "the other half")]
    cells = list[list[str]]()
    for _, one in made[made["error"].isna()].iterrows():
        of = {name: one[name] for name in ("clip", "method", "left_out")}
        seen = {name: row(asked, encoding=name, recognizer=one["left_out"], **of) for name in ENCODED}
        first = seen["none"]
        best = "-" if first is None else f"{first['best']:.2f} ({first['threshold']:.2f})"
        cells.append(
            [
                *(f"`{one[name]}`" for name in ("clip", "method", "left_out")),
                *("-" if each is None else f"{whole(each['after'])} %" for each in seen.values()),
                best,
                *(number(one.get(name), 3) for name in ("likeness", "naturalness")),
                number(one["flicker_ratio"], 2),
                number(one["solve_seconds"], 0),
                number(1000 * (one["follow_seconds_a_frame"] + one["render_seconds_a_frame"]), 0),
                number(one.get("memory_gb"), 1),
            ]
        )
    head = [
        *("clip", "method", "asked", "pictures matched", "after CRF 28", "most like (threshold)"),
        *("likeness", "naturalness", "flicker, of the clip's own", "seconds a change"),
        *("thousandths a picture", "GB"),
    ]
    return table(head, cells)


def clips_kept() -> str:
    """What is still expressed in clips, beside clips that were only encoded, for each method."""
    every = read("video", "kept")
    if every.empty:
        return "Not measured yet."
    by = {name: part.set_index(["aspect", "figure"]) for name, part in every.groupby("method", sort=False)}
    first = next(iter(by.values()))
    cells = (
        [
            f"{place[0]}: {place[1]}",
            "" if pd.isna(one["unit"]) else one["unit"],
            number(one["control"], 3),
            *(
                f"{number(part.loc[place, 'value'], 3)} ({share(part.loc[place, 'kept'])})"
                for part in by.values()
            ),
        ]
        for place, one in first.iterrows()
        if one["n"]
    )
    return table(["figure", "unit", "only encoded", *(f"`{name}` (kept)" for name in by)], cells)


def clips_hidden(method: str) -> str:
    """In how many clips a method hides the person in every picture, and how many pictures are matched."""
    one = row(read("video", "headline"), method=method, encoding="none")
    if one is None:
        return "-"
    made, least = read("video", "clips"), ""
    if one["rejected"]:
        asked = len(made[(made.method == method) & (made.left_out == one["worst"])])
        least = f"; the worst recogniser {cell_of(one, 'worst rejected')}, `{one['worst']}`, {asked} clip"
        least += "" if asked == 1 else "s"
    return (
        f"{cell_of(one, 'rejected')} of {one['clips']} clips ({cell_of(one, 'matched')} of pictures "
        f"matched{least})"
    )


def cell_of(one: pd.Series, column: str) -> str:
    """A rate out of a row of a table of clips, with its interval."""
    return percent(Interval(*(float(one[name]) for name in (column, f"{column} low", f"{column} high"))))


def number(value: Any, digits: int) -> str:
    """A number, where there is one."""
    return "-" if value is None or pd.isna(value) else f"{value:.{digits}f}"


def share(value: Any) -> str:
    """A share in percent, where there is one."""
    return "-" if pd.isna(value) else f"{whole(float(value))} %"


def person(photo: str) -> str:
    """Whom a rated photo shows: a number of `celebahq_pairs`, or a name with its dataset; a clip's frames are
    of one."""
    return photo[:-2] if photo.startswith("clip/") else photo.removeprefix("b/")


def people_in(said: pd.DataFrame) -> set[str]:
    """Who was rated."""
    return {person(photo) for photo in said.photo}


def choosing() -> set[str]:
    """The people by whose pictures the ceilings were chosen."""
    return set[str]().union(*(people_in(ratings(number)) for number in CHOOSING))


def rounds_of(strength: str) -> list[tuple[int, str, pd.DataFrame]]:
    """The number of a round, what its pictures were, and what viewers said of a strength in it."""
    found = list[tuple[int, str, pd.DataFrame]]()
    for number in sorted(int(path.stem[6:]) for path in (RUNS / "ratings").glob("round-*.csv")):
        for version, words in ASKED[strength].items():
            some = ratings(number)[ratings(number).version == version]
            if len(some):
                found.append((number, words, some))
    return found


def both_scales(some: pd.DataFrame) -> tuple[Interval, Interval]:
    """How many call the pictures the same person, and untouched: 4 or 5 of 5."""
    people = [person(photo) for photo in some.photo]
    same, looks = (rate(some[scale] >= 4, people) for scale in SCALES)
    return same, looks


def other_rounds() -> list[tuple[int, str, pd.DataFrame]]:
    """What viewers said of `balanced` at today's ceiling in rounds that the table does not show."""
    shown = ROUND["strengths"], VERSION["strengths"].get("balanced", "balanced")
    found = [
        (number, words, some)
        for number, words, some in rounds_of("balanced")
        if (number, some.version.iloc[0]) != shown and words != ASKED["balanced"]["balanced"]
    ]
    return sorted(found, key=lambda one: both_scales(one[2])[0].value)


def asked_again() -> str:
    """In a line those of people who had chosen nothing, and of the others from how many to how many."""
    old, new = list[tuple[Interval, Interval]](), list[str]()
    for number, words, some in other_rounds():
        closely = "told to look closely" if number == LOOKED_CLOSELY else ""
        about = ", ".join(filter(None, (f"round {number}", words, closely)))
        same, looks = both_scales(some)
        people = people_in(some)
        if 2 * len(people & choosing()) > len(people):
            old.append((same, looks))
        else:
            new.append(f"{percent(same)} and {percent(looks)} ({about})")
    low, high = (f"{whole(end(same.value for same, _ in old))} %" for end in (min, max))
    return (
        "`balanced` in other rounds, of people who had mostly chosen nothing (same person; untouched): "
        f"{'; '.join(new)}. Those by whose pictures its ceiling was chosen, which flatters: {low} to {high} "
        "the same person ([every round](docs/results.md#what-viewers-said-in-every-round))."
    )


def range_of_rounds() -> str:
    """From how many to how many call `balanced` the same person in them."""
    every = other_rounds()
    low, high = (percent(both_scales(some)[0]) for _, _, some in (every[0], every[-1]))
    rounds = len({number for number, *_ in every})
    return f"in {rounds} other rounds {low} (round {every[0][0]}) to {high} (round {every[-1][0]})"


def rated() -> str:
    """What viewers said of `subtle` and `balanced`, in every round."""
    chose, rows = choosing(), list[list[str]]()
    for strength in ASKED:
        for number, words, some in rounds_of(strength):
            every, people = ratings(number), people_in(some)
            beside = [one for one in every.version.unique() if one not in (some.version.iloc[0], CONTROL)]
            control = both_scales(every[every.version == CONTROL])
            rows.append(
                [
                    f"`{strength}`" + (f" ({words})" if words else ""),
                    f"{number}",
                    f"{len(people)}",
                    f"{len(people & chose)}",
                    f"{viewers(some)}",
                    *(percent(one) for one in both_scales(some)),
                    " and ".join(f"{whole(one.value)} %" for one in control),
                    listed(beside) or "nothing",
                ]
            )
    head = ["pictures", "round", "people", "of them in rounds 6 and 7", "viewers a picture", "same person"]
    return table([*head, "looks untouched", "JPEG 90 got", "beside it"], rows)


def runs() -> str:
    """By which command each table was made, of how many people, and how long the engine took."""
    rows = list[list[str]]()
    for file in sorted(RUNS.glob("*.toml")):
        told, spec = tomllib.loads(file.read_text(encoding="utf-8")), manifest(file.stem)["spec"]
        asked = spec.get("per_group") or spec["photos"]
        fewer = f" --photos {asked}" if asked != told.get("per_group", told.get("photos")) else ""
        command = f"`veil benchmark benchmarks/{file.name}{fewer}`"
        quality, clips = read(file.stem, "quality"), read(file.stem, "clips")
        if len(clips):
            each = clips.follow_seconds_a_frame + clips.render_seconds_a_frame
            seconds, people = (
                float((clips.solve_seconds + each * clips.frames).sum()),
                clips["clip"].nunique(),
            )
        else:
            people = len(manifest(file.stem)["photos"])
            seconds = quality[quality.method != "identity"].seconds.sum() * people
            seconds *= 2 if spec.get("pairings") else 1
        rows.append([command, f"{people}", f"{seconds / 3600:.1f}"])
    return table(["command", "people, or clips", "engine alone, hours of one thread"], rows)


def engine_settings() -> str:
    """Every field of `Settings`, as its schema describes it, by groups."""
    schema, group, rows = Settings.model_json_schema()["properties"], "", list[list[str]]()
    for name, field in schema.items():
        shown = Settings.model_fields[name].get_default(call_default_factory=True)
        words = [field["description"], *([f"({field['unit']})"] if "unit" in field else [])]
        first = "" if field["group"] == group else f"**{field['group']}**"
        value = ", ".join(map(str, shown)) if isinstance(shown, tuple) else str(shown)
        rows.append([first, f"`{name}`", value, " ".join(words), field.get("source", "")])
        group = field["group"]
    return table(["group", "setting", "default", "what it is", "source"], rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "large-albums": large_albums,
    "references": references,
    "references-rated": references_rated,
    "trackers": partial(trackers, "strengths"),
    "trackers-closest": partial(trackers, "closest"),
    "trackers-rival": partial(trackers, "rival"),
    "rival": lambda: rated_by_machines("rates", "all", "none", "rival", "tip-im+views"),
    "trackers-albums": tracked_albums,
    "trackers-learning": learning,
    "detector": detector,
    "detected": detected,
    "clips": clips,
    "clips-rated": clips_rated,
    "clips-each": clips_each,
    "clips-kept": clips_kept,
    "clips/balanced": partial(clips_hidden, "balanced"),
    "clips/strong": partial(clips_hidden, "strong"),
    "settings": engine_settings,
    "strengths": lambda: compared(
        "strengths", STRENGTHS, ("same-person", "untouched", *MACHINES), first="strength"
    ),
    "strengths-note": note,
    "speed": speed,
    "asked-again": asked_again,
    "rated": rated,
    "rounds/balanced": range_of_rounds,
    "runs": runs,
    "strengths-footnote": footnote,
    "strengths-about": lambda: about("strengths"),
    "recognizers": recognizers,
    "disturbances": disturbances,
    "measured": lambda: compared(
        "strengths", [*STRENGTHS, "reconstruction"],
        ("likeness-rated", "naturalness-rated", *MEASURED, "landmarks", "expression", "seconds"),
    ),
    "methods-about": lambda: about("methods"),
    "methods": lambda: compared(
        "methods", [name for name in methods("methods") if name != "reconstruction"],
        ("likeness-rated", "naturalness-rated", *MACHINES, *MEASURED),
    ),
    "closest-about": lambda: about("closest"),
    "closest": lambda: compared("closest", methods("closest"), (*MACHINES, *MEASURED)),
    "ablation-about": lambda: about("ablation"),
    "ablation": lambda: compared(
        "ablation", methods("ablation"), (*MEASURED, *MACHINES, "nearer", "seconds")
    ),
    "impersonation-about": lambda: about("impersonation"),
    "impersonation": lambda: compared(
        "impersonation", methods("impersonation"), ("other", "worst", "jpeg", *MEASURED),
        other="taken for the target", jpeg="taken for the target, after JPEG 75",
    ),
    "pairings": pairings,
    "galleries": galleries,
    "unlinked/strong": partial(unlinked, "strong"),
    "unlinked/balanced": partial(unlinked, "balanced"),
    "found-first/strong": partial(found_first, "strong"),
    "purified": purified,
    "groups-about": lambda: about("groups"),
    "groups": groups,
}  # fmt: skip


def block(name: str) -> str:
    """The text of a block.

    Raises:
        KeyError: there is no block of this name.
    """
    return each(name.removeprefix("each/")) if name.startswith("each/") else BLOCKS[name]()


def rewritten(text: str) -> str:
    """A document with its blocks made anew, on lines of their own where they stood so."""

    def fresh(found: re.Match[str]) -> str:
        begin, name, old, end = found.groups()
        return f"{begin}\n\n{block(name)}\n\n{end}" if "\n" in old else begin + block(name) + end

    return MARKED.sub(fresh, text)


def documents() -> list[Path]:
    """Every document that may hold figures."""
    first = [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "benchmarks" / "README.md"]
    return [*first, *sorted((ROOT / "docs").rglob("*.md"))]


def main(
    check: Annotated[
        bool, typer.Option(help="Write nothing; exit with 1 where a file would change.")
    ] = False,
) -> None:
    """Write every document anew whose figures have changed, and name it."""
    texts = {path: path.read_text(encoding="utf-8") for path in documents()}
    changed = {path: new for path, old in texts.items() if (new := rewritten(old)) != old}
    for path, new in changed.items():
        print(path.relative_to(ROOT).as_posix())
        if not check:
            path.write_text(new, encoding="utf-8")
    raise typer.Exit(int(check and bool(changed)))


if __name__ == "__main__":
    typer.run(main)
