"""Write a verdict as JUnit XML: one suite a benchmark, its statistics as properties.

A regression is a failure, what is missing or cannot be compared an error, inconclusive is skipped, unless the policy
lets it fail: then it is a failure too, so that the file and the exit code say the same. The verdict's notes are every
case's `system-out`. Built with ElementTree, never parsed.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from harness.gate.verdict import BenchmarkVerdict, Verdict
from reports.texts.verdict_text import cut, sentence_of
from reports.texts.visible import one_line

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MOST_CHARACTERS = 1000


def verdict_junit(verdict: Verdict) -> bytes:
    """Return the XML file, in UTF-8 with its declaration."""
    root = ET.Element("testsuites", name="satori-bench gate")
    for benchmark in verdict.benchmarks:
        _add_suite(root, benchmark, verdict)
    if verdict.reasons or not verdict.benchmarks:
        suite = ET.SubElement(root, "testsuite", name="runs")
        case = ET.SubElement(suite, "testcase", classname="satori.runs", name="complete and comparable", time="0")
        message = xml_text("; ".join(verdict.reasons) or "no benchmark was gated")
        ET.SubElement(case, "error", type="incomplete", message=message).text = message
        _add_notes(case, verdict)
        _count(suite)
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _add_suite(root: ET.Element, benchmark: BenchmarkVerdict, verdict: Verdict) -> None:
    task = xml_text(benchmark.task)
    suite = ET.SubElement(root, "testsuite", name=task)
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(benchmark, verdict).items():
        ET.SubElement(properties, "property", name=name, value=xml_text(value))
    name = xml_text(f"all/{benchmark.metric or 'missing'}")
    case = ET.SubElement(suite, "testcase", classname=f"satori.{task}", name=name, time="0")
    message = xml_text(sentence_of(benchmark))
    fails = benchmark.state == "inconclusive" and verdict.policy.on_inconclusive == "fail"
    if benchmark.state == "regression" or fails:
        ET.SubElement(case, "failure", type=benchmark.state, message=message).text = message
    elif benchmark.state == "incomparable":
        ET.SubElement(case, "error", type=benchmark.state, message=message).text = message
    elif benchmark.state == "inconclusive":
        ET.SubElement(case, "skipped", message=message)
    _add_notes(case, verdict)
    _count(suite)


def _add_notes(case: ET.Element, verdict: Verdict) -> None:
    """Add what a reader must know although it does not decide, where CI servers show a case's own words."""
    if verdict.notes:
        ET.SubElement(case, "system-out").text = "\n".join(xml_text(f"note: {note}") for note in verdict.notes)


def _count(suite: ET.Element) -> None:
    """Set the suite's counts from what it holds."""
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(sum(case.find(tag) is not None for case in cases)))


def _properties(benchmark: BenchmarkVerdict, verdict: Verdict) -> dict[str, str]:
    """Return the statistics with full digits: a file for machines is not rounded."""
    found: dict[str, str] = {
        "baseline": verdict.baseline.label,
        "candidate": verdict.candidate.label,
        "baseline_run": ", ".join(run.name for run in verdict.baseline.runs),
        "candidate_run": ", ".join(run.name for run in verdict.candidate.runs),
        "protocol": verdict.candidate.runs[0].protocol,
        "protocol_version": verdict.candidate.runs[0].protocol_version,
        "state": benchmark.state,
        "reason": benchmark.reason,
        "tolerance": repr(benchmark.tolerance),
        "alpha": repr(verdict.policy.alpha),
        "seed": str(verdict.seed),
        "draws": str(verdict.draws),
    }
    numbers: dict[str, float | None] = {"p_holm": benchmark.p_holm, "n_needed": benchmark.n_needed}
    if benchmark.row is not None:
        numbers |= {"baseline_value": benchmark.row.a.value, "candidate_value": benchmark.row.b.value}
    difference = benchmark.difference
    if difference is not None:
        numbers |= {
            "delta": difference.delta,
            "ci_low": difference.ci_low,
            "ci_high": difference.ci_high,
            "p": difference.p,
            "p_drop": difference.p_drop,
            "n": difference.n,
            "clusters": difference.clusters,
            "mde": difference.mde,
            "flips_down": difference.flips_down,
            "flips_up": difference.flips_up,
        }
    numbers |= {check.name.replace(" ", "_"): check.value for check in benchmark.checks}
    return found | {name: repr(value) for name, value in numbers.items() if value is not None}


def xml_text(text: str) -> str:
    """Return one line that XML can hold: invisible characters shown, illegal ones removed, cut."""
    return _ILLEGAL.sub("", one_line(cut(text, _MOST_CHARACTERS)))
