"""How a version goes live: in which steps, judged by what, and how long the way back stays warm."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from nightshift.definition.section import Section

Seconds = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]


class CanaryStep(Section):
    """A share of the traffic for the new version, kept until it is judged."""

    weight: Annotated[int, Field(ge=1, le=99)]
    """Percent of the requests."""
    seconds: Seconds = 300.0
    """At least so long, from the moment every host routes by this weight."""
    min_requests: Annotated[int, Field(ge=0)] = 100
    """At least so many requests answered by the new version in this step."""


class Shadowing(Section):
    """A sample of the live requests, answered by the new version too and compared."""

    seconds: Seconds = 0.0
    """At least so long before the first step; 0 for no such phase."""
    sample: Share = 0.1
    """Share of the requests that is compared, here and in every later phase."""
    min_pairs: Annotated[int, Field(ge=0)] = 50
    """At least so many compared requests before the phase can end."""


class Analysis(Section):
    """What stops the new version, compared with the live one over the same time."""

    error: Annotated[float, Field(gt=0, lt=0.5)] = 0.001
    """Chance that a version no worse than these limits is stopped, over all rules and looks."""
    latency_ratio: Annotated[float, Field(ge=1)] = 1.5
    """The new version may be so many times as slow, at every quantile."""
    max_error_rate: Share = 0.05
    """Share of requests that its servers may fail, whatever the live version does."""
    max_disagreement: Share = 0.3
    """Share of compared requests whose two answers may differ."""
    disagreement_tolerance: Annotated[float, Field(gt=0)] = 0.2
    """Two numbers differ when they are further apart than this; classes when they are others."""
    max_shift: Share = 0.3
    """Largest distance (Kolmogorov-Smirnov) between the distributions of the two's answers."""
    max_memory_growth: Annotated[float, Field(gt=1)] = 1.5
    """The new version's server may grow to so many times its memory, more than the live one's."""
    metrics_timeout_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Unreachable metrics for so long end the release; nothing is held against the version."""


class Alarms(Section):
    """When on-call hears of a pipeline's serving; ``include/monitoring/rules.yml`` compares."""

    error_rate: Share = 0.02
    """Share of requests, over five minutes, that servers fail."""
    p99_milliseconds: Annotated[float, Field(gt=0)] = 500.0
    """Of the answer time at Envoy, over five minutes."""
    drift: Share = 0.2
    """Distance of a column of the newest version's data from what it was held to."""
    stale_days: Annotated[float, Field(gt=0)] = 3.0
    """Age of the last day of data that the live version knows."""


class Rollout(Section):
    """The phases of one release, each left out where it is not asked for.

    Without any of them a verified version takes all traffic at once.
    """

    shadow: Shadowing = Shadowing()
    steps: tuple[CanaryStep, ...] = ()
    """Rising weights before all traffic goes to the new version."""
    sticky_header: Annotated[str, Field(pattern=r"^[a-z0-9-]*$")] = ""
    """Requests with the same value of this header meet the same version; empty: by chance."""
    analysis: Analysis = Analysis()
    bake_seconds: Seconds = 0.0
    """So long it is watched after it took all traffic; a failure rolls it back by itself."""
    keep_warm_seconds: Annotated[float, Field(gt=0)] | None = None
    """The version before stays loaded so long after the end; empty: until the next release."""
    patience_seconds: Seconds = 3600.0
    """A phase that had its time waits so long for the requests it needs."""
    when_quiet: Literal["ask", "proceed", "abort"] = "ask"
    """Requests still too few after that: ask a person, go on, or end the release."""
    approve: Literal["never", "before_promotion"] = "never"
    """Whether a person must agree before all traffic goes to the new version."""
    answer_seconds: Annotated[float, Field(gt=0)] = 8 * 3600.0
    """A question that nobody answers for so long ends the release."""
    when_under_way: Literal["wait", "supersede"] = "wait"
    """Another release not yet live: wait for its end, or end it."""
    alarms: Alarms = Alarms()

    @model_validator(mode="after")
    def _weights_rise(self) -> Rollout:
        weights = [step.weight for step in self.steps]
        if weights != sorted(set(weights)):
            raise ValueError(f"steps: weights must rise from step to step, found {weights}")
        return self
