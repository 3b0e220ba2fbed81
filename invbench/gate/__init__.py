"""The gate: a result held against a baseline, and two results side by side, from the store alone."""

from invbench.gate.baseline import GateError, freeze, label, left_out, other_code, to_text
from invbench.gate.judge import check, compare, read_tolerances
from invbench.gate.junit import junit
from invbench.gate.reading import read_baseline
from invbench.gate.verdicts import FAILING, OUTCOMES, Direction, Outcome, Verdict, as_json, passed

__all__ = [
    "FAILING",
    "OUTCOMES",
    "Direction",
    "GateError",
    "Outcome",
    "Verdict",
    "as_json",
    "check",
    "compare",
    "freeze",
    "junit",
    "label",
    "left_out",
    "other_code",
    "passed",
    "read_baseline",
    "read_tolerances",
    "to_text",
]
