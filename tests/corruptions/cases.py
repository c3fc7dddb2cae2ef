"""Which kinds of corruption apply to a pipeline, on which columns, at which strength."""

from __future__ import annotations

from dataclasses import dataclass

from tests.corruptions import kinds
from tests.corruptions.kinds import Spoil


@dataclass(frozen=True)
class Case:
    """One kind on one pipeline.

    Attributes:
        kind: The kind's name, the same on every pipeline.
        spoil: The kind, its columns chosen.
        strength: How strong, as the kind counts it.
        shown: The strength in words, for the table.
    """

    kind: str
    spoil: Spoil
    strength: float = 1.0
    shown: str = "all"


def _share(kind: str, spoil: Spoil, share: float) -> Case:
    return Case(kind, spoil, share, f"{100 * share:g}% of rows")


FLIGHTS = (
    _share("nulls", kinds.nulls("carrier"), 0.01),
    _share("not a number", kinds.not_a_number("distance"), 0.01),
    Case("numbers as text", kinds.as_text("sched_dep_time")),
    Case("missing column", kinds.missing("dest")),
    Case("renamed column", kinds.renamed("dest", "destination")),
    Case("another unit", kinds.scaled("distance"), 1.609344, "kilometres"),
    Case("minutes for HHMM", kinds.minutes_of_hhmm("sched_dep_time")),
    Case("another clock", kinds.other_clock("sched_dep_time", "sched_arr_time"), 5, "5 hours"),
    _share("typos", kinds.typos("dest"), 0.02),
    _share("another case", kinds.lower_case("carrier"), 0.01),
    _share("garbled text", kinds.garbled("origin"), 0.01),
    _share("new category", kinds.new_category("dest", "QQQ"), 0.02),
    _share("stuck value", kinds.constant("carrier"), 0.5),
    Case("moved label", kinds.moved("arr_delay"), 60, "60 minutes"),
    Case("turned label", kinds.negated("arr_delay"), shown="sign turned"),
    _share("out of range", kinds.out_of_range("arr_delay", 9999), 0.01),
    Case("swapped columns", kinds.swapped("sched_dep_time", "sched_arr_time")),
    _share("misaligned rows", kinds.misaligned("distance"), 0.3),
    _share("leaked label", kinds.leaked("sched_arr_time", "arr_time"), 1.0),
    _share("duplicated rows", kinds.duplicated(), 0.01),
    _share("dropped rows", kinds.dropped(), 0.5),
    _share("export cut off", kinds.cut_off("sched_dep_time"), 0.2),
    Case("source lost", kinds.category_lost("origin", "LGA"), shown="one airport"),
    Case("stale day", kinds.stale(), shown="yesterday"),
    Case(
        "stale day, calendar set right",
        kinds.stale(with_dates=("weekday", "month")),
        shown="yesterday",
    ),
    _share("misdated rows", kinds.misdated(), 0.01),
    Case("file cut off", kinds.truncated_file(), 0.1, "10% of bytes"),
    Case("missing day", kinds.missing_day()),
)

FASHION = (
    _share("nulls", kinds.nulls("label"), 0.01),
    Case("numbers as text", kinds.as_text("label")),
    Case("missing column", kinds.missing("label")),
    Case("renamed column", kinds.renamed("image", "picture")),
    _share("stuck value", kinds.constant("label"), 0.5),
    Case("moved label", kinds.renumbered("label", 10), 1, "by one"),
    _share("misaligned rows", kinds.misaligned("label"), 0.5),
    _share("out of range", kinds.out_of_range("label", 10), 0.01),
    _share("duplicated rows", kinds.duplicated(), 0.01),
    _share("dropped rows", kinds.dropped(), 0.1),
    Case("source lost", kinds.category_lost("label", 3), shown="one class"),
    Case("stale day", kinds.stale(), shown="yesterday"),
    _share("misdated rows", kinds.misdated(), 0.01),
    Case("file cut off", kinds.truncated_file(), 0.1, "10% of bytes"),
    Case("missing day", kinds.missing_day()),
    _share("inverted pixels", kinds.inverted_pixels("image"), 0.2),
    _share("noise for pixels", kinds.noisy_pixels("image"), 0.2),
    _share("scrambled pixels", kinds.scrambled_pixels("image"), 0.2),
    _share("blank images", kinds.blank_images("image"), 0.2),
    _share("shortened images", kinds.shortened_images("image"), 0.01),
)

EMPLOYMENT = (
    _share("nulls", kinds.nulls("sex"), 0.01),
    Case("numbers as text", kinds.as_text("age")),
    Case("missing column", kinds.missing("race")),
    Case("renamed column", kinds.renamed("education", "schooling")),
    Case("another unit", kinds.scaled("age"), 12, "months"),
    _share("typos", kinds.typos("education"), 0.001),
    _share("another case", kinds.first_capital("sex"), 0.001),
    _share("garbled text", kinds.garbled("ancestry"), 0.001),
    _share("new category", kinds.new_category("relationship", "guest"), 0.001),
    _share("stuck value", kinds.constant("marital_status"), 0.2),
    Case("moved numbers", kinds.moved("age"), 1, "one year"),
    Case("moved label", kinds.renumbered("employed", 2), 1, "0 and 1 exchanged"),
    _share("misaligned rows", kinds.misaligned("employed"), 0.01),
    _share("out of range", kinds.out_of_range("age", 200), 0.001),
    Case("swapped columns", kinds.swapped("hearing_difficulty", "vision_difficulty")),
    _share("duplicated rows", kinds.duplicated(), 0.01),
    _share("dropped rows", kinds.dropped(), 0.1),
    _share("export cut off", kinds.cut_off("age"), 0.1),
    Case("source lost", kinds.category_lost("race", "black"), shown="one group"),
    Case("stale day", kinds.stale(), shown="the year before"),
    _share("misdated rows", kinds.misdated(), 0.001),
    Case("file cut off", kinds.truncated_file(), 0.1, "10% of bytes"),
    Case("missing day", kinds.missing_day()),
)

CASES: dict[str, tuple[Case, ...]] = {
    "flights": FLIGHTS,
    "fashion": FASHION,
    "employment": EMPLOYMENT,
}
"""Pipeline to its cases."""
