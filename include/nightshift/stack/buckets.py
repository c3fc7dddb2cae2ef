"""The three buckets, made and versioned: ``python -m nightshift.stack.buckets`` (S3 from the
environment, by the names that boto3 reads)."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from nightshift.errors import UnavailableError
from nightshift.stack.environment import BUCKETS, LAKE_BUCKET

_SECONDS = 30.0


def make_buckets(environment: Mapping[str, str]) -> None:
    """Make what is missing, and have the lake keep versions: a snapshot pins what it read.

    Args:
        environment: Address and keys of S3 (``AWS_ENDPOINT_URL_S3``, ``AWS_ACCESS_KEY_ID``, …).

    Raises:
        UnavailableError: S3 did not take them within half a minute.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client(
        "s3",
        endpoint_url=environment.get("AWS_ENDPOINT_URL_S3"),
        aws_access_key_id=environment.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=environment.get("AWS_SECRET_ACCESS_KEY"),
        region_name=environment.get("AWS_DEFAULT_REGION"),
        config=Config(s3={"addressing_style": "path"}),
    )
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            there = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
            for name in BUCKETS:
                if name not in there:
                    client.create_bucket(Bucket=name)
            client.put_bucket_versioning(
                Bucket=LAKE_BUCKET, VersioningConfiguration={"Status": "Enabled"}
            )
        except (BotoCoreError, ClientError) as error:
            # Right after its start the server answers, but may not yet have a volume.
            if time.monotonic() > deadline:
                raise UnavailableError(f"The buckets could not be made: {error}") from None
            time.sleep(0.3)
        else:
            return


if __name__ == "__main__":
    import os

    try:
        make_buckets(os.environ)
    except UnavailableError as failure:
        sys.exit(failure.message)
