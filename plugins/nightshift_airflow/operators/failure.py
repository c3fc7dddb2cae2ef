"""How every task of ours ends in a foreseen error."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from nightshift.errors import NightshiftError, StepError

if TYPE_CHECKING:
    from airflow.sdk import Context

ERROR_XCOM = "error"


def fail_task(context: Context, error: NightshiftError | StepError) -> NoReturn:
    """Leave the message behind and end the task: to be retried where that may help, else for good.

    Raises:
        AirflowException: The same may succeed later.
        AirflowFailException: It cannot.
    """
    context["ti"].xcom_push(key=ERROR_XCOM, value=error.message[:4000])
    kind = AirflowException if error.kind.retryable else AirflowFailException
    raise kind(error.message) from None
