"""TFDV's verdict on statistics, as findings: types, presence, shape, uniqueness, drift."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from nightshift.validation.findings import Finding, Severity

TRAINING = "TRAINING"
SERVING = "SERVING"

_NEVER = 1.0
"""No Jensen-Shannon divergence is greater (it is taken to base 2): measures, never alarms."""
_Type = anomalies_pb2.AnomalyInfo.Type


@dataclass(frozen=True)
class Verdict:
    """Findings, and the raw distance of each column.

    Attributes:
        findings: Anomalies of TFDV.
        drift: Column to its Jensen-Shannon divergence from the champion's training rows.
        skew: Column to that of the holdout from the training rows.
    """

    findings: list[Finding] = field(default_factory=list)
    drift: dict[str, float] = field(default_factory=dict)
    skew: dict[str, float] = field(default_factory=dict)


def judge(
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    schema: schema_pb2.Schema,
    where: str,
    *,
    environment: str = TRAINING,
    previous: statistics_pb2.DatasetFeatureStatisticsList | None = None,
    holdout: statistics_pb2.DatasetFeatureStatisticsList | None = None,
) -> Verdict:
    """Validate statistics against the schema.

    Drift is a warning whatever its size: the model is being trained on the new data, and the gate
    judges what it learned.

    Args:
        statistics: Of the rows to judge.
        schema: The curated schema.
        where: Which rows these are, for the findings.
        environment: ``TRAINING`` or ``SERVING``: columns not in it may be absent.
        previous: Of the champion's training rows, for drift.
        holdout: Of the held-out rows, for skew; the nearest there is to what will be served.
    """
    measuring = _measure_all(schema) if previous or holdout else schema
    anomalies = tfdv.validate_statistics(
        statistics,
        measuring,
        environment=environment,
        previous_statistics=previous,
        serving_statistics=holdout,
    )
    verdict = Verdict(findings=list(_findings(anomalies, where)))
    for info in anomalies.drift_skew_info:
        column = ".".join(info.path.step)
        for measured in info.drift_measurements:
            verdict.drift[column] = measured.value
        for measured in info.skew_measurements:
            verdict.skew[column] = measured.value
    return verdict


def only(
    statistics: statistics_pb2.DatasetFeatureStatisticsList, columns: frozenset[str]
) -> statistics_pb2.DatasetFeatureStatisticsList:
    """The statistics of some columns, as a request with only these would give."""
    kept = copy.deepcopy(statistics)
    for dataset in kept.datasets:
        features = [f for f in dataset.features if ".".join(f.path.step) in columns]
        del dataset.features[:]
        dataset.features.extend(features)
    return kept


def without(schema: schema_pb2.Schema, columns: frozenset[str]) -> schema_pb2.Schema:
    """A copy of a schema that knows nothing of some columns."""
    kept = copy.deepcopy(schema)
    features = [feature for feature in kept.feature if feature.name not in columns]
    del kept.feature[:]
    kept.feature.extend(features)
    return kept


def _measure_all(schema: schema_pb2.Schema) -> schema_pb2.Schema:
    """A copy in which every column has its distances measured."""
    measuring = copy.deepcopy(schema)
    for feature in measuring.feature:
        for comparator in (feature.drift_comparator, feature.skew_comparator):
            if not comparator.HasField("jensen_shannon_divergence"):
                comparator.jensen_shannon_divergence.threshold = _NEVER
    return measuring


def _findings(anomalies: anomalies_pb2.Anomalies, where: str) -> Iterator[Finding]:
    for name, info in sorted(anomalies.anomaly_info.items()):
        column = ".".join(info.path.step) or name
        for reason in info.reason:
            yield _finding(column, where, reason)
    for reason in anomalies.dataset_anomaly_info.reason:
        yield _finding("", where, reason)


def _finding(column: str, where: str, reason: anomalies_pb2.AnomalyInfo.Reason) -> Finding:
    rule = _Type.Name(reason.type)
    about = f"column '{column}'" if column else "the rows"
    finding = Finding(
        severity=Severity.ERROR,
        column=column,
        rule=rule,
        value=reason.short_description,
        limit="schema.pbtxt",
        where=where,
        text=f"{about} in {where}: {reason.description or reason.short_description} [{rule}]",
    )
    return finding.as_warning() if finding.is_drift else finding
