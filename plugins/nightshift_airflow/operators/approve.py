"""Ask a person where the gate is inconclusive, on Airflow's own page for required actions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict

from nightshift.definition.load import load_pipeline
from nightshift.errors import GateFailedError, NightshiftError
from nightshift.gates.decision import Case, Decision, DecisionKind, Outcome, Standing
from nightshift_airflow.answer_time import answer_time
from nightshift_airflow.hooks.storage import S3_CONNECTION, StorageHook
from nightshift_airflow.hooks.tracking import MLFLOW_CONNECTION, MlflowHook
from nightshift_airflow.links.artifacts import STEP_LINKS
from nightshift_airflow.operators.failure import fail_task
from nightshift_airflow.operators.step import references
from nightshift_airflow.routes.addresses import artifact_page, object_page
from nightshift_airflow.run_identity import run_by

if TYPE_CHECKING:
    from airflow.sdk import Context

    from nightshift.artifacts.manifest import ArtifactRef
    from nightshift.gates.decisions import Decisions

REASON = "reason"


class ApproveOperator(ApprovalOperator):
    """Let a candidate through whose gate passed; ask a person where it is inconclusive.

    The question waits in Airflow's database, in state ``awaiting_input``: it holds no worker slot
    and no triggerer, and is still there after a restart of the whole stack. The answer is written
    down once, beside the artifacts, with who gave it and why. It must have a reason: an answer
    without one is asked for again. Nobody's answer in time is a *no*.

    A *no* makes the task red, as a failed gate does: a night is green only where its model may be
    released, and on-call finds one line that says who said no and why. Clearing the task repeats
    the recorded answer; it does not ask again.

    Args:
        pipeline: Name of the pipeline's folder.
        inputs: References of the run's artifacts by step name, ``gate`` among them; kept beside the
            answer. (templated)
        s3_conn_id: The ``aws`` connection of the object store.
        mlflow_conn_id: The ``http`` connection of MLflow.

    Returns (XCom): ``{"decision": the decision, or None where the gate passed}``.
    """

    template_fields: Sequence[str] = (*ApprovalOperator.template_fields, "inputs")
    operator_extra_links = STEP_LINKS
    ui_color = "#fce4ec"

    def __init__(
        self,
        *,
        pipeline: str,
        inputs: dict[str, Any],
        s3_conn_id: str = S3_CONNECTION,
        mlflow_conn_id: str = MLFLOW_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            subject=f"{pipeline}: may this candidate be released?", defaults=self.REJECT, **kwargs
        )
        self.pipeline = pipeline
        self.inputs = inputs
        self.s3_conn_id = s3_conn_id
        self.mlflow_conn_id = mlflow_conn_id
        self.report_url = ""
        self.artifact_url = ""
        self.run_url = ""

    def execute(self, context: Context) -> Any:
        """Return at once where there is nothing to ask; else ask, and wait without a worker."""
        from nightshift.steps.lifeline import die_with_parent

        die_with_parent()
        try:
            decisions, case = self._case()
            stands = decisions.standing(case)
            if stands.outcome is not Outcome.ASK:
                return self._conclude(context, case, stands)
            self._pose(case)
        except NightshiftError as error:
            self._fail(context, error)
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Called with the answer, or with nobody's."""
        try:
            decisions, case = self._case()
            decision = self._heard(context, case, event)
            if decision is not None:
                decisions.record(decision, references(self.inputs))
            stands = decisions.standing(case)
            if stands.outcome is not Outcome.ASK:
                return self._conclude(context, case, stands)
            self._pose(case)
        except NightshiftError as error:
            self._fail(context, error)
        return super().execute(context)

    def _case(self) -> tuple[Decisions, Case]:
        from nightshift.gates.decisions import Decisions

        storage = StorageHook(self.s3_conn_id)
        os.environ.update(storage.environment())
        decisions = Decisions(storage.bucket(), self.pipeline)
        case = decisions.case(references(self.inputs)["gate"])
        self._link(case.gate)
        return decisions, case

    def _link(self, gate: ArtifactRef) -> None:
        store = StorageHook(self.s3_conn_id).get_conn()
        artifact = store.open(gate)
        self.artifact_url = artifact_page(gate.uri)
        for name in list(artifact.manifest.reports.values())[:1]:
            key = store.file_key(artifact, name)
            self.report_url = object_page(f"s3://{store.bucket.name}/{key}")

    def _pose(self, case: Case) -> None:
        """What the page says, the field that it has, and how long it waits."""
        within = answer_time(load_pipeline(self.pipeline), datetime.now(UTC))
        self.subject = f"{self.pipeline}, night of {case.night}: may this candidate be released?"
        self.body = _question(case, self.report_url, self.artifact_url, within)
        self.response_timeout = within
        # Not in the constructor: there Airflow demands a value that is valid before anyone wrote.
        self.params = ParamsDict({REASON: _reason_field()})
        self.log.info("%s\n%s", self.subject, case.message)

    def _heard(self, context: Context, case: Case, event: dict[str, Any]) -> Decision | None:
        """The decision in an answer; None where it has no reason, and must be asked for again."""
        user, reason = event.get("responded_by_user"), _reason_in(event)
        at, run = datetime.now(UTC), run_by(context["dag_run"])
        if event.get("timedout") or user is None:
            why = "nobody answered in time"
            return case.decided(DecisionKind.TIMED_OUT, by="the clock", reason=why, at=at, run=run)
        name = _name(user)
        if not reason:
            self.log.warning("%s answered without a reason; asking again.", name)
            return None
        approved = event["chosen_options"] == [self.APPROVE]
        kind = DecisionKind.APPROVED if approved else DecisionKind.REJECTED
        return case.decided(kind, by=name, reason=reason, at=at, run=run)

    def _conclude(self, context: Context, case: Case, stands: Standing) -> dict[str, Any]:
        """Tell MLflow, and go on or stop."""
        from nightshift.gates.decisions import refusal

        bucket = StorageHook(self.s3_conn_id).bucket()
        mlflow = MlflowHook(self.mlflow_conn_id)
        tracker, decision = mlflow.tracker(self.pipeline, bucket), stands.decision
        if decision is not None:
            tracker.tag(case.night, decision.tags)
        pin = tracker.find(case.night)
        self.run_url = mlflow.run_url(pin) if pin else ""
        if stands.outcome is Outcome.REFUSE:
            message = (
                f"{self.pipeline}, night of {case.night}: {refusal(case, stands)}\n"
                "It is not released; what serves now goes on serving. Nothing has to be done "
                "tonight. To release it all the same, fill in the form of "
                f"override_{self.pipeline}; for another model, trigger the night with force."
            )
            tracker.log_failure(case.night, "approve", message)
            raise GateFailedError(message)
        self.log.info("%s", decision or f"The gate is {case.verdict}: nobody has to be asked.")
        return {"decision": decision.model_dump(mode="json") if decision else None}

    def _fail(self, context: Context, error: NightshiftError) -> NoReturn:
        self.log.error("%s", error.message)
        fail_task(context, error)


