"""The model card's page: what must be seen on it, and that it asks nothing of anyone."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.card.content import Data, Made, ModelCard, Period, Training
from nightshift.card.page import render
from nightshift.data.pinned import PinnedFile, Split
from nightshift.definition.card import CardTexts
from nightshift.definition.gates import Metric
from nightshift.definition.model import Dataset, Feature, FeatureType, Label
from nightshift.evaluation.result import Evaluation, Gap, Group, Interval, Scores
from nightshift.gates.decision import Decision, DecisionKind
from nightshift.gates.result import GateResult
from nightshift.gates.rules import Bound, Judgement, Ruling
from nightshift.gates.verdict import GateVerdict
from nightshift.release.candidate import Candidate
from tests.unit.reports.elsewhere import asks_of_elsewhere

NIGHT = date(2018, 12, 31)
AT = datetime(2019, 1, 1, 2, tzinfo=UTC)


def ref(kind: str) -> ArtifactRef:
    uri = f"s3://nightshift/employment/artifacts/{kind}/0a1b"
    return ArtifactRef(kind=kind, key="0a1b", uri=uri, digest="d" * 64)


def group(value: str | None, auc: float, *, small: bool = False) -> Group:
    differences = {} if small else {"auc": Interval(value=-0.001, low=-0.02, high=0.018)}
    return Group(
        slice="sex" if value else None,
        value=value,
        rows=90 if small else 4000,
        positives=2000,
        candidate=Scores(auc=auc, log_loss=0.5, accuracy=0.75, pr_auc=0.8),
        champion=Scores(auc=auc + 0.001, log_loss=0.5, accuracy=0.75),
        differences=differences,
        small=small,
    )


def evaluation() -> Evaluation:
    gap = Gap(
        sensitive="sex",
        value="female",
        rows=4000,
        metric=Metric.TPR_GAP,
        candidate=Interval(value=-0.031, low=-0.044, high=-0.018),
        champion=Interval(value=-0.02, low=-0.033, high=-0.007),
    )
    return Evaluation(
        pipeline="employment",
        night=NIGHT,
        overall=group(None, 0.81),
        slices=(group("male", 0.82), group("female", 0.8), group("<unknown>", 0.7, small=True)),
        champion_version=6,
        gaps=(gap,),
    )


def gate() -> GateResult:
    judgement = Judgement(
        rule="tpr_gap by sex <= 0.05",
        metric=Metric.TPR_GAP,
        slice="sex",
        value="female",
        rows=4000,
        candidate=-0.031,
        measured=-0.031,
        low=-0.061,
        high=-0.001,
        confidence=0.95,
        bound=Bound.WITHIN,
        limit=0.05,
        ruling=Ruling.INCONCLUSIVE,
    )
    return GateResult(
        pipeline="employment",
        night=NIGHT,
        verdict=GateVerdict.INCONCLUSIVE,
        champion_version=6,
        judgements=(judgement,),
    )


def candidate() -> Candidate:
    decision = Decision(
        kind=DecisionKind.APPROVED,
        by="ada",
        reason="the gap is <smaller> than last year's",
        at=AT,
        night=NIGHT,
        gate=ref("gate"),
        model=ref("model"),
    )
    return Candidate(version=7, night=NIGHT, model=ref("model"), run_id="r1", decision=decision)


@pytest.fixture
def card() -> ModelCard:
    file = PinnedFile(
        date=NIGHT,
        split=Split.TRAIN,
        key="employment/date=2018-12-31/part-0.parquet",
        version_id="v1",
        sha256="e" * 64,
        size=1_000_000,
        rows=60_000,
    )
    return ModelCard(
        pipeline="employment",
        version=7,
        night=NIGHT,
        description="Is a person employed?",
        owner="labour-statistics",
        texts=CardTexts(intended_use="To show <b>fairness</b>.", limitations=("one state",)),
        candidate=candidate(),
        data=Data(
            dataset=Dataset(name="employment"),
            label=Label(name="employed", column="employed"),
            features={"age": Feature(type=FeatureType.INT)},
            periods={
                Split.TRAIN: Period(first=NIGHT, last=NIGHT, files=1, rows=60_000, bytes=1_000_000)
            },
            warnings=("age: 3 values above 99",),
        ),
        training=Training(parameters={"epochs": 5}, tuned={}, metrics={"train_auc": 0.82}),
        evaluation=evaluation(),
        gate=gate(),
        compression=None,
        chain=(Made(name="train", ref=ref("model"), by="run 1", at=AT, code_version="1", code={}),),
        files=(file,),
    )


@pytest.fixture
def page(card: ModelCard) -> str:
    return render(card)


def test_it_asks_nothing_of_any_address(page: str) -> None:
    assert asks_of_elsewhere(page) == []


@pytest.mark.parametrize(
    "words",
    [
        "employment, version 7",
        "To show &lt;b&gt;fairness&lt;/b&gt;.",
        "one state",
        "age: 3 values above 99",
        "Fairness by sex",
        "By sex",
        "tpr_gap by sex &lt;= 0.05",
        "inconclusive; approved by ada: the gap is &lt;smaller&gt; than last year",
        "./nightshift reproduce employment@7",
        "employment/date=2018-12-31/part-0.parquet",
    ],
)
def test_what_an_auditor_asks_for_is_there(page: str, words: str) -> None:
    assert words in page


def test_a_small_group_is_listed_and_never_dropped(page: str) -> None:
    assert "&lt;unknown&gt;" in page
    assert "few rows" in page


def test_what_nobody_wrote_is_said(card: ModelCard) -> None:
    silent = card.model_copy(update={"texts": CardTexts()})
    assert "pipeline.yaml says nothing of it" in render(silent)


def test_the_card_is_the_same_when_read_again(card: ModelCard, page: str) -> None:
    assert render(ModelCard.model_validate_json(card.model_dump_json())) == page
