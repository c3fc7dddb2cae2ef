"""A schema is inferred from the lake, compared in words, and never loosened in silence."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest

from nightshift.command import pipelines
from nightshift.runtimes import Runtime, python_of
from tests.integration.flights_lake import NIGHT, FlightsLake, first_rows


@pytest.fixture
def folder(flights: FlightsLake, tmp_path: Path) -> Path:
    """The flights pipeline in a folder of this test's own."""
    copy = tmp_path / "flights"
    shutil.copytree(flights.definition.folder, copy)
    definition = copy / "pipeline.yaml"
    text = definition.read_text(encoding="utf-8")
    assert "days: 90" in text
    definition.write_text(text.replace("days: 90", "days: 14"), encoding="utf-8")
    return copy


def schema(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command, as ``./nightshift schema`` runs it."""
    what, *flags = arguments
    return subprocess.run(
        [
            python_of(Runtime.VALIDATION),
            *("-m", "nightshift.validation.schema_life", what, "flights", *flags),
        ],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[3] / "include"),
            "NIGHTSHIFT_PIPELINES": str(folder.parent),
        },
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_what_the_window_asks_for_is_proposed_and_accepted_only_where_it_is_named(
    flights: FlightsLake, folder: Path
) -> None:
    def spoil(table: pa.Table) -> pa.Table:
        far = first_rows(table, "distance", 2 / table.num_rows, 6000.0)
        return first_rows(far, "carrier", 0.05, None)

    before = (folder / "schema.pbtxt").read_text(encoding="utf-8")
    with flights.spoiled(NIGHT, spoil):
        inferred = schema(folder, "infer", "--night", NIGHT.isoformat())
    assert inferred.returncode == 0, inferred.stderr
    changes = inferred.stdout.splitlines()
    assert changes == schema(folder, "diff").stdout.splitlines()
    assert changes == [
        "looser   carrier: at least 100.0% of rows with a value becomes 99.0%",
        "looser   dest: 1 more value(s): 'SBN'",
        "looser   distance: greatest 5100 becomes 6000",
    ]

    refused = schema(folder, "accept", "--loosen", "dest")
    assert refused.returncode == 1
    assert "looser   distance: greatest 5100 becomes 6000" in refused.stderr
    assert "--loosen carrier --loosen distance" in refused.stderr
    assert (folder / "schema.pbtxt").read_text(encoding="utf-8") == before

    named = [part for c in ("carrier", "dest", "distance") for part in ("--loosen", c)]
    assert schema(folder, "accept", *named).returncode == 0
    after = (folder / "schema.pbtxt").read_text(encoding="utf-8")
    assert 'value: "SBN"  # seen 2013-08-18 to 2013-08-31' in after
    assert len(after.splitlines()) == len(before.splitlines()) + 1
    assert "# miles; the farthest are Honolulu" in after
    assert not (folder / "schema.proposed.pbtxt").exists()
    gone = schema(folder, "diff")
    assert "flights has no schema.proposed.pbtxt" in gone.stderr


def test_a_tighter_proposal_is_accepted_and_a_wrong_one_told_by_its_line(folder: Path) -> None:
    text = (folder / "schema.pbtxt").read_text(encoding="utf-8")
    proposal = folder / "schema.proposed.pbtxt"
    proposal.write_text(text.replace("max: 9999", "max: 8500").replace('value: "YV"\n', ""))
    accepted = schema(folder, "accept")
    assert accepted.stdout.splitlines() == [
        "tighter  carrier: 1 fewer value(s): 'YV'",
        "tighter  flight: greatest 9999 becomes 8500",
    ]
    proposal.write_text(text.replace("presence {", "presense {", 1))
    wrong = schema(folder, "diff")
    assert wrong.returncode == 1
    assert "schema.proposed.pbtxt:" in wrong.stderr
    assert "presense" in wrong.stderr


def test_a_new_pipeline_s_schema_is_written_from_its_data(
    flights: FlightsLake, folder: Path
) -> None:
    template = Path(pipelines.__file__).with_name("template") / "schema.pbtxt"
    shutil.copy(template, folder / "schema.pbtxt")
    inferred = schema(folder, "infer", "--night", NIGHT.isoformat())
    assert inferred.returncode == 0, inferred.stderr
    described = {line.split()[1].rstrip(":") for line in inferred.stdout.splitlines()}
    wanted = set(flights.definition.columns) - {"date"}
    assert described == wanted
    assert schema(folder, "accept").returncode == 0
    text = (folder / "schema.pbtxt").read_text(encoding="utf-8")
    [label] = [block for block in text.split("feature {") if 'name: "arr_delay"' in block]
    assert "value_count { min: 1 max: 1 }" in label  # cancelled flights never arrive
    assert 'not_in_environment: "SERVING"' in label
    again = schema(folder, "infer", "--night", NIGHT.isoformat())
    assert (again.returncode, again.stdout.strip()) == (0, "")
