"""Which columns a pipeline reads from the lake, and which types it takes for each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from nightshift.definition.model import Dataset, Feature, FeatureType, Label

if TYPE_CHECKING:
    import pyarrow as pa


class Family(StrEnum):
    """Arrow types that stand for the same kind of value, however wide or encoded."""

    STRING = "string"
    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    DATE = "date"
    BINARY = "binary"
    NULL = "null"
    """Not one value in the file: its writer could not tell a type."""
    OTHER = "other"


_TEXT = frozenset({Family.STRING})
_ACCEPTED = {
    FeatureType.STRING: _TEXT,
    FeatureType.INT: frozenset({Family.INT}),
    FeatureType.FLOAT: frozenset({Family.FLOAT, Family.INT}),
    FeatureType.IMAGE: frozenset({Family.BINARY}),
}
_NUMBER = frozenset({Family.INT, Family.FLOAT, Family.BOOL})
_PLAIN = frozenset({Family.STRING, Family.INT, Family.FLOAT, Family.BOOL, Family.DATE})


@dataclass(frozen=True)
class Column:
    """One column that the pipeline reads.

    Attributes:
        name: Its name in the lake.
        accepted: The families of types that may stand there.
        role: What the pipeline reads it for, in the words of pipeline.yaml.
    """

    name: str
    accepted: frozenset[Family]
    role: str

    @property
    def expected(self) -> str:
        """The accepted types in words."""
        return " or ".join(sorted(self.accepted))


def expected_columns(
    dataset: Dataset,
    label: Label,
    features: dict[str, Feature],
    slices: tuple[str, ...],
) -> tuple[Column, ...]:
    """Every column of :attr:`PipelineDefinition.columns`, by name, with what it may hold."""
    found = {name: Column(name, _PLAIN, "slices or sensitive") for name in slices}
    found |= {name: Column(name, _PLAIN, "dataset.unique") for name in dataset.unique}
    found |= {n: Column(n, _ACCEPTED[f.type], "features") for n, f in features.items()}
    found[label.column] = Column(label.column, _NUMBER, "label.column")
    dates = frozenset({Family.DATE, Family.STRING})
    found[dataset.date_column] = Column(dataset.date_column, dates, "dataset.date_column")
    return tuple(found[name] for name in sorted(found))


def family_of(type_: pa.DataType) -> Family:
    """The family of an Arrow type."""
    import pyarrow as pa

    if pa.types.is_dictionary(type_):
        return family_of(type_.value_type)
    tests = (
        (pa.types.is_string, Family.STRING),
        (pa.types.is_large_string, Family.STRING),
        (pa.types.is_integer, Family.INT),
        (pa.types.is_floating, Family.FLOAT),
        (pa.types.is_boolean, Family.BOOL),
        (pa.types.is_date, Family.DATE),
        (pa.types.is_binary, Family.BINARY),
        (pa.types.is_large_binary, Family.BINARY),
        (pa.types.is_fixed_size_binary, Family.BINARY),
        (pa.types.is_null, Family.NULL),
    )
    return next((family for test, family in tests if test(type_)), Family.OTHER)
