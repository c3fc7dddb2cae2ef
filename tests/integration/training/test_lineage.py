"""From a version back to the lake, and the same training again from what was found there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.artifacts.store import Artifact
from nightshift.card.content import ModelCard
from nightshift.card.files import JSON_FILE, PAGE_FILE
from nightshift.errors import DigestMismatchError
from nightshift.lineage.chain import Chain, chain_of
from nightshift.lineage.reproduction import Reproduction, differing
from nightshift.release import requests
from nightshift.release.candidate import Candidate
from tests.integration.training.conftest import Trained
from tests.integration.training.small_night import DAYS, NIGHT
from tests.unit.reports.elsewhere import asks_of_elsewhere
from tests.unit.training.small_data import MODEL


@pytest.fixture(scope="module")
def registered(trained: Trained) -> Candidate:
    """The model, evaluated and asked to be released."""
    night = trained.night
    checked = night.statistics(["weight: seldom heard of"])
    inputs = {"snapshot": trained.snapshot, "statistics": checked, "train": trained.model}
    for step in ("evaluate", "gate"):
        made = night.run(step, inputs).artifact
        assert made is not None, "\n".join(night.lines)
        inputs[step] = made
    candidate = Candidate(
        version=7,
        night=NIGHT,
        model=inputs.pop("train"),
        lineage=inputs,
        by="retrain_small/one by ada",
    )
    requests.ask(night.s3.artifacts, "small", candidate, by="grace", reason="a good night")
    requests.abort(night.s3.artifacts, "small", by="joan", reason="second thoughts")
    return candidate


@pytest.fixture(scope="module")
def chain(trained: Trained, registered: Candidate) -> Chain:
    return chain_of(trained.night.store, "small", registered)


def test_the_chain_ends_at_the_exact_files_of_the_lake(trained: Trained, chain: Chain) -> None:
    assert len(chain.data.files) == DAYS
    lake = trained.night.s3.lake
    for file in chain.data.files:
        assert lake.get(file.key, file.version_id).version_id == file.version_id
        assert len(file.sha256) == 64


def test_what_an_artifact_was_made_of_comes_before_it(chain: Chain) -> None:
    names = [link.name for link in chain.artifacts]
    assert names == ["snapshot", "statistics", "train", "evaluate", "gate"]
    train = chain.artifacts[2].manifest
    assert {"step", "runtime:ml", "file:model.py"} == set(train.code)
    assert train.parameters["training"]["epochs"] == 2


def test_the_persons_of_the_release_are_named_with_their_reasons(chain: Chain) -> None:
    said = [(deed.by, deed.what, deed.why) for deed in chain.deeds[-3:]]
    assert said[0] == ("retrain_small/one by ada", "registered it", "")
    assert said[1] == ("grace", "release requested", "a good night")
    assert said[2][:2] == ("joan", "release aborted")


def test_every_artifact_that_is_gone_is_named(trained: Trained, registered: Candidate) -> None:
    def gone(ref: ArtifactRef) -> ArtifactRef:
        return ref.model_copy(update={"uri": ref.uri + "0"})

    broken = registered.model_copy(
        update={
            "model": gone(registered.model),
            "lineage": {"snapshot": gone(trained.snapshot)},
        }
    )
    with pytest.raises(DigestMismatchError, match="small@7: the chain is broken in 2 place") as e:
        chain_of(trained.night.store, "small", broken)
    assert e.value.facts["gone"] == sorted([gone(trained.snapshot).uri, broken.model.uri])


@pytest.fixture
def again(trained: Trained, chain: Chain, tmp_path: Path) -> Reproduction:
    """No pipeline's folder: the recorded model.py has to do."""
    return Reproduction(trained.night.store, chain, tmp_path, pipeline=None, by="an auditor")


def test_training_again_from_the_chain_alone_gives_the_same_metrics(
    trained: Trained, again: Reproduction
) -> None:
    bucket = trained.night.s3.artifacts
    before = {found.key for found in bucket.list("")}
    compared = again.run(lambda line: None)
    assert differing(compared) == []
    measured = {(one.step, one.metric) for one in compared}
    assert {("train", "train_loss"), ("evaluate", "auc"), ("evaluate", "log_loss")} <= measured
    made = {found.key for found in bucket.list("")} - before
    assert made
    assert all(key.startswith(f"{again.scratch}/") for key in made)
    again.remove()
    assert {found.key for found in bucket.list("")} == before


def test_the_code_here_is_the_code_that_made_it(again: Reproduction) -> None:
    assert again.code_differences() == ()


def test_other_code_is_said_part_by_part(again: Reproduction, chain: Chain, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    other = replace(again, work=folder)
    (folder / "small").mkdir(parents=True)
    (folder / "small/model.py").write_text(MODEL + "\nCHANGED = True\n")
    (difference,) = other.code_differences()
    assert (difference.step, difference.part) == ("train", "file:model.py")
    assert difference.recorded != difference.here


@pytest.fixture(scope="module")
def card(trained: Trained, registered: Candidate) -> Artifact:
    own = {"registered": registered.model_dump(mode="json")}
    inputs = {**registered.lineage, "train": registered.model}
    texts = {"intended_use": "Shows <what> a card says.", "limitations": ["a toy"]}
    definition = trained.night.definition(card=texts)
    result = trained.night.run("card", inputs, definition, own=own)
    assert result.artifact is not None, (result.error, trained.night.lines)
    return trained.night.store.open(result.artifact)


def test_the_card_holds_what_was_measured_judged_and_read(
    trained: Trained, chain: Chain, card: Artifact
) -> None:
    content = ModelCard.model_validate_json(trained.night.store.read(card, JSON_FILE))
    assert (content.version, content.night) == (7, NIGHT)
    assert content.evaluation.overall.rows > 0
    assert content.gate.judgements
    assert content.files == chain.data.files
    assert {made.name for made in content.chain} == {link.name for link in chain.artifacts}


def test_the_cards_page_stands_by_itself(trained: Trained, card: Artifact) -> None:
    page = trained.night.store.read(card, PAGE_FILE).decode()
    assert asks_of_elsewhere(page) == []
    assert "Shows &lt;what&gt; a card says." in page
    assert "small, version 7" in page
    for file in trained.night.s3.lake.list("small/"):
        assert file.key in page
