"""A benchmark: a dataset x methods x recognisers x disturbances, from one declarative file to rows.

Every photo is protected by every method, once for each recogniser that is left out of the surrogates, saved,
disturbed and recognised again. What the judge must not know, the engine and its purifiers, is handed in.

spec: what a file says; checks: whether it can be done here; hooks: what is handed in; plan: people and tasks;
matching: the search for settings of equal quality; judge: one task; results: rows and their files;
distractors: strangers who fill galleries; manifest: what a run was made of; runner: all of it.
"""

from .checks import check
from .distractors import Distractors, read_distractors
from .hooks import EngineHooks, Protect
from .results import PAIR_COLUMNS, PICTURE, ROWS, ResultKey, open_store, probe_file, result_file, unpack
from .runner import run
from .spec import MethodSpec, QualityTarget, Spec, TunedSetting, read

__all__ = [
    "PAIR_COLUMNS",
    "PICTURE",
    "ROWS",
    "Distractors",
    "EngineHooks",
    "MethodSpec",
    "Protect",
    "QualityTarget",
    "ResultKey",
    "Spec",
    "TunedSetting",
    "check",
    "open_store",
    "probe_file",
    "read",
    "read_distractors",
    "result_file",
    "run",
    "unpack",
]
