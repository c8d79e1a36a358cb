"""The gate's verdict as text, Markdown, GitHub workflow commands, and JUnit XML."""

from __future__ import annotations

import dataclasses
import datetime
import platform
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from llava_eval.results.columns import detectable_cell
from llava_eval.results.compare.comparison import Flip
from llava_eval.results.compare.comparison_tables import counts_table, flips_table
from llava_eval.results.compare.pairing import ComparedMetric, Pairing
from llava_eval.results.formatting import Table, count, cut, markdown_text, printable, wrapped
from llava_eval.results.report.samples import address_text
from llava_eval.results.runs import differences_of
from llava_eval.results.summary import failures_by_cause

if TYPE_CHECKING:
    from llava_eval.results.gate.sequential_gate import SequentialGate

#: Most samples that are listed as worse, and as better, and most characters of a cell.
SHOWN_FLIPS, _MOST_CELL = 10, 300
#: Characters that XML 1.0 cannot contain, not even escaped; printable texts have none of them.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Check:
    """One line of the gate's table.

    Attributes:
        name: a metric, ``unreadable``, ``errors``, a flag or ``seconds a sample``.
        baseline, run, difference: the values, as text.
        interval: the difference's interval, as text; "-" if the check is not a test.
        allowed: the tolerance, as text.
        regressed: whether it got worse by more than that.
        message: the verdict in one sentence.
        is_shown: False if the rule requires proof that it is no worse, and there is none.
    """

    name: str
    baseline: str
    run: str
    difference: str
    interval: str
    allowed: str
    regressed: bool
    message: str
    is_shown: bool = True

    @property
    def fails(self) -> bool:
        """Whether the run fails because of this check."""
        return self.regressed or not self.is_shown


