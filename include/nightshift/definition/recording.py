"""Which part of the live requests is kept, and what of each is not."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nightshift.definition.section import Section


class Recording(Section):
    """Requests with the champion's answers, kept beside the dataset. Off unless asked for."""

    sample: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the requests that is kept, release or not."""
    leave_out: tuple[str, ...] = ()
    """Features that are never kept, such as personal ones; the check of requests against training
    data leaves them out too, and such requests cannot be replayed."""
