"""The compression report: every variant beside the float model, in numbers and in one drawing."""

from __future__ import annotations

from collections.abc import Sequence

from nightshift.compression.budgets import VariantVerdict, metric_drop
from nightshift.compression.figure import Point, trade_off_figure
from nightshift.compression.result import BATCH, Measured, MeasuredVariant, Variants
from nightshift.definition.compression import Target
from nightshift.definition.gates import Metric
from nightshift.reports.page import (
    Badge,
    Block,
    Cell,
    Figure,
    Section,
    Table,
    Text,
    Verdict,
    render_page,
)

_FLOAT = "float"


def render(
    variants: Variants,
    verdicts: Sequence[VariantVerdict],
    metric: Metric,
    edge: Target | None,
) -> str:
    """The report as HTML."""
    rejected = [verdict for verdict in verdicts if not verdict.accepted]
    summary = f"{len(verdicts) - len(rejected)} of {len(verdicts)} variants keep their budgets."
    if edge:
        lost = edge in {verdict.target for verdict in rejected}
        summary += f"\nFor the edge: {f'nothing, for {edge} is rejected' if lost else edge}."
    sections = [
        Section("Verdict", [Text(f"{summary}\n{_ground(variants)}"), _verdicts(verdicts)]),
        Section("Size, quality and time", _compared(variants, verdicts, metric)),
        Section("Times", [_times(variants)]),
        Section("Operators", _operators(variants)),
    ]
    verdict = Verdict.WARNING if rejected else Verdict.PASSED
    subtitle = f"{variants.pipeline}, night of {variants.night}"
    return render_page("Compression", subtitle, verdict, sections)


def _ground(variants: Variants) -> str:
    note = (
        ""
        if variants.processor.int8_dot_products
        else "\nWithout an INT8 dot product an INT8 model is smaller here, and may be no faster."
    )
    return (
        f"Asked about all {variants.rows:,} holdout rows through LiteRT, each model about the same "
        f"rows.\nMeasured on {variants.processor}.{note}"
    )


def _verdicts(verdicts: Sequence[VariantVerdict]) -> Table:
    rows: list[list[Cell]] = []
    for verdict in verdicts:
        good = verdict.accepted
        badge = Badge(Verdict.PASSED, "accepted") if good else Badge(Verdict.FAILED, "rejected")
        rows.append([verdict.target, badge, *_limits(verdict), verdict.reason])
    columns = ("variant", "verdict", "size ratio", "metric lost", "latency ratio", "why rejected")
    return Table(columns, rows, "Value and limit; a value without limit has no budget.")


def _limits(verdict: VariantVerdict) -> list[Cell]:
    shown: list[Cell] = [None, None, None]
    for place, judgement in enumerate(verdict.judgements[:3]):
        if judgement.measured is not None:
            limit = "" if judgement.limit is None else f" (<=\N{NO-BREAK SPACE}{judgement.limit:g})"
            shown[place] = f"{judgement.measured:.4g}{limit}"
    return shown


def _compared(
    variants: Variants, verdicts: Sequence[VariantVerdict], metric: Metric
) -> list[Block]:
    if variants.baseline is None:
        return [Text("There is no float TFLite model to compare with.")]
    floats = variants.baseline
    rows = [_compared_row(_FLOAT, floats, floats, metric)]
    points = [_point(_FLOAT, floats, floats, metric, accepted=True)]
    accepted = {verdict.target: verdict.accepted for verdict in verdicts}
    for variant in variants.variants:
        if variant.measured:
            rows.append(_compared_row(variant.target, variant.measured, floats, metric))
            fine = accepted.get(variant.target, False)
            points.append(_point(variant.target, variant.measured, floats, metric, accepted=fine))
    columns = (
        *("model", "bytes", "of float", "gzip bytes", "of float", str(metric), "lost"),
        *("log loss", "other class", "time of float", "peak MB"),
    )
    caption = (
        "Lost: against the float TFLite model, negative where better. Other class: share of rows "
        "given to another class than by that model. Time: median of one row, one thread. "
        f"Peak: memory that loading the model and asking for {BATCH} rows adds to a process."
    )
    figure = trade_off_figure([point for point in points if point], str(metric))
    return [
        Table(columns, rows, caption),
        Figure(
            figure,
            "Left is smaller, up is better; the larger the circle, the longer one row takes "
            "(area). Dashed: rejected.",
        ),
    ]


