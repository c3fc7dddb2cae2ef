"""What the codes of the American Community Survey mean, in short words.

Source: "ACS PUMS Data Dictionary" of 2015 to 2018, US Census Bureau; the codes used here are the
same in all four. ``0`` stands where the dictionary has a blank: the question was not asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """One coded column: its name in the lake, and the meaning of each code."""

    name: str
    meanings: Mapping[str, str]


_YES_NO = {"1": "yes", "2": "no"}
_EDUCATION = (
    "under 3 years",
    "none",
    "preschool",
    "kindergarten",
    *(f"grade {grade}" for grade in range(1, 12)),
    "grade 12, no diploma",
    "high school diploma",
    "GED or alternative",
    "college, under 1 year",
    "college, no degree",
    "associate's",
    "bachelor's",
    "master's",
    "professional beyond bachelor's",
    "doctorate",
)
_RELATIONSHIP = (
    "reference person",
    "husband or wife",
    "biological child",
    "adopted child",
    "stepchild",
    "brother or sister",
    "father or mother",
    "grandchild",
    "parent-in-law",
    "child-in-law",
    "other relative",
    "roomer or boarder",
    "housemate",
    "unmarried partner",
    "foster child",
    "other nonrelative",
    "institution",
    "noninstitutional group quarters",
)

QUESTIONS = {
    "SEX": Question("sex", {"1": "male", "2": "female"}),
    "RAC1P": Question(
        "race",
        {
            "1": "white",
            "2": "black",
            "3": "american indian",
            "4": "alaska native",
            "5": "american indian or alaska native, tribe unclear",
            "6": "asian",
            "7": "pacific islander",
            "8": "some other race",
            "9": "two or more races",
        },
    ),
    "SCHL": Question("education", {str(n): text for n, text in enumerate(_EDUCATION)}),
    "MAR": Question(
        "marital_status",
        {
            "1": "married",
            "2": "widowed",
            "3": "divorced",
            "4": "separated",
            "5": "never married",
        },
    ),
    "RELP": Question("relationship", {str(n): text for n, text in enumerate(_RELATIONSHIP)}),
    "ESP": Question(
        "parents_at_work",
        {
            "0": "no child at home",
            "1": "both of two",
            "2": "father of two",
            "3": "mother of two",
            "4": "neither of two",
            "5": "father alone, works",
            "6": "father alone, does not",
            "7": "mother alone, works",
            "8": "mother alone, does not",
        },
    ),
    "MIG": Question(
        "moved_last_year",
        {"0": "under 1 year", "1": "no", "2": "from abroad", "3": "within the US"},
    ),
    "MIL": Question(
        "military_service",
        {
            "0": "under 17 years",
            "1": "now",
            "2": "in the past",
            "3": "training only",
            "4": "never",
        },
    ),
    "ANC": Question(
        "ancestry", {"1": "single", "2": "multiple", "3": "unclassified", "4": "not reported"}
    ),
    "CIT": Question(
        "citizenship",
        {
            "1": "born in a state",
            "2": "born in a territory",
            "3": "born abroad of american parents",
            "4": "naturalized",
            "5": "not a citizen",
        },
    ),
    "NATIVITY": Question("nativity", {"1": "native", "2": "foreign born"}),
    "DIS": Question("disability", _YES_NO),
    "DEAR": Question("hearing_difficulty", _YES_NO),
    "DEYE": Question("vision_difficulty", _YES_NO),
    "DREM": Question("cognitive_difficulty", {"0": "under 5 years", **_YES_NO}),
}
"""The survey's own column names with what stands in them."""
