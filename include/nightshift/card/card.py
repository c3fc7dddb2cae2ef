"""Step ``card``: the model card of a version that was just registered.

Files of the artifact: ``model_card.json``, ``model_card.html``. Everything is read from the
artifacts that the version was registered with; nothing is measured again.
"""

from __future__ import annotations

from nightshift.card.content import (
    Compression,
    ModelCard,
    data_of,
    made,
    training_of,
)
from nightshift.card.files import JSON_FILE, PAGE_FILE
from nightshift.card.page import render
from nightshift.compression.accept import BUDGETS_FILE, BudgetsResult
from nightshift.compression.result import VARIANTS_FILE, Variants
from nightshift.data.pinned import SNAPSHOT_FILE, Snapshot
from nightshift.definition.card import CardTexts
from nightshift.definition.model import Dataset
from nightshift.evaluation.result import METRICS_FILE, Evaluation
from nightshift.gates.result import GATE_FILE, GateResult
from nightshift.lineage.chain import follow
from nightshift.release.candidate import Candidate
from nightshift.steps.contract import StepContext, StepOutcome


def run(context: StepContext) -> StepOutcome:
    """Write the card.

    Raises:
        DigestMismatchError: An artifact of the version's chain is gone or was changed.
    """
    card = _card(context)
    (context.output / JSON_FILE).write_text(card.model_dump_json(indent=1), encoding="utf-8")
    (context.output / PAGE_FILE).write_text(render(card), encoding="utf-8")
    return StepOutcome(facts={"version": card.version}, reports={"Model card": PAGE_FILE})


def _card(context: StepContext) -> ModelCard:
    request, store = context.request, context.store
    candidate = request.section("registered", Candidate)
    links = follow(store, request.inputs, f"{request.pipeline}@{candidate.version}")
    named = {link.name: link for link in links}
    snapshot = Snapshot.model_validate_json(store.read(context.input("snapshot"), SNAPSHOT_FILE))
    return ModelCard(
        pipeline=request.pipeline,
        version=candidate.version,
        night=candidate.night,
        description=request.section("description", str),
        owner=request.section("owner", str),
        texts=request.section("card", CardTexts),
        candidate=candidate,
        data=data_of(named, snapshot, request.section("dataset", Dataset)),
        training=training_of(named["train"]),
        evaluation=Evaluation.model_validate_json(
            store.read(context.input("evaluate"), METRICS_FILE)
        ),
        gate=GateResult.model_validate_json(store.read(context.input("gate"), GATE_FILE)),
        compression=_compression(context),
        chain=tuple(made(link) for link in links),
        files=snapshot.files,
    )


def _compression(context: StepContext) -> Compression | None:
    """What was measured of the variants; None for a pipeline without."""
    if "budgets" not in context.request.inputs:
        return None
    budgets = context.input("budgets")
    measured = context.store.open(budgets.manifest.inputs["evaluate_variants"])
    return Compression(
        variants=Variants.model_validate_json(context.store.read(measured, VARIANTS_FILE)),
        verdicts=BudgetsResult.model_validate_json(
            context.store.read(budgets, BUDGETS_FILE)
        ).verdicts,
    )