def _question(case: Case, report: str, artifact: str, within: timedelta) -> str:
    until = datetime.now(UTC) + within
    return (
        "The gate is **inconclusive**: with the confidence that its rules ask for, the holdout "
        "shows neither that this candidate is good enough nor that it is not.\n\n"
        f"{_as_markdown(case.message)}\n\n"
        f"[Gate report]({report}) · [artifact]({artifact})\n\n"
        "**Approve** registers and releases it; **Reject** refuses this model for good. Your name "
        "and your reason are kept for ever and shown wherever the version is shown.\n\n"
        f"Without an answer by {until:%Y-%m-%d %H:%M} UTC it is rejected. Until then, and after a "
        "rejection, what serves now goes on serving."
    )


def _as_markdown(message: str) -> str:
    """The gate's words; its indented lines, one a rule, as a list."""
    return "\n".join(
        f"- `{line.strip()}`" if line.startswith(" ") else f"\n{line}\n"
        for line in message.splitlines()
    )


def _reason_field() -> Param:
    return Param(
        "",
        type="string",
        minLength=1,
        title="Reason",
        description="Why? Required.",
        source="task",
    )


def _reason_in(event: dict[str, Any]) -> str:
    given = (event.get("params_input") or {}).get(REASON)
    return str(given or "").strip()


def _name(user: dict[str, Any]) -> str:
    """The user's name; its id too where that is another."""
    name, number = str(user["name"]), str(user["id"])
    return name if name == number else f"{name} ({number})"
