"""The gate's verdict as JUnit XML, which CI servers read."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from llava_eval.results.gate.checks import Check, Verdict
from llava_eval.results.table import printable

#: What XML 1.0 cannot hold, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(verdict: Verdict, text: str) -> str:
    """Return one test case for each check; ``text`` is what the gate printed."""
    regressions = verdict.regressions
    name = f"llava-eval gate: {verdict.pairing.second.label}"
    suite = _suite(name, num_tests=len(verdict.checks), num_failures=len(regressions), num_errors=0)
    for check in verdict.checks:
        _add_case(suite, verdict.pairing.second.benchmark, check)
    SubElement(suite, "system-out").text = _xml_text(text)
    return _document(suite)


def not_comparable_junit(reason: str) -> str:
    """Return one test case that ended with an error."""
    suite = _suite("llava-eval gate", num_tests=1, num_failures=0, num_errors=1)
    case = SubElement(suite, "testcase", classname="llava_eval", name="can be compared", time="0")
    SubElement(case, "error", type="ComparisonError", message=_xml_text(printable(reason)))
    return _document(suite)


def _suite(name: str, *, num_tests: int, num_failures: int, num_errors: int) -> Element:
    return Element(
        "testsuite",
        name=_xml_text(printable(name)),
        tests=str(num_tests),
        failures=str(num_failures),
        errors=str(num_errors),
        skipped="0",
        time="0",
    )


def _add_case(suite: Element, benchmark: str, check: Check) -> None:
    case = SubElement(
        suite,
        "testcase",
        classname=_xml_text(printable(benchmark)),
        name=_xml_text(printable(f"{check.name} has not regressed")),
        time="0",
    )
    message = _xml_text(printable(check.message))
    if check.regressed:
        SubElement(case, "failure", type="Regression", message=message).text = message
    else:
        SubElement(case, "system-out").text = message


def _document(suite: Element) -> str:
    root = Element("testsuites")
    root.append(suite)
    indent(root)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{tostring(root, encoding='unicode')}\n"


def _xml_text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
