"""What differs between two schemas, in words, and whether it lets through what was refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tensorflow_metadata.proto.v0 import schema_pb2

from nightshift.validation.limits import Limits
from nightshift.validation.schema import distance_limits, limits_of

_SHOWN = 8
_COMPARATORS = ("drift_comparator", "skew_comparator")
_COMPARED = (
    *("type", "domain", "string_domain", "int_domain", "float_domain", "presence"),
    *("shape", "value_count", "distribution_constraints", "not_in_environment", *_COMPARATORS),
)
"""Fields that are told in words; any other is told as changed."""


@dataclass(frozen=True)
class Change:
    """One difference.

    Attributes:
        column: Its column; empty where it is about all.
        text: The difference in words.
        looser: Whether data passes that did not before. What cannot be told counts as looser.
    """

    column: str
    text: str
    looser: bool

    def __str__(self) -> str:
        return f"{'looser ' if self.looser else 'tighter'}  {self.column or 'schema'}: {self.text}"


def differences(before: schema_pb2.Schema, after: schema_pb2.Schema) -> list[Change]:
    """From the first schema to the second, in the second's order, removed columns last."""
    old = {feature.name: feature for feature in before.feature}
    new = {feature.name: feature for feature in after.feature}
    limits = ({x.column: x for x in limits_of(before)}, {x.column: x for x in limits_of(after)})
    found: list[Change] = []
    for name, feature in new.items():
        if name not in old:
            found.append(Change(name, "is described for the first time", looser=False))
            continue
        found += _limit_changes(limits[0][name], limits[1][name])
        found += _field_changes(old[name], feature)
    for comparator in _COMPARATORS:
        found += _distance_changes(before, after, comparator, old.keys() & new.keys())
    found += [Change(n, "is no longer described", looser=True) for n in old if n not in new]
    if list(before.default_environment) != list(after.default_environment):
        found.append(Change("", "default_environment is another", looser=True))
    return found


def _limit_changes(old: Limits, new: Limits) -> Iterator[Change]:
    column = new.column
    if new.min_present != old.min_present:
        text = f"at least {old.min_present:.1%} of rows with a value becomes {new.min_present:.1%}"
        yield Change(column, text, looser=new.min_present < old.min_present)
    if new.min_mass != old.min_mass:
        text = f"share of listed values {old.min_mass:.1%} becomes {new.min_mass:.1%}"
        yield Change(column, text, looser=new.min_mass < old.min_mass)
    if new.low != old.low:
        looser = new.low is None or (old.low is not None and new.low < old.low)
        yield Change(column, f"least {_bound(old.low)} becomes {_bound(new.low)}", looser)
    if new.high != old.high:
        looser = new.high is None or (old.high is not None and new.high > old.high)
        yield Change(column, f"greatest {_bound(old.high)} becomes {_bound(new.high)}", looser)
    yield from _domain_changes(old, new)


def _domain_changes(old: Limits, new: Limits) -> Iterator[Change]:
    if (old.domain is None) != (new.domain is None):
        gone = new.domain is None
        text = "any value may stand" if gone else f"{len(new.domain or ())} values are listed now"
        yield Change(new.column, text, looser=gone)
        return
    before, after = old.domain or frozenset(), new.domain or frozenset()
    if added := sorted(after - before):
        yield Change(new.column, f"{len(added)} more value(s): {_listed(added)}", looser=True)
    if removed := sorted(before - after):
        yield Change(new.column, f"{len(removed)} fewer value(s): {_listed(removed)}", looser=False)


def _field_changes(old: schema_pb2.Feature, new: schema_pb2.Feature) -> Iterator[Change]:
    names = schema_pb2.FeatureType.Name
    if old.type != new.type:
        yield Change(new.name, f"type {names(old.type)} becomes {names(new.type)}", looser=True)
    absent = sorted(set(new.not_in_environment) - set(old.not_in_environment))
    if absent:
        yield Change(new.name, f"may be absent in {', '.join(absent)}", looser=True)
    present = sorted(set(old.not_in_environment) - set(new.not_in_environment))
    if present:
        yield Change(new.name, f"must be there in {', '.join(present)}", looser=False)
    if _rest(old) != _rest(new):
        yield Change(new.name, "has other fields changed: compare the files", looser=True)


def _rest(feature: schema_pb2.Feature) -> bytes:
    """What is not told in words; of domains what is no bound or value."""
    rest = schema_pb2.Feature()
    rest.CopyFrom(feature)
    for name in _COMPARED:
        rest.ClearField(name)
    for name in ("int_domain", "float_domain"):
        if feature.WhichOneof("domain_info") == name:
            domain = getattr(rest, name)
            domain.CopyFrom(getattr(feature, name))
            domain.ClearField("min")
            domain.ClearField("max")
    return rest.SerializeToString(deterministic=True)


def _distance_changes(
    before: schema_pb2.Schema, after: schema_pb2.Schema, comparator: str, columns: set[str]
) -> Iterator[Change]:
    old, new = distance_limits(before, comparator), distance_limits(after, comparator)
    for column in sorted(columns):
        was, now = old.get(column), new.get(column)
        if was != now:
            looser = now is None or (was is not None and now > was)
            kind = comparator.removesuffix("_comparator")
            text = f"{kind} limit {_bound(was)} becomes {_bound(now)}"
            yield Change(column, text, looser)


def _bound(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def _listed(values: list[str]) -> str:
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return ", ".join(repr(value) for value in values[:_SHOWN]) + more
