"""Sign a registered version: ``python -m nightshift.signing.sign flights 7`` (runtime ``tools``).

S3 and ``NIGHTSHIFT_SIGNING_KEY`` come from the environment. A version that has a signature keeps
it, unless ``--again`` is given: after a change of keys, so that the old public key can go.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nightshift.artifacts.store import ArtifactStore
from nightshift.errors import BadDefinitionError, NightshiftError, UnavailableError
from nightshift.release.golden import GOLDEN_FILE
from nightshift.release.placement import SAVED_MODEL_FOLDER
from nightshift.runtimes import Runtime, python_of
from nightshift.signing.keys import SIGNING_KEY, SigningKey, signing_key
from nightshift.signing.versions import sign_folder, signature_key
from nightshift.storage.s3 import Bucket, artifact_bucket
from nightshift.tracking.registry import Registry

_SECONDS = 300.0


def sign_version(
    bucket: Bucket, pipeline: str, version: int, key: SigningKey, *, again: bool = False
) -> bool:
    """Sign what hosts load of a version, and keep the signature beside the version.

    Returns:
        False where it has one already.

    Raises:
        RefusedError: No such version was registered.
        DigestMismatchError: Its files are not those committed.
        UnavailableError: The object store is away.
    """
    place = signature_key(pipeline, version)
    if not again and bucket.exists(place):
        return False
    candidate = Registry(bucket, pipeline).version(version)
    store = ArtifactStore(bucket)
    artifact = store.open(candidate.released)
    names = [n for n in artifact.manifest.files if n.startswith(SAVED_MODEL_FOLDER)]
    with tempfile.TemporaryDirectory() as folder:
        store.fetch(artifact, Path(folder), names=[*names, GOLDEN_FILE])
        signature = sign_folder(Path(folder), pipeline, version, key)
    bucket.put(place, signature, content_type="application/json")
    return True


def sign_in_its_runtime(pipeline: str, version: int) -> str | None:
    """The same from any runtime, in a process of its own; nothing where no key is set.

    Returns:
        What it said; None where versions are not signed.

    Raises:
        UnavailableError: It failed; says why.
    """
    if not os.environ.get(SIGNING_KEY):
        return None
    program = str(python_of(Runtime.TOOLS))
    command = [program, "-m", "nightshift.signing.sign", pipeline, str(version)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{pipeline}: signing took longer than {_SECONDS:g} s") from None
    if done.returncode:
        raise UnavailableError(
            f"{pipeline} version {version} could not be signed: {done.stderr.strip()[-1000:]}"
        )
    return done.stdout.strip()


def main(arguments: Sequence[str]) -> int:
    """Sign; prints what was done."""
    parser = argparse.ArgumentParser(prog="python -m nightshift.signing.sign")
    parser.add_argument("pipeline")
    parser.add_argument("version", type=int)
    parser.add_argument("--again", action="store_true", help="though it is signed already")
    given = parser.parse_args(arguments)
    try:
        named = os.environ.get(SIGNING_KEY)
        if not named:
            raise BadDefinitionError(f"{SIGNING_KEY} is not set: there is no key to sign with.")
        signed = sign_version(
            artifact_bucket(), given.pipeline, given.version, signing_key(named), again=given.again
        )
    except NightshiftError as error:
        print(error.message, file=sys.stderr)
        return 1
    print(f"{given.pipeline} version {given.version} is {'signed' if signed else 'signed already'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
