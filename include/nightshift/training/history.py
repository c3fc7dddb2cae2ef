"""What training tells of each epoch: kept in checkpoints, in the artifact, in MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from nightshift.definition.training import EarlyStopping


class Epoch(BaseModel):
    """How one epoch ended."""

    model_config = ConfigDict(frozen=True)

    number: int
    """From 1."""
    loss: float
    """Mean cross-entropy over the epoch's rows, each by the weights of its step, in nats."""
    auc: float | None = None
    """Area under the ROC curve over the epoch, interpolated over 200 thresholds; None where the
    label has classes."""
    accuracy: float
    """Share of the epoch's rows whose likeliest label was right."""
    seconds: float
    """Wall time; the first epoch's includes tracing."""

    @classmethod
    def of(cls, number: int, metrics: Mapping[str, float], seconds: float) -> Epoch:
        """From the values of the metrics by name."""
        return cls(number=number, seconds=seconds, **metrics)

    def __str__(self) -> str:
        ranked = "" if self.auc is None else f" auc {self.auc:.4f}"
        return f"loss {self.loss:.4f}{ranked} accuracy {self.accuracy:.4f} {self.seconds:.1f} s"


def stops_early(history: Sequence[Epoch], rule: EarlyStopping | None) -> bool:
    """Whether the last ``patience`` epochs all failed to be better than the best before them.

    Follows from the history alone, so a job that resumes decides as if it had never stopped.
    """
    if rule is None or not history:
        return False
    best, waited = None, 0
    for epoch in history:
        value = getattr(epoch, rule.monitor)
        if value is None:
            return False
        score = -value if rule.monitor == "loss" else value
        if best is None or score > best + rule.min_delta:
            best, waited = score, 0
        else:
            waited += 1
    return waited >= rule.patience