@dataclass(frozen=True, eq=False)
class GateVerdict:
    """The result of a gate.

    Attributes:
        pairing: the baseline and the run.
        checks: the checks, metrics first.
        confidence: the confidence level of all intervals that do not name another one.
        headline: the first metric that could be compared.
        underpowered: metrics with too few samples to reliably detect a forbidden drop.
        worse, better: samples whose headline score changed.
        notes: sentences on what is not checked and why, and on the machines of times.
        is_proof: whether the headline passes only if it is shown to be no worse.
    """

    pairing: Pairing
    checks: Sequence[Check]
    confidence: float
    headline: ComparedMetric
    underpowered: Sequence[ComparedMetric]
    worse: Sequence[Flip]
    better: Sequence[Flip]
    notes: Sequence[str]
    is_proof: bool = False

    @property
    def failures(self) -> list[Check]:
        """The checks that the run does not pass."""
        return [check for check in self.checks if check.fails]

    @property
    def regressions(self) -> list[Check]:
        """The checks that found the run to be worse."""
        return [check for check in self.checks if check.regressed]

    @property
    def label(self) -> str:
        """The run's benchmark with overrides."""
        return self.pairing.second.label

    @property
    def benchmark(self) -> str:
        """The run's benchmark without overrides."""
        return self.pairing.second.benchmark

    @property
    def outcome(self) -> str:
        """The verdict in a few words."""
        names = ", ".join(check.name for check in self.regressions)
        if names:
            return f"regressed: {names}"
        unproven = ", ".join(check.name for check in self.failures)
        num_samples = count(len(self.pairing.firsts), "sample")
        if unproven:
            return f"not shown to be no worse, by {num_samples}: {unproven}"
        if self.underpowered:
            unseen = "; ".join(
                f"{metric.name} of less than {_detectable(metric)}" for metric in self.underpowered
            )
            return f"passed, but {num_samples} would mostly not show a drop in {unseen}"
        if self.is_proof:
            return "passed: shown to be worse by less than the tolerance, if at all"
        return "passed: no worse than the baseline"

    @property
    def detectable_text(self) -> str:
        """A sentence on the smallest drop in the headline that the samples detect."""
        metric = self.headline
        if metric.estimate is None or metric.estimate.smallest_detectable is None:
            return (
                f"All scores of {self._compared} (videos) differ alike, if at all, which does not "
                f"tell how small a drop in {metric.name} they would show."
            )
        return (
            f"{self._compared} (videos) show a true drop of {_detectable(metric)} or more in "
            f"{metric.name} four times in five."
        )

    @property
    def _compared(self) -> str:
        samples = count(len(self.pairing.firsts), "sample")
        return f"{samples} in {count(self.pairing.num_clusters, 'cluster')}"

    @property
    def _counted(self) -> Table | None:
        return counts_table([self.pairing.first, self.pairing.second], ["baseline", "run"])

    def text(self, *, width: int = 80) -> str:
        """Return the verdict and all its data as text for the terminal."""
        counted, differing = self._counted, self._differences
        named = {"baseline": self.pairing.first, "run": self.pairing.second}
        rows = [[name, side.name, side.label, side.model] for name, side in named.items()]
        sides = Table(["", "", "benchmark", "model"], rows, num_names=4)
        blocks = [
            sides.to_text(width),
            "" if differing is None else differing.to_text(width),
            checks_table(self.checks, self.confidence).to_text(width),
            "" if counted is None else counted.to_text(width),
            wrapped(self.detectable_text, width),
        ]
        blocks += [
            f"{title}:\n{table.to_text(width, indent='  ')}" for title, table in self._listed()
        ]
        blocks += [wrapped(f"Note: {note}.", width) for note in self.notes]
        blocks.append(wrapped(self.outcome, width))
        return "\n\n".join(block for block in blocks if block)

    def markdown(self) -> str:
        """Return the verdict as Markdown for a pull request or a workflow's summary."""
        baseline, run = self.pairing.first, self.pairing.second
        counted, differing = self._counted, self._differences
        label, model, run_name, baseline_name = map(
            markdown_text, (run.label, run.model, run.name, baseline.name)
        )
        about = (
            f"{label}, {model}: run {run_name} against baseline {baseline_name}, "
            f"{self._compared} (videos)."
        )
        blocks = [
            markdown_title(self.outcome, self.checks),
            about,
            checks_table(self.checks, self.confidence).to_markdown(),
            *([] if counted is None else [counted.to_markdown()]),
            markdown_text(self.detectable_text),
            *(f"- {markdown_text(check.message)}" for check in self.failures),
            *(f"- {markdown_text(note)}" for note in self.notes),
            *(f"- {markdown_text(cause)}" for cause in failures_by_cause(run.results)),
        ]
        if differing is not None:
            blocks.append(_folded("What differs", differing))
        blocks += [_folded(title, table) for title, table in self._listed()]
        return "\n\n".join(blocks) + "\n"

    @property
    def content(self) -> dict[str, Any]:
        """The verdict as JSON values."""
        assert self.headline.estimate is not None
        return {
            "passed": not self.failures,
            "verdict": self.outcome,
            "confidence": self.confidence,
            "num_samples": len(self.pairing.firsts),
            "num_groups": self.pairing.num_clusters,
            "metric": self.headline.name,
            "unit": self.headline.unit,
            "estimate": dataclasses.asdict(self.headline.estimate),
            "checks": [dataclasses.asdict(check) for check in self.checks],
            "worse": [dataclasses.asdict(flip) for flip in self.worse],
            "better": [dataclasses.asdict(flip) for flip in self.better],
            "notes": list(self.notes),
        }

    @property
    def properties(self) -> dict[str, str]:
        """Properties for JUnit: what was compared, and links to worse samples in a report."""
        baseline, run = self.pairing.first, self.pairing.second
        return {
            "run": run.name,
            "baseline": baseline.name,
            "benchmark": run.label,
            "model": run.model,
            **{
                f"worse: {flip.id}": f"report.html#sample=0/{address_text(flip.id)}"
                for flip in self.worse[:SHOWN_FLIPS]
            },
        }

    @property
    def _differences(self) -> Table | None:
        """The differences that both sides recorded; None if there are none."""
        runs = [self.pairing.first, self.pairing.second]
        # A baseline file has the protocol, but neither the model's settings nor all versions.
        know_settings = all("model" in run.config for run in runs)
        rows = []
        for item in differences_of(runs):
            is_known = "null" not in item.values if item.role == "software" else know_settings
            if is_known:
                rows.append([item.name, item.role, *item.values])
        return Table(["differs in", "role", "baseline", "run"], rows, num_names=4) if rows else None

    def _listed(self) -> Iterator[tuple[str, Table]]:
        for name, flips in (("worse", self.worse), ("better", self.better)):
            if flips:
                first = f", the first {SHOWN_FLIPS}" if len(flips) > SHOWN_FLIPS else ""
                shown = (flips[:SHOWN_FLIPS], self.headline)
                table = flips_table(*shown, first="baseline", second="run")
                yield f"{name} on {count(len(flips), 'sample')}{first}", table


