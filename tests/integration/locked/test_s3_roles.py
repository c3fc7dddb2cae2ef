"""Each role does its own work in a real SeaweedFS, and none of another's."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from nightshift.storage.roles import Buckets, Keys, Role, identities_file
from tests.integration.servers import SeaweedServer, s3_client

BUCKETS = Buckets("nightshift", "lake", "mlflow")
DAY = ("lake", "flights/date=2013-08-29/a.parquet")
REQUESTS = ("lake", "flights_requests/date=2013-08-29/one.parquet")
MODEL = ("nightshift", "flights/artifacts/model/k/a/saved_model.pb")
CHECKPOINT = ("nightshift", "flights/artifacts/checkpoint/k-1-2/manifest.json")
RECORDED = ("nightshift", "flights/runs/2013-08-29/tensorboard/k/events")
DECISION = ("nightshift", "flights/decisions/2013-08-29/k.json")
SIGNATURE = ("nightshift", "flights/versions/7.sig")
EVENT = ("nightshift", "releases/flights/events/00000001.json")
LEASE = ("nightshift", "releases/controller/lease.json")
OWN_STATUS = ("nightshift", "serving/hosts/one.json")
OTHER_STATUS = ("nightshift", "serving/hosts/two.json")
DRAINS = ("nightshift", "serving/drains.json")
SCRATCH = ("nightshift", "scratch-flights-1/artifacts/model/k/manifest.json")
TRACKED = ("mlflow", "1/artifacts/page.html")
EVERYTHING = (
    *(DAY, REQUESTS, MODEL, CHECKPOINT, RECORDED, DECISION, SIGNATURE, EVENT, LEASE),
    *(OWN_STATUS, OTHER_STATUS, DRAINS, SCRATCH, TRACKED),
)
OURS = tuple(place for place in EVERYTHING if place[0] != "mlflow")
READS = {
    Role.STEP: OURS,
    Role.AIRFLOW: OURS,
    Role.AGENT: (
        *(MODEL, CHECKPOINT, SIGNATURE, EVENT, LEASE, OWN_STATUS, OTHER_STATUS, DRAINS, SCRATCH),
    ),
    Role.COMMAND: OURS,
    Role.MLFLOW: (TRACKED,),
    Role.RETENTION: OURS,
}
WRITES = {
    Role.STEP: (MODEL, CHECKPOINT, RECORDED, SCRATCH),
    Role.AIRFLOW: (RECORDED, DECISION, SIGNATURE, EVENT),
    Role.AGENT: (REQUESTS, EVENT, LEASE, OWN_STATUS),
    Role.COMMAND: OURS,
    Role.MLFLOW: (TRACKED,),
    Role.RETENTION: (),
}
DELETES = {
    Role.STEP: (CHECKPOINT,),
    Role.AIRFLOW: (),
    Role.AGENT: (),
    Role.COMMAND: (OWN_STATUS, OTHER_STATUS, SCRATCH),
    Role.MLFLOW: (TRACKED,),
    Role.RETENTION: OURS,
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    """Clients by role; ``owner`` may do everything."""
    folder = tmp_path_factory.mktemp("roles")
    server = SeaweedServer(folder)
    keys = {
        role: [Keys(f"key-of-{role}", f"secret-of-{role}-{server.secret_key}")] for role in Role
    }
    owner = Keys(server.access_key, server.secret_key)
    config = folder / "s3.json"
    config.write_text(identities_file(owner, keys, BUCKETS, host="one"))
    server.command.append(f"-s3.config={config}")

    def of(role: str) -> Any:
        shown = owner if role == "owner" else keys[Role(role)][0]
        return s3_client(
            {
                **server.client_environment,
                "AWS_ACCESS_KEY_ID": shown.access,
                "AWS_SECRET_ACCESS_KEY": shown.secret,
            }
        )

    with server.start():
        server.ready()
        for bucket in ("nightshift", "lake", "mlflow"):
            of("owner").create_bucket(Bucket=bucket)
        lay_everything(of("owner"))
        yield of


def lay_everything(client: Any) -> None:
    for bucket, key in EVERYTHING:
        client.put_object(Bucket=bucket, Key=key, Body=b"as it was")


def allowed(call: Callable[..., Any], **arguments: Any) -> bool:
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDenied", error
        return False
    return True


CASES = list(itertools.product(Role, EVERYTHING))


@pytest.mark.parametrize(("role", "place"), CASES, ids=[f"{r}-{p[1][:24]}" for r, p in CASES])
def test_a_role_may_do_its_own_work_and_no_more(
    client: Callable[[str], Any], role: Role, place: tuple[str, str]
) -> None:
    bucket, key = place
    mine = client(role)
    assert allowed(mine.get_object, Bucket=bucket, Key=key) == (place in READS[role])
    may_write = place in WRITES[role]
    assert allowed(mine.put_object, Bucket=bucket, Key=key, Body=b"new") == may_write
    assert allowed(mine.delete_object, Bucket=bucket, Key=key) == (place in DELETES[role])
    lay_everything(client("owner"))


@pytest.mark.parametrize("role", list(Role))
def test_no_role_makes_or_removes_a_bucket_or_reads_who_there_is(
    client: Callable[[str], Any], role: Role
) -> None:
    mine = client(role)
    assert not allowed(mine.create_bucket, Bucket=f"of-{role}")
    assert not allowed(mine.delete_bucket, Bucket="nightshift")
    assert not allowed(
        mine.put_bucket_versioning, Bucket="lake", VersioningConfiguration={"Status": "Suspended"}
    )


def test_conditional_and_large_writes_need_no_more(client: Callable[[str], Any]) -> None:
    step = client(Role.STEP)
    place = {"Bucket": "nightshift", "Key": "flights/artifacts/model/new/manifest.json"}
    assert allowed(step.put_object, **place, Body=b"x", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        step.put_object(**place, Body=b"y", IfNoneMatch="*")
    large = {"Bucket": "nightshift", "Key": "flights/artifacts/model/new/large"}
    upload = step.create_multipart_upload(**large)["UploadId"]
    part = step.upload_part(**large, UploadId=upload, PartNumber=1, Body=b"z" * 1000)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    step.complete_multipart_upload(**large, UploadId=upload, MultipartUpload=parts)
    missing = {"Bucket": "nightshift", "Key": "flights/artifacts/model/none/manifest.json"}
    with pytest.raises(ClientError, match="404"):
        step.head_object(**missing)


def test_a_wrong_secret_is_nobody(client: Callable[[str], Any]) -> None:
    stranger = client(Role.STEP)
    stranger._request_signer._credentials.secret_key = "another"
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        stranger.get_object(Bucket="lake", Key=DAY[1])