def _compared_row(name: str, ours: Measured, floats: Measured, metric: Metric) -> list[Cell]:
    mine, theirs = ours.latency(threads=1, rows=1), floats.latency(threads=1, rows=1)
    drop = metric_drop(ours, floats, metric)
    return [
        name,
        ours.size,
        round(ours.size / floats.size, 4),
        ours.gzip_size,
        round(ours.gzip_size / floats.gzip_size, 4),
        _rounded(ours.scores.of(metric)),
        _rounded(drop),
        _rounded(ours.scores.log_loss),
        f"{ours.disagreement:.2%}",
        round(mine.p50_ms / theirs.p50_ms, 3),
        round(ours.peak_bytes / 1e6, 2),
    ]


def _point(
    name: str, ours: Measured, floats: Measured, metric: Metric, *, accepted: bool
) -> Point | None:
    quality = ours.scores.of(metric)
    if quality is None:
        return None
    mine, theirs = ours.latency(threads=1, rows=1), floats.latency(threads=1, rows=1)
    return Point(
        name,
        size=ours.size / floats.size,
        quality=quality if metric.higher_is_better else -quality,
        latency=mine.p50_ms / theirs.p50_ms,
        accepted=accepted,
        label=f"{quality:.5g}",
    )


def _times(variants: Variants) -> Table:
    loads = [(t.threads, t.rows) for t in variants.baseline.latencies] if variants.baseline else []
    columns = ["model"]
    for threads, rows in loads:
        load = f"{rows} row{'s' if rows > 1 else ''}, {threads} thread{'s' if threads > 1 else ''}"
        columns += [f"{load}: p50 ms", "p99 ms", "of float"]
    models = [(_FLOAT, variants.baseline)]
    models += [(str(v.target), v.measured) for v in variants.variants]
    table: list[list[Cell]] = []
    for name, model in models:
        if model is not None and variants.baseline is not None:
            table.append([name, *_times_row(model, variants.baseline, loads)])
    return Table(
        columns,
        table,
        "Taken in turns in one process, from the model's own input to its own output; of float: "
        "ratio of the medians.",
    )


def _times_row(ours: Measured, floats: Measured, loads: Sequence[tuple[int, int]]) -> list[Cell]:
    cells: list[Cell] = []
    for threads, rows in loads:
        mine = ours.latency(threads=threads, rows=rows)
        theirs = floats.latency(threads=threads, rows=rows)
        ratio = round(mine.p50_ms / theirs.p50_ms, 3)
        cells += [_milliseconds(mine.p50_ms), _milliseconds(mine.p99_ms), ratio]
    return cells


def _operators(variants: Variants) -> list[Block]:
    rows: list[list[Cell]] = []
    if variants.baseline:
        rows.append([_FLOAT, _counted(variants.baseline), None, None])
    for variant in variants.variants:
        rows.append(_operators_row(variant))
    return [
        Table(
            ("model", "operators", "in float", "which"),
            rows,
            "A model that claims full integer must have none in float; the others compute in "
            "float by design.",
        )
    ]


def _operators_row(variant: MeasuredVariant) -> list[Cell]:
    if variant.measured is None:
        return [variant.target, variant.refused, None, None]
    fallen = variant.measured.float_operators
    shown = "\n".join(str(op) for op in fallen) if variant.target.full_integer else None
    return [variant.target, _counted(variant.measured), len(fallen), shown]


def _counted(model: Measured) -> str:
    return ", ".join(f"{count} {name}" for name, count in model.operators.items())


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def _milliseconds(value: float) -> str:
    return f"{value:.3f}"
