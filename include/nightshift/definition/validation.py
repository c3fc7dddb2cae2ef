"""How the window's data is judged, beyond what schema.pbtxt and expectations.yaml say."""

from __future__ import annotations

from nightshift.definition.section import Section


class Validation(Section):
    """What only the ``statistics`` step reads: a change here trains nothing again."""

    slices: tuple[str, ...] = ()
    """Columns whose every value has statistics of its own, held to the schema as a warning."""
    stop_unusual: bool = True
    """A newest day that is spread far unlike the window's other days stops the night; false makes
    it a warning, for the night on which the change is right."""
