"""What every section of ``pipeline.yaml`` has in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class Section(BaseModel):
    """Base of every section: unknown fields are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
