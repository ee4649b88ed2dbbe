"""The search for the values of settings at which all methods have equal quality."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from ...core.types import Steps
from .. import resumable
from ..datasets import Sample
from .hooks import EngineHooks
from .judge import protect_and_judge
from .plan import make_task
from .results import ROWS, forget_transient_failures, unpack
from .spec import MethodSpec, QualityTarget, Spec, TunedSetting


def match_quality(
    spec: Spec,
    hooks: EngineHooks,
    people: list[Sample],
    store: resumable.Store,
    workers: int = 1,
    cluster: str | None = None,
) -> Steps[dict[str, float]]:
    """What settings have to be tuned to, by the name of the method; yields a step a photo.

    Everything that is tried is kept in the store like other results, so that it is tried once.

    Args:
        workers, cluster: as `resumable.run` takes them.

    Raises:
        as `resumable.run` does.
    """
    target, tuned = spec.match, dict[str, float]()
    if not target:
        return tuned

    def mean_quality(method: MethodSpec, value: float | None) -> Steps[float]:
        folder = f".match/{method.name}/{'as-is' if value is None else f'{value:.6g}'}"
        jobs = [
            (
                f"{folder}/{sample.identity}",
                replace(
                    make_task(spec, hooks, sample, method, spec.left_out_for(method, index), value),
                    quality_only=True,
                ),
            )
            for index, sample in enumerate(people[: target.photos])
        ]
        forget_transient_failures(store, [key for key, _ in jobs])
        yield from resumable.run(jobs, partial(protect_and_judge, hooks), store, workers, cluster)
        rows = [row for key, _ in jobs for row in unpack(store.path(key, ROWS))[0] if not row["error"]]
        return float(np.mean([row[target.metric] for row in rows]))

    goal = target.value
    for method in spec.methods:
        if method.name == target.like:
            goal = yield from mean_quality(method, None)
    for method in spec.methods:
        if method.knob:
            tuned[method.name] = yield from tune(method.knob, partial(mean_quality, method), goal, target)
    return tuned


def tune(
    tuned: TunedSetting, quality: Callable[[float], Steps[float]], goal: float, target: QualityTarget
) -> Steps[float]:
    """The value of a setting at which quality, which may rise or fall with it, meets the goal.

    By the secant method in the logarithm of the value, between values on both sides of the goal once there
    are such. Where the goal is out of reach, the nearest that was found.

    Args:
        quality: the quality at a value.
        goal: the quality that is wanted, within the tolerance of `target`.
    """
    low, high = float(np.log(tuned.low)), float(np.log(tuned.high))
    misses: dict[float, float] = {}  # how far from the goal, by the logarithm of the value
    log_value = float(np.log(tuned.start)) if tuned.start else (low + high) / 2
    for _ in range(target.rounds):
        if log_value in misses:
            break
        misses[log_value] = (yield from quality(round(float(np.exp(log_value)), 8))) - goal
        if abs(misses[log_value]) <= target.tolerance * abs(goal) / 2:
            break
        (best, miss), *others = sorted(misses.items(), key=lambda one: abs(one[1]))
        opposite = [one for one in others if one[1] * miss < 0]
        (other, other_miss), *_ = opposite or others or [(best, miss)]
        slope = (other_miss - miss) / (other - best) if others else 0.0
        log_value = best - miss / slope if slope else log_value + (high - low) / 6
        log_value = min(max(log_value, low), high)
    return round(float(np.exp(min(misses, key=lambda one: abs(misses[one])))), 8)
