"""Every kind of step: where its function is, what it reads, where it runs."""

from __future__ import annotations

from dataclasses import dataclass

from nightshift.data.pinned import Split
from nightshift.runtimes import Runtime

_WINDOW = (Split.TRAIN, Split.HOLDOUT)


@dataclass(frozen=True)
class StepSpec:
    """One kind of step.

    Attributes:
        name: The step's name, also of its task in Airflow.
        kind: Kind of the artifact it commits.
        module: Module with ``run(context) -> StepOutcome``; it may have ``after_commit(context)``.
        runtime: Environment that it runs in.
        inputs: Names of the artifacts it reads, which are the names of the steps before it.
        sections: Sections of pipeline.yaml it reads; they enter its key.
        files: Files of the pipeline's folder it reads; their digests enter its key.
        heavy: Takes a core and a gigabyte: runs in the pool of heavy steps.
        by_night: The night itself enters its key (only the first step's).
        own: Names of parameters that each instance of a mapped step has for itself.
        optional: Names of artifacts that it reads where the pipeline has the step that makes them.
        reads: Parts of the window whose rows it reads from the lake.
        gathers: A mapped step all of whose artifacts it reads, as inputs ``<step>.<instance>``.
        models: Reads or writes files of models: its process gets the keys that models are
            encrypted with.
    """

    name: str
    kind: str
    module: str
    runtime: Runtime
    inputs: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    heavy: bool = False
    by_night: bool = False
    own: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    gathers: str = ""
    reads: tuple[Split, ...] = ()
    models: bool = False


SNAPSHOT = StepSpec(
    name="snapshot",
    kind="snapshot",
    module="nightshift.data.snapshot",
    runtime=Runtime.ML,
    sections=("dataset", "label", "features", "window", "sliced", "left_out"),
    by_night=True,
    reads=_WINDOW,
)
STATISTICS = StepSpec(
    name="statistics",
    kind="statistics",
    module="nightshift.validation.statistics",
    runtime=Runtime.VALIDATION,
    inputs=("snapshot",),
    sections=("dataset", "label", "features", "sliced", "left_out", "validation"),
    # The report links to what expectations.yaml leads to.
    files=("schema.pbtxt", "expectations.yaml"),
    heavy=True,
    reads=_WINDOW,
)
EXPECTATIONS = StepSpec(
    name="expectations",
    kind="expectations",
    module="nightshift.validation.expectations",
    runtime=Runtime.ML,
    inputs=("snapshot",),
    sections=("dataset", "label", "features", "sliced"),
    files=("expectations.yaml",),
    heavy=True,
    reads=_WINDOW,
)
TUNE = StepSpec(
    name="tune",
    kind="tuning",
    module="nightshift.tuning.tune",
    runtime=Runtime.ML,
    inputs=("snapshot",),
    sections=("label", "features", "training", "tuning"),
    files=("model.py",),
    heavy=True,
    reads=(Split.TRAIN,),
)
TRAIN = StepSpec(
    name="train",
    kind="model",
    module="nightshift.training.train",
    runtime=Runtime.ML,
    inputs=("snapshot",),
    optional=("tune",),
    sections=("label", "features", "training", "release"),
    files=("model.py",),
    heavy=True,
    reads=_WINDOW,
    models=True,
)
EVALUATE = StepSpec(
    name="evaluate",
    kind="evaluation",
    module="nightshift.evaluation.evaluate",
    runtime=Runtime.ML,
    inputs=("snapshot", "train"),
    sections=("label", "features", "slices", "sensitive", "evaluation"),
    heavy=True,
    reads=(Split.HOLDOUT,),
    models=True,
)
GATE = StepSpec(
    name="gate",
    kind="gate",
    module="nightshift.gates.gate",
    runtime=Runtime.ML,
    inputs=("snapshot", "statistics", "train", "evaluate"),
    sections=("gates", "label", "slices", "sensitive", "evaluation"),
    models=True,
)
AUDIT = StepSpec(
    name="audit",
    kind="audit",
    module="nightshift.evaluation.audit",
    runtime=Runtime.VALIDATION,
    inputs=("evaluate",),
    sections=("label", "slices", "sensitive", "evaluation"),
    heavy=True,
)
QUANTIZE = StepSpec(
    name="quantize",
    kind="variant",
    module="nightshift.compression.quantize",
    runtime=Runtime.ML,
    inputs=("snapshot", "train"),
    sections=("label", "features", "training"),
    files=("model.py",),
    heavy=True,
    own=("recipe",),
    reads=(Split.TRAIN,),
    models=True,
)
EVALUATE_VARIANTS = StepSpec(
    name="evaluate_variants",
    kind="variants",
    module="nightshift.compression.evaluate_variants",
    runtime=Runtime.ML,
    inputs=("snapshot",),
    sections=("label", "features"),
    heavy=True,
    gathers="quantize",
    reads=(Split.HOLDOUT,),
    models=True,
)
BUDGETS = StepSpec(
    name="budgets",
    kind="budgets",
    module="nightshift.compression.accept",
    runtime=Runtime.TOOLS,
    inputs=("evaluate_variants",),
    sections=("compression", "gates"),
)
EDGE = StepSpec(
    name="edge",
    kind="edge",
    module="nightshift.compression.edge",
    runtime=Runtime.ML,
    inputs=("quantize", "budgets"),
    sections=("label", "features"),
    own=("registered",),
    models=True,
)

CARD = StepSpec(
    name="card",
    kind="card",
    module="nightshift.card.card",
    runtime=Runtime.ML,
    inputs=("snapshot", "train", "evaluate", "gate"),
    optional=("statistics", "expectations", "tune", "budgets"),
    sections=("description", "owner", "card", "dataset"),
    own=("registered",),
)

_ALL = (
    *(SNAPSHOT, STATISTICS, EXPECTATIONS, TUNE, TRAIN, EVALUATE, GATE, AUDIT),
    *(QUANTIZE, EVALUATE_VARIANTS, BUDGETS, EDGE, CARD),
)
STEPS: dict[str, StepSpec] = {spec.name: spec for spec in _ALL}
