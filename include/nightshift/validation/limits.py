"""What a schema allows one column on one day."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What the schema allows one column, as far as a single day can be held to it.

    Attributes:
        column: The column's name.
        min_present: Smallest share of rows with a value, 0 to 1.
        domain: Allowed strings; None where any string may stand.
        min_mass: Smallest share of values that must come from ``domain``, 0 to 1.
        low: Smallest number allowed; None for no limit.
        high: Largest number allowed; None for no limit.
    """

    column: str
    min_present: float = 0.0
    domain: frozenset[str] | None = None
    min_mass: float = 1.0
    low: float | None = None
    high: float | None = None
