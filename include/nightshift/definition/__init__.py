"""What one pipeline is: the typed model of ``pipeline.yaml`` and its loader."""

from nightshift.definition.gates import GateRule
from nightshift.definition.load import load_pipeline, pipeline_names, pipelines_root
from nightshift.definition.model import (
    Dataset,
    Feature,
    FeatureType,
    Label,
    PipelineDefinition,
    Release,
    Schedule,
    Window,
)
from nightshift.definition.training import Training

__all__ = [
    "Dataset",
    "Feature",
    "FeatureType",
    "GateRule",
    "Label",
    "PipelineDefinition",
    "Release",
    "Schedule",
    "Training",
    "Window",
    "load_pipeline",
    "pipeline_names",
    "pipelines_root",
]
