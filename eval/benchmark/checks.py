"""Whether everything that a benchmark file says can be done here, before the long work begins."""

from __future__ import annotations

import numpy as np
import torch

from ...attacks import RECOGNIZERS, independent
from ...attacks.faces.transforms import ARCFACE
from ...core.errors import BadSettings
from ...core.registry import unknown
from ...core.types import Face
from ...weights.registry import card
from .. import FACE_MEASURES, MEASURES, METRICS, SET_MEASURES
from ..bootstrap import HEADLINE_RATES
from .hooks import EngineHooks
from .spec import CommonSpec, Spec


def check(spec: Spec, hooks: EngineHooks) -> None:
    """Check everything that a file says.

    Raises:
        UnknownName: of a method, recogniser, setting, measure or disturbance.
        BadSettings: a judge shares weights with a surrogate, or what is told does not fit together.
        WeightsMissing: a measure needs a network that is not on this machine.
    """
    check_recognizers(spec, spec.rate)
    _check_measures(spec)
    for name in (*spec.disturbances, *(name for method in spec.methods for name in method.disturbances)):
        hooks.condition(name)
    _check_methods(spec, hooks)


def check_recognizers(spec: CommonSpec, rate: str) -> None:
    """Check the recognisers of a file; its verdicts are at this rate of false accepts."""
    pools = [name for method in spec.methods for name in method.pool]
    for name in (*spec.judges, *spec.surrogates, *spec.pool, *pools):
        RECOGNIZERS.check(name)
    for name in spec.judges:
        for limit in (rate, *HEADLINE_RATES):
            card(name).thresholds[limit]  # a recogniser that was never calibrated says so
    for judge in spec.judges:
        for name in spec.surrogates:
            if not independent(judge, name):
                raise BadSettings(
                    f"{judge!r} cannot judge an attack on {name!r}: they share their weights.",
                    "Take one of the two out.",
                )


def _check_measures(spec: Spec) -> None:
    for name in spec.measures:
        measure_blank(name)
    if spec.match and spec.match.metric not in {*METRICS, *spec.measures} - {*SET_MEASURES}:
        raise BadSettings(
            f"{spec.match.metric!r} is not measured on each photo.", "Name it among the measures."
        )


def measure_blank(measure: str) -> None:
    """Measure blank pictures, so that what is missing on this machine is told."""
    blank, face = torch.zeros(1, 3, 64, 64), Face(np.array([16.0, 16, 48, 48]), 64 * ARCFACE)
    if measure in SET_MEASURES:
        SET_MEASURES[measure]([blank], [blank])
    elif measure in FACE_MEASURES:
        FACE_MEASURES[measure](blank, blank, face)
    elif measure in MEASURES:
        MEASURES[measure](blank, blank)
    else:
        raise unknown("metric", measure, (*MEASURES, *FACE_MEASURES, *SET_MEASURES))


def _check_methods(spec: Spec, hooks: EngineHooks) -> None:
    names = [method.name for method in spec.methods]
    if len(set(names)) < len(names):
        raise BadSettings("Two methods have one name.", "Give each a name of its own.")
    if (spec.goal == "impersonate") != bool(spec.targets):
        raise BadSettings("Impersonation needs targets, and only impersonation.", "Name their folder.")
    for method in spec.methods:
        hooks.resolve(method.method, method.preset, method.settings)
        if tuned := method.knob:
            hooks.resolve(method.method, method.preset, {**method.settings, tuned.setting: tuned.low})
    if spec.match and spec.match.like not in ("", *names):
        raise BadSettings(
            f"There is no method {spec.match.like!r} to match.", f"There are: {', '.join(names)}."
        )
