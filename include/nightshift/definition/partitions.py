"""How much time one partition of the lake covers."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import date, timedelta
from enum import StrEnum


class Partitions(StrEnum):
    """The period of one partition ``date=YYYY-MM-DD``: the date is the period's last day.

    So a survey that knows the year alone lies in the same lake as events of the day, and whatever
    is told in days (windows, nights, drift from night to night) means the same for both.
    """

    DAILY = "daily"
    MONTHLY = "monthly"
    YEARLY = "yearly"

    @property
    def period(self) -> str:
        """What one partition covers, in a word."""
        return {"daily": "day", "monthly": "month", "yearly": "year"}[self]

    def last_day(self, day: date) -> date:
        """The last day of the period that ``day`` lies in, which its partition is dated with."""
        if self is Partitions.DAILY:
            return day
        month = 12 if self is Partitions.YEARLY else day.month
        return date(day.year, month, calendar.monthrange(day.year, month)[1])

    def between(self, first: date, last: date) -> Iterator[date]:
        """The partitions from ``first`` to ``last``, both included, in order."""
        day = self.last_day(first)
        while day <= last:
            yield day
            day = self.last_day(day + timedelta(1))
