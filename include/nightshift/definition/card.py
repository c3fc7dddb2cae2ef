"""What the model card says that nobody can measure."""

from __future__ import annotations

from nightshift.definition.section import Section


class CardTexts(Section):
    """Written by people who know what the model is for; each one stands on every version's card."""

    intended_use: str = ""
    """Who asks the model, and what its answer decides."""
    not_intended: tuple[str, ...] = ()
    """Uses that somebody might think of and that it was not made for."""
    limitations: tuple[str, ...] = ()
    """What the data leaves out, where the model is known to be weak."""
    ethical_considerations: tuple[str, ...] = ()
    """Whom a wrong answer harms, and what is done about it."""
    contacts: tuple[str, ...] = ()
    """Whom to ask; first the one who answers for the model."""
