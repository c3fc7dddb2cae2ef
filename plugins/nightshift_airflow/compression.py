"""The tasks of compression in a night's DAG; none for a pipeline without targets.

::

    train ── quantize [target …] ── evaluate_variants ── budgets ─┐
                           evaluate ── gate ── approve ── register ┴─ edge, card

The float model never waits for its variants, unless one of them is what the pipeline serves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nightshift.definition.model import PipelineDefinition
from nightshift_airflow.operators.register import RegisterOperator
from nightshift_airflow.operators.step import HEAVY_POOL, StepOperator
from nightshift_airflow.operators.steps import (
    BudgetsOperator,
    EdgeOperator,
    EvaluateVariantsOperator,
    QuantizeOperator,
)


@dataclass(frozen=True)
class CompressionTasks:
    """What a DAG has of compression.

    Attributes:
        definition: The pipeline.
        made: What the mapped quantize tasks return; None without targets.
        budgets: The task that judges; None likewise.
    """

    definition: PipelineDefinition
    made: Any = None
    budgets: StepOperator | None = None

    @classmethod
    def of(
        cls, definition: PipelineDefinition, snapshot: StepOperator, train: StepOperator
    ) -> CompressionTasks:
        """Add the tasks up to the budgets to the DAG at hand."""
        pipeline, targets = definition.pipeline, definition.compression.targets
        if not targets:
            return cls(definition)
        quantize = QuantizeOperator.partial(
            task_id="quantize",
            pipeline=pipeline,
            inputs={"snapshot": snapshot.reference, "train": train.reference},
            # A mapped task's pool is read from here, before there is an operator to set it.
            pool=HEAVY_POOL,
            map_index_template="{{ task.target }}",
        ).expand(target=[str(target) for target in targets])
        measured = EvaluateVariantsOperator(
            task_id="evaluate_variants",
            pipeline=pipeline,
            inputs={"snapshot": snapshot.reference, "quantize": quantize.output},
        )
        budgets = BudgetsOperator(
            task_id="budgets",
            pipeline=pipeline,
            inputs={"evaluate_variants": measured.reference},
        )
        return cls(definition, quantize.output, budgets)

    @property
    def judged(self) -> dict[str, Any]:
        """What the model card must know; empty without targets."""
        return {"budgets": self.budgets.reference} if self.budgets else {}

    @property
    def served(self) -> dict[str, Any]:
        """What registration must know to release a variant; empty where the float one is served."""
        if self.budgets is None or self.definition.release.serve == "float":
            return {}
        return {"quantize": self.made, "budgets": self.budgets.reference}

    def bundle(self, register: RegisterOperator) -> None:
        """Add the edge bundle, which bears the registered version."""
        if self.budgets is None or self.definition.compression.edge is None:
            return
        EdgeOperator(
            task_id="edge",
            pipeline=self.definition.pipeline,
            inputs={"quantize": self.made, "budgets": self.budgets.reference},
            registered=register.output,
        )
