"""The model card as a page: what it is for first, what it is made of last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from nightshift.card.content import Compression, ModelCard
from nightshift.compression.budgets import VariantVerdict
from nightshift.compression.result import MeasuredVariant
from nightshift.data.pinned import PinnedFile, Split
from nightshift.definition.card import CardTexts
from nightshift.definition.gates import FAIRNESS, MAIN, QUALITY, Metric
from nightshift.evaluation.result import Evaluation, Gap, Group, Interval
from nightshift.gates.rules import Judgement, Ruling
from nightshift.gates.verdict import GateVerdict
from nightshift.reports.forest_figure import Axis, Mark, Row, forest_figure
from nightshift.reports.page import (
    Badge,
    Block,
    Cell,
    Code,
    Figure,
    Section,
    Table,
    Text,
    Verdict,
    number,
    render_page,
)

_BADGES = {
    Ruling.PASSED: Verdict.PASSED,
    Ruling.FAILED: Verdict.FAILED,
    Ruling.INCONCLUSIVE: Verdict.WARNING,
    Ruling.SKIPPED: Verdict.SKIPPED,
}
_TOGETHER = "\N{NO-BREAK SPACE}"


def render(card: ModelCard) -> str:
    """The page as HTML."""
    sections = [
        Section("At a glance", [_glance(card)]),
        Section("What it is for", _purpose(card.texts)),
        Section("Data", _data(card)),
        Section("Quality on the holdout", _quality(card.evaluation)),
        *_by_slice(card.evaluation),
        *_fairness(card.evaluation),
        Section("The gate", _gate(card)),
        *_compression(card.compression),
        Section("How it was trained", [_training(card)]),
        Section("Where it came from", _chain(card)),
        Section(f"Files of the lake: {len(card.files)}", [_files(card.files)], folded=True),
    ]
    title = f"{card.pipeline}, version {card.version}"
    return render_page("Model card", title, _verdict(card), sections)


def _verdict(card: ModelCard) -> Badge:
    if card.candidate.decision:
        return Badge(Verdict.WARNING, f"{card.candidate.decision.kind} by a person")
    passed = card.gate.verdict is GateVerdict.PASSED
    return Badge(Verdict.PASSED if passed else Verdict.WARNING, f"gate {card.gate.verdict}")


def _glance(card: ModelCard) -> Table:
    champion = card.evaluation.champion_version
    rows: list[Sequence[Cell]] = [
        ("answers", card.description or "-"),
        ("night", card.night.isoformat()),
        ("measured", _headline(card.evaluation)),
        ("compared with", f"version {champion}" if champion else card.evaluation.no_champion),
        ("gate", _decided(card)),
        ("released as", "a compressed variant" if card.candidate.served else "the float model"),
        ("owner", card.owner),
        ("MLflow run", card.candidate.run_id or "none"),
    ]
    return Table(("", ""), rows)


def _headline(evaluation: Evaluation) -> str:
    scores = evaluation.overall.candidate
    shown = [
        f"{metric.display_name} {value:.4f}"
        for metric in MAIN
        if (value := scores.of(metric)) is not None
    ]
    return f"{', '.join(shown)} on {evaluation.overall.rows:,} rows"


def _decided(card: ModelCard) -> str:
    decision = card.candidate.decision
    return f"{card.gate.verdict}; {decision}" if decision else str(card.gate.verdict)


def _purpose(texts: CardTexts) -> list[Block]:
    if texts == CardTexts():
        return [Text("pipeline.yaml says nothing of it: fill in its section 'card'.")]
    listed = (
        ("Not for", texts.not_intended),
        ("Limitations", texts.limitations),
        ("Ethical considerations", texts.ethical_considerations),
        ("Ask", texts.contacts),
    )
    blocks: list[Block] = [Text(texts.intended_use)] if texts.intended_use else []
    rows = [(title, _bullets(lines)) for title, lines in listed if lines]
    return [*blocks, Table(("", ""), rows)] if rows else blocks


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"\N{BULLET} {line}" for line in lines)


def _data(card: ModelCard) -> list[Block]:
    data = card.data
    label = data.label
    meaning = (
        f"one of {', '.join(label.classes)}"
        if label.classes
        else f"{label.column} above {label.above:g}"
        if label.above is not None
        else label.column
    )
    names = {Split.TRAIN: "trained on", Split.HOLDOUT: "held out"}
    periods = [
        (names[split], str(p.first), str(p.last), p.rows, p.files, round(p.bytes / 1e6, 2))
        for split, p in data.periods.items()
    ]
    features = ", ".join(f"{name} ({f.type})" for name, f in data.features.items())
    return [
        Text(f"Dataset {data.dataset.name}. Label {label.name}: {meaning}.\nReads {features}."),
        Table(("part", "from", "to", "rows", "files", "MB"), periods),
        Text(
            f"Validation warned:\n{_bullets(data.warnings)}"
            if data.warnings
            else "Validation warned of nothing."
        ),
    ]


def _quality(evaluation: Evaluation) -> list[Block]:
    group = evaluation.overall
    rows = [row for metric in QUALITY if (row := _metric_row(group, metric)) is not None]
    columns = ["metric", "this version"]
    if group.champion:
        columns += [f"version {evaluation.champion_version}", "difference", "interval of it"]
    caption = f"Intervals at {evaluation.confidence:.0%}, by a paired bootstrap over the rows."
    return [Table(columns, rows, caption if group.champion else "")]


def _metric_row(group: Group, metric: Metric) -> list[Cell] | None:
    ours = group.candidate.of(metric)
    if ours is None:
        return None
    row: list[Cell] = [metric.display_name, round(ours, 5)]
    if group.champion:
        theirs = group.champion.of(metric)
        row += [
            None if theirs is None else round(theirs, 5),
            None if theirs is None else f"{ours - theirs:+.5f}",
            _interval(group.differences.get(metric.value)),
        ]
    return row


def _interval(interval: Interval | None) -> str | None:
    if interval is None or interval.low is None or interval.high is None:
        return None
    return f"{interval.low:+.4f}{_TOGETHER}to{_TOGETHER}{interval.high:+.4f}"


def _by_slice(evaluation: Evaluation) -> Iterator[Section]:
    for name, groups in groupby(evaluation.slices, key=lambda group: group.slice):
        yield Section(f"By {name}", list(_slice(evaluation, str(name), list(groups))))


def _slice(evaluation: Evaluation, name: str, groups: Sequence[Group]) -> Iterator[Block]:
    metric = next(m for m in MAIN if evaluation.overall.candidate.of(m) is not None)
    rows = [
        Row(str(group.value), group.rows, [Mark(difference)])
        for group in groups
        if (difference := group.differences.get(metric.value))
    ]
    if rows:
        axis = Axis(f"{metric.display_name}, this version less the one before")
        figure = forest_figure(rows, axis)
        yield Figure(figure, f"Intervals at {evaluation.confidence:.0%}, each group by itself.")
    shown = [m for m in QUALITY if any(group.candidate.of(m) is not None for group in groups)]
    yield Table(
        [name, "rows", *(m.display_name for m in shown), ""],
        [_slice_row(group, shown) for group in groups],
        "Groups with fewer rows than evaluation.min_slice_size are shown and not judged.",
    )


def _slice_row(group: Group, metrics: Sequence[Metric]) -> list[Cell]:
    values = (group.candidate.of(metric) for metric in metrics)
    measured: list[Cell] = [None if value is None else round(value, 4) for value in values]
    small = Badge(Verdict.SKIPPED, "few rows") if group.small else ""
    return [group.value, group.rows, *measured, small]


def _fairness(evaluation: Evaluation) -> Iterator[Section]:
    for sensitive, gaps in groupby(evaluation.gaps, key=lambda gap: gap.sensitive):
        found = list(gaps)
        blocks: list[Block] = [
            Text("Each group against all other rows: 0 is no gap, for the ratio 1 is.")
        ]
        for metric in FAIRNESS:
            blocks += _gap_figure([gap for gap in found if gap.metric is metric], metric)
        blocks.append(_gap_table(found, evaluation))
        yield Section(f"Fairness by {sensitive}", blocks)


def _gap_figure(gaps: Sequence[Gap], metric: Metric) -> list[Block]:
    rows = [
        Row(
            gap.value,
            gap.rows,
            [Mark(gap.candidate), *([Mark(gap.champion, "two")] if gap.champion else [])],
        )
        for gap in gaps
        if not gap.small
    ]
    if not rows:
        return []
    ratio = metric is Metric.SELECTION_RATE_RATIO
    axis = Axis(metric.display_name, reference=1.0 if ratio else 0.0, signed=not ratio)
    two = " Orange: the version before." if any(len(row.marks) > 1 for row in rows) else ""
    figure = forest_figure(rows, axis)
    return [Figure(figure, f"{metric.display_name}, blue: this version.{two}")]


def _gap_table(gaps: Sequence[Gap], evaluation: Evaluation) -> Table:
    rows: list[list[Cell]] = [
        [
            gap.value,
            gap.rows,
            gap.metric.display_name,
            round(gap.candidate.value, 4),
            _interval(gap.candidate),
            None if gap.champion is None else round(gap.champion.value, 4),
            Badge(Verdict.SKIPPED, "few rows") if gap.small else "",
        ]
        for gap in gaps
    ]
    before = f"version {evaluation.champion_version}" if evaluation.champion_version else "before"
    columns = ("group", "rows", "metric", "this version", "interval", before, "")
    return Table(columns, rows)


def _gate(card: ModelCard) -> list[Block]:
    judged = [j for j in card.gate.judgements if j.ruling is not Ruling.SKIPPED]
    skipped = len(card.gate.judgements) - len(judged)
    columns = ("ruling", "rule", "group", "rows", "measured", "interval", "limit")
    note = f"{skipped} more were skipped: too few rows, or nothing to compare with."
    return [
        Text(f"Verdict: {_decided(card)}."),
        Table(columns, [_judgement(j) for j in judged], note if skipped else ""),
    ]


def _judgement(judgement: Judgement) -> list[Cell]:
    between = (
        None
        if judgement.low is None or judgement.high is None or judgement.low == judgement.high
        else f"{judgement.low:.4f}{_TOGETHER}to{_TOGETHER}{judgement.high:.4f}"
    )
    return [
        Badge(_BADGES[judgement.ruling], _ruling(judgement)),
        judgement.rule,
        judgement.scope,
        judgement.rows,
        _rounded(judgement.measured),
        between,
        f"{judgement.bound}{_TOGETHER}{judgement.limit:.4g}",
    ]


def _ruling(judgement: Judgement) -> str:
    return f"{judgement.ruling}, warns only" if judgement.warn_only else str(judgement.ruling)


def _compression(compression: Compression | None) -> Iterator[Section]:
    if compression is None:
        return
    variants = {variant.target: variant for variant in compression.variants.variants}
    rows = [_variant(verdict, variants[verdict.target]) for verdict in compression.verdicts]
    columns = ("variant", "", "bytes", "of float", "AUC", "accuracy", "log loss", "why rejected")
    note = f"On all {compression.variants.rows:,} holdout rows; {compression.variants.processor}."
    yield Section("Smaller variants", [Table(columns, [_float(compression), *rows], note)])


def _float(compression: Compression) -> list[Cell]:
    floats = compression.variants.baseline
    if floats is None:
        return ["float", "", None, None, None, None, None, "the converter refuses it"]
    scores = floats.scores
    measured = [_rounded(v) for v in (scores.auc, scores.accuracy, scores.log_loss)]
    return ["float", "", floats.size, 1.0, *measured, ""]


def _variant(verdict: VariantVerdict, variant: MeasuredVariant) -> list[Cell]:
    good = Badge(Verdict.PASSED, "accepted")
    badge = good if verdict.accepted else Badge(Verdict.FAILED, "rejected")
    found = variant.measured
    if found is None:
        return [verdict.target, badge, None, None, None, None, None, verdict.reason]
    scores = found.scores
    measured = [_rounded(v) for v in (scores.auc, scores.accuracy, scores.log_loss)]
    return [verdict.target, badge, found.size, _share(verdict), *measured, verdict.reason]


def _share(verdict: VariantVerdict) -> float | None:
    sizes = [j.measured for j in verdict.judgements if j.budget == "size"]
    return _rounded(sizes[0]) if sizes else None


def _training(card: ModelCard) -> Table:
    training = card.training
    rows = [(name, _shown(value)) for name, value in training.parameters.items()]
    rows += [(f"tuned: {name}", _shown(value)) for name, value in training.tuned.items()]
    rows += [(name, _shown(value)) for name, value in training.metrics.items()]
    return Table(("", ""), rows)


def _shown(value: object) -> str:
    match value:
        case dict():
            return ", ".join(f"{name} {_shown(one)}" for name, one in value.items())
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return number(value)
        case None:
            return "-"
        case _:
            return str(value)


def _chain(card: ModelCard) -> list[Block]:
    rows = [
        (made.name, f"{made.ref.kind}/{made.ref.key}", made.at.strftime("%Y-%m-%d %H:%M"), made.by)
        for made in card.chain
    ]
    released = card.candidate.released
    return [
        Table(("step", "artifact", "made at (UTC)", "by"), rows),
        Text(f"Registered by {card.candidate.by or 'unknown'}. What hosts load:"),
        Code(f"{released.uri}\nmanifest SHA-256 {released.digest}"),
        Text("The whole chain, and what became of the version since, on the machine that has it:"),
        Code(
            f"./nightshift lineage {card.pipeline}@{card.version}\n"
            f"./nightshift reproduce {card.pipeline}@{card.version}"
        ),
    ]


def _files(files: Sequence[PinnedFile]) -> Table:
    rows = [(f.split, f.key, f.version_id or "-", f.rows, f.sha256) for f in files]
    return Table(("part", "file", "version", "rows", "SHA-256"), rows)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