def _detectable(metric: ComparedMetric) -> str:
    assert metric.estimate is not None
    return detectable_cell(metric.estimate.smallest_detectable, metric.unit)


def checks_table(checks: Sequence[Check], confidence: float) -> Table:
    """Return the table with one row per check."""
    level = f"{100 * confidence:.4g} % interval"
    rows = [
        [
            *(item.name, item.baseline, item.run, item.difference, item.interval, item.allowed),
            "REGRESSED" if item.regressed else "passed" if item.is_shown else "NOT SHOWN",
        ]
        for item in checks
    ]
    return Table(["check", "baseline", "run", "change", level, "allowed", ""], rows)


def markdown_title(outcome: str, checks: Sequence[Check]) -> str:
    """Return the heading of a verdict."""
    mark = ":x:" if any(check.fails for check in checks) else ":white_check_mark:"
    return f"### {mark} llava-eval gate: {markdown_text(outcome)}"


def not_comparable_markdown(reason: str, causes: Sequence[str] = ()) -> str:
    """Return Markdown for a pull request if there is no verdict.

    Args:
        reason: why there is none.
        causes: the causes of failed samples.
    """
    title = "### :warning: llava-eval gate: cannot compare"
    listed = [*(f"- {markdown_text(cause)}" for cause in causes), ""] if causes else []
    return "\n".join([title, "", markdown_text(reason), "", *listed])


def _folded(title: str, table: Table) -> str:
    # GitHub rejects comments of more than 65,536 characters, and captions are long.
    rows = [[cut(printable(cell), _MOST_CELL) for cell in row] for row in table.rows]
    shown = dataclasses.replace(table, rows=rows).to_markdown()
    return f"<details><summary>{title}</summary>\n\n{shown}\n\n</details>"


def workflow_commands(verdict: GateVerdict | SequentialGate) -> list[str]:
    """Return GitHub's workflow commands: an error for each check that fails, or one notice."""
    title = f"llava-eval gate: {verdict.label}"
    failed = [annotation("error", title, item.message) for item in verdict.checks if item.fails]
    return failed or [annotation("notice", title, verdict.outcome)]


def annotation(kind: str, title: str, message: str) -> str:
    """Return one workflow command; the texts are escaped, so that they cannot end it."""
    escaped_title = _escaped(title).replace(":", "%3A").replace(",", "%2C")
    return f"::{kind} title={escaped_title}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return printable(text).replace("%", "%25")


def to_junit(verdict: GateVerdict | SequentialGate, text: str) -> str:
    """Return JUnit XML with one test case per check, and the text that the gate printed."""
    checks = verdict.checks
    num_failures = sum(check.fails for check in checks)
    suite = _suite(f"llava-eval gate: {verdict.label}", len(checks), num_failures)
    listed = SubElement(suite, "properties")
    for key, value in verdict.properties.items():
        SubElement(listed, "property", name=printable(key), value=printable(value))
    for check in checks:
        named = {"classname": verdict.benchmark, "name": f"{check.name} has not regressed"}
        case = SubElement(suite, "testcase", {k: printable(v) for k, v in named.items()}, time="0")
        message = printable(check.message)
        if check.fails:
            kind = "Regression" if check.regressed else "NotShown"
            SubElement(case, "failure", type=kind, message=message).text = message
        else:
            SubElement(case, "system-out").text = message
    SubElement(suite, "system-out").text = _NOT_XML.sub("\ufffd", text)
    return _document(suite)


def not_comparable_junit(reason: str) -> str:
    """Return JUnit XML with one test case that ended with an error."""
    suite = _suite("llava-eval gate", num_tests=1, num_errors=1)
    case = SubElement(suite, "testcase", classname="llava_eval", name="can be compared", time="0")
    SubElement(case, "error", type="ComparisonError", message=printable(reason))
    return _document(suite)


def _suite(name: str, num_tests: int, num_failures: int = 0, num_errors: int = 0) -> Element:
    return Element(
        "testsuite",
        name=printable(name),
        tests=str(num_tests),
        failures=str(num_failures),
        errors=str(num_errors),
        skipped="0",
        time="0",
        timestamp=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        hostname=platform.node(),
    )


def _document(suite: Element) -> str:
    root = Element("testsuites")
    root.append(suite)
    indent(root)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{tostring(root, encoding='unicode')}\n"
