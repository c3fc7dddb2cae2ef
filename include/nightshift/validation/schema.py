"""The curated schema of a pipeline: read from ``schema.pbtxt``, and the limits it sets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from nightshift.errors import BadDefinitionError
from nightshift.validation.limits import Limits

SCHEMA_FILE = "schema.pbtxt"


def read_schema(folder: Path, required: Iterable[str]) -> schema_pb2.Schema:
    """The pipeline's schema.

    Args:
        folder: The pipeline's folder.
        required: Columns that it must describe.

    Raises:
        BadDefinitionError: It is not a Schema in text form, describes a column twice, or leaves
            a required one out; the message names file, line and column.
    """
    shown = f"{folder.name}/{SCHEMA_FILE}"
    schema = parse_schema(folder / SCHEMA_FILE)
    names = {feature.name for feature in schema.feature}
    for column in required:
        if column not in names:
            raise BadDefinitionError(
                f"{shown}: has no feature {column!r}, which pipeline.yaml reads; add 'feature "
                f'{{ name: "{column}" … }}\' with its type, presence and domain.',
                file=shown,
            )
    return schema


def parse_schema(path: Path) -> schema_pb2.Schema:
    """Any file with a schema in text form.

    Raises:
        BadDefinitionError: It is none, describes a column twice, or names a domain that is not
            there; the message names file, line and column.
    """
    shown = f"{path.parent.name}/{path.name}"
    schema = schema_pb2.Schema()
    try:
        text_format.Parse(path.read_text(encoding="utf-8"), schema)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise BadDefinitionError(
            f"{shown}:{error}: expected a tensorflow.metadata.v0.Schema in text form.",
            file=shown,
        ) from None
    names = [feature.name for feature in schema.feature]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadDefinitionError(f"{shown}: feature {twice[0]!r} is there twice.", file=shown)
    _check_domains(schema, shown)
    return schema


def _check_domains(schema: schema_pb2.Schema, shown: str) -> None:
    known = {domain.name for domain in schema.string_domain}
    for feature in schema.feature:
        if feature.domain and feature.domain not in known:
            raise BadDefinitionError(
                f"{shown}: feature {feature.name!r} names the domain {feature.domain!r}, and no "
                f"string_domain has that name (there are {sorted(known)}).",
                file=shown,
            )


def limits_of(schema: schema_pb2.Schema) -> tuple[Limits, ...]:
    """The limits of each column, in the schema's order."""
    shared = {domain.name: frozenset(domain.value) for domain in schema.string_domain}
    return tuple(_limits(feature, shared) for feature in schema.feature)


def distance_limits(schema: schema_pb2.Schema, comparator: str) -> dict[str, float]:
    """Each column's greatest Jensen-Shannon divergence, where the schema sets one.

    Args:
        schema: The curated schema.
        comparator: ``drift_comparator`` or ``skew_comparator``.
    """
    return {
        feature.name: getattr(feature, comparator).jensen_shannon_divergence.threshold
        for feature in schema.feature
        if getattr(feature, comparator).HasField("jensen_shannon_divergence")
    }


def _limits(feature: schema_pb2.Feature, shared: dict[str, frozenset[str]]) -> Limits:
    low, high = _range(feature)
    mass = feature.distribution_constraints
    return Limits(
        column=feature.name,
        min_present=1.0 if feature.HasField("shape") else feature.presence.min_fraction,
        domain=_domain(feature, shared),
        min_mass=mass.min_domain_mass if mass.HasField("min_domain_mass") else 1.0,
        low=low,
        high=high,
    )


def _domain(
    feature: schema_pb2.Feature, shared: dict[str, frozenset[str]]
) -> frozenset[str] | None:
    if feature.HasField("string_domain"):
        return frozenset(feature.string_domain.value)
    return shared.get(feature.domain) if feature.HasField("domain") else None


def _range(feature: schema_pb2.Feature) -> tuple[float | None, float | None]:
    kind = feature.WhichOneof("domain_info")
    if kind not in ("int_domain", "float_domain"):
        return None, None
    domain = getattr(feature, kind)
    if kind == "int_domain" and domain.min == domain.max == 0:
        return None, None  # "is_categorical" alone sets no range
    low = domain.min if domain.HasField("min") else None
    high = domain.max if domain.HasField("max") else None
    return low, high
