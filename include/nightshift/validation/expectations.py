"""Step ``expectations``: the pipeline's own rules about its rows, by Great Expectations."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightshift.data.pinned import PinnedFile, Snapshot, Split
from nightshift.data.reader import download, read_snapshot, read_table
from nightshift.definition.model import Dataset
from nightshift.errors import BadDefinitionError
from nightshift.steps.contract import StepContext, StepOutcome
from nightshift.validation.data_docs import make_self_contained
from nightshift.validation.findings import Finding, Severity, stopped_by, texts
from nightshift.validation.suite import (
    EXPECTATIONS_FILE,
    Entry,
    Over,
    Rules,
    nearest,
    place_of,
    read_rules,
)

if TYPE_CHECKING:
    import pandas as pd

DOCS = "data_docs"
DOCS_INDEX = f"{DOCS}/index.html"
_EXAMPLES = 5
_INDEXED = 20
"""Rows of which Great Expectations tells the date, to name the partition."""
_SEVERITY = {"error": "critical", "warning": "warning"}


@dataclass(frozen=True)
class Broken:
    """One rule that does not hold, with what Great Expectations saw."""

    entry: Entry
    result: Mapping[str, Any]


def run(context: StepContext) -> StepOutcome:
    """Read the rules, hold the rows to them, publish Data Docs.

    Raises:
        BadDataError: A rule of severity error is broken.
        BadDefinitionError: ``expectations.yaml`` is wrong.
    """
    request = context.request
    snapshot = read_snapshot(context.store, context.input("snapshot"))
    dataset = request.section("dataset", Dataset)
    rules = read_rules(request.folder, snapshot.types).with_unique(dataset.unique)
    frames = _frames(context, snapshot, rules, dataset.date_column)
    broken = check(rules, frames, context, dataset.date_column)
    make_self_contained(context.output / DOCS)
    files = {f.date.isoformat(): f for f in snapshot.files}
    findings = [_finding(b, dataset.date_column, files, snapshot) for b in broken]
    metrics = {
        "expectations": float(len(rules.expectations)),
        "expectations_broken": float(len(broken)),
    }
    if any(f.severity is Severity.ERROR for f in findings):
        context.failure_report = DOCS_INDEX
        raise stopped_by(request.pipeline, request.night, findings)
    warnings = texts(findings, Severity.WARNING)
    for warning in warnings:
        context.log.warning("%s", warning)
    return StepOutcome(
        metrics=metrics, facts={"warnings": warnings}, reports={"Data Docs": DOCS_INDEX}
    )


def check(
    rules: Rules, frames: Mapping[Over, pd.DataFrame], context: StepContext, dates: str
) -> list[Broken]:
    """Hold each frame to its rules and write Data Docs below the output folder.

    Raises:
        BadDefinitionError: An expectation is unknown, or does not take its arguments.
    """
    # Read while Great Expectations is imported: nothing about this data leaves the machine.
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    # Where a result lacks a number that a page's row would show, the row does without and a whole
    # traceback goes to the log: beside a broken rule it reads as if the step had failed by it.
    logging.getLogger("great_expectations.render").setLevel(logging.CRITICAL)
    import great_expectations as gx

    shown = f"{context.request.folder.name}/{EXPECTATIONS_FILE}"
    built = [_expectation(shown, n, e) for n, e in enumerate(rules.expectations)]
    session = _session(context.output / DOCS)
    source = session.data_sources.add_pandas("lake")
    broken: list[Broken] = []
    for over, frame in frames.items():
        entries = [(e, x) for e, x in zip(rules.expectations, built, strict=True) if e.over == over]
        if entries:
            batch = source.add_dataframe_asset(over).add_batch_definition_whole_dataframe(over)
            suite = session.suites.add(
                gx.ExpectationSuite(name=over, expectations=[x for _, x in entries])
            )
            validation = session.validation_definitions.add(
                gx.ValidationDefinition(name=over, data=batch, suite=suite)
            )
            broken += _broken(validation, frame, [e for e, _ in entries], dates, shown)
    session.build_data_docs(site_names=[DOCS])
    return broken


def _session(site: Path) -> Any:
    """Great Expectations with nothing kept but the Data Docs in ``site``."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site)}
    docs = {
        "class_name": "SiteBuilder",
        "store_backend": store,
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        data_docs_sites={DOCS: docs},
        progress_bars=ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _broken(
    validation: Any, frame: pd.DataFrame, entries: Sequence[Entry], dates: str, shown: str
) -> Iterator[Broken]:
    outcome = validation.run(
        batch_parameters={"dataframe": frame},
        result_format={
            "result_format": "SUMMARY",
            "partial_unexpected_count": _INDEXED,
            "unexpected_index_column_names": [dates],
        },
    )
    by_place = {r.expectation_config.meta["nightshift"]: r for r in outcome.results}
    for entry in entries:
        result = by_place[_mark(entry)]
        if result.exception_info.get("raised_exception"):
            raise BadDefinitionError(
                f"{shown}: {entry.expect} {entry.arguments} cannot be computed: "
                f"{result.exception_info.get('exception_message')}",
                file=shown,
            )
        if not result.success:
            yield Broken(entry, result.result)


def _mark(entry: Entry) -> str:
    return entry.model_dump_json()


def _expectation(shown: str, number: int, entry: Entry) -> Any:
    """One expectation as Great Expectations' own object, its arguments checked by it."""
    from great_expectations.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.registry import (
        get_expectation_impl,
        list_registered_expectation_implementations,
    )
    from pydantic.v1 import ValidationError

    place = place_of(shown, number, entry)
    try:
        kind = get_expectation_impl(entry.expect)
    except ExpectationNotFoundError:
        known = list_registered_expectation_implementations()
        raise BadDefinitionError(
            f"{place}: Great Expectations knows no such expectation{nearest(entry.expect, known)}",
            file=shown,
        ) from None
    try:
        return kind(
            **entry.arguments,
            severity=_SEVERITY[entry.severity],
            notes=entry.because or None,
            meta={"nightshift": _mark(entry)},
        )
    except (ValidationError, TypeError) as error:
        raise BadDefinitionError(
            f"{place}: arguments: {_arguments_error(error, kind)}", file=shown
        ) from None


def _arguments_error(error: Exception, kind: Any) -> str:
    if not hasattr(error, "errors"):
        return str(error)
    parts = []
    for one in error.errors():
        name = ".".join(str(p) for p in one["loc"] if p != "__root__")
        hint = nearest(name, kind.__fields__) if one["type"] == "value_error.extra" else ""
        parts.append(f"{name + ': ' if name else ''}{one['msg']}{hint}")
    return "; ".join(parts)


def _frames(
    context: StepContext, snapshot: Snapshot, rules: Rules, dates: str
) -> dict[Over, pd.DataFrame]:
    """The window, and the newest day by itself, each with the derived columns."""
    files = [
        pair
        for split in (Split.TRAIN, Split.HOLDOUT)
        for pair in download(snapshot, split, context.work / split)
    ]
    window = read_table(files, sorted(rules.columns | {dates})).to_pandas()
    for name, expression in rules.derived.items():
        window[name] = _derive(window, name, expression, context.request.folder.name)
    newest = window[window[dates] == snapshot.night.isoformat()]
    return {Over.WINDOW: window, Over.NEWEST_DAY: newest}


def _derive(frame: pd.DataFrame, name: str, expression: str, folder: str) -> Any:
    try:
        return frame.eval(expression, engine="python")
    except Exception as error:
        # Whatever an expression of a data engineer raises, it is the expression that is wrong.
        shown = f"{folder}/{EXPECTATIONS_FILE}"
        raise BadDefinitionError(
            f"{shown}: derived.{name}: {expression!r} fails: {type(error).__name__}: {error}",
            file=shown,
        ) from error


def _finding(
    broken: Broken, dates: str, files: Mapping[str, PinnedFile], snapshot: Snapshot
) -> Finding:
    entry, result = broken.entry, broken.result
    columns = ", ".join(entry.columns)
    where, file = _place(broken, dates, files, snapshot)
    value = _observed(result)
    named = f"column{'s' if len(entry.columns) > 1 else ''} '{columns}'" if columns else "the rows"
    place = f" ({file})" if file else ""
    limit = f"; expected {entry.limit}" if entry.limit else ""
    because = f". {entry.because}" if entry.because else ""
    return Finding(
        severity=Severity(entry.severity.value),
        column=columns,
        rule=entry.expect,
        value=value,
        limit=entry.limit,
        where=where,
        text=f"{named} on {where}{place}: {entry.expect}: {value}{limit}{because}",
        file=file,
    )


def _place(
    broken: Broken, dates: str, files: Mapping[str, PinnedFile], snapshot: Snapshot
) -> tuple[str, str | None]:
    """The days that broke it, and the one file where it is one day's."""
    if broken.entry.over is Over.NEWEST_DAY:
        days = [snapshot.night.isoformat()]
    else:
        rows = broken.result.get("partial_unexpected_index_list") or ()
        days = sorted({str(row[dates]) for row in rows if dates in row})
    if len(days) == 1:
        return days[0], files[days[0]].key if days[0] in files else None
    return f"{days[0]} to {days[-1]}" if days else "the whole window", None


def _observed(result: Mapping[str, Any]) -> str:
    count = result.get("unexpected_count")
    # Rules about a column as a whole may count too, but not rows: distinct values.
    if count is None or "element_count" not in result:
        return f"observed {_short(result.get('observed_value'))}"
    share = result.get("unexpected_percent") or 0.0
    values = (_short(v) for v in result.get("partial_unexpected_list", ()))
    examples = [v for v in dict.fromkeys(values) if v not in ("nan", "None")]
    shown = f", such as {', '.join(examples[:_EXAMPLES])}" if examples else ""
    return f"{count:,} of {result['element_count']:,} rows unexpected ({share:.2f} %){shown}"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return "(" + ", ".join(str(v) for v in value.values()) + ")"
    return str(value)
