"""Verdicts as a JUnit report, the XML that CI systems show: a test case for each cell and metric."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree

from invbench.core.printing import printable
from invbench.gate.baseline import label
from invbench.gate.verdicts import FAILING, Verdict


def junit(verdicts: Iterable[Verdict]) -> str:
    """The report; what does not pass is a `<failure>` whose type is the outcome."""
    listed = list(verdicts)
    failing = sum(v.outcome in FAILING for v in listed)
    counts = {"tests": str(len(listed)), "failures": str(failing), "errors": "0"}
    root = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(root, "testsuite", {"name": "invbench check", **counts, "skipped": "0"})
    for verdict in listed:
        _add_case(suite, verdict)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _add_case(suite: ElementTree.Element, verdict: Verdict) -> None:
    subject = f"{label(verdict.names)} [{verdict.cell}]".strip()
    name = printable(f"{subject}: {verdict.metric or 'cell'}")
    case = ElementTree.SubElement(suite, "testcase", {"classname": "invbench", "name": name, "time": "0"})
    message = printable(verdict.message or verdict.outcome)
    if verdict.outcome in FAILING:
        failure = ElementTree.SubElement(case, "failure", {"type": verdict.outcome, "message": message})
        failure.text = message
    elif verdict.message:
        ElementTree.SubElement(case, "system-out").text = f"{verdict.outcome}: {message}"
