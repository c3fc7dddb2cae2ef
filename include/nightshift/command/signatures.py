"""``sign``: a signature for a version that was registered without one, or with a key of before."""

from __future__ import annotations

from typing import Annotated

import typer

from nightshift.command.display import console
from nightshift.command.releases import require_pipeline, stack_bucket
from nightshift.errors import BadDefinitionError
from nightshift.signing.keys import FileKey
from nightshift.signing.sign import sign_version
from nightshift.stack.doors import signing_key_file
from nightshift.stack.settings import current_settings


def sign(
    of: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="Such as flights@7.")],
    again: Annotated[
        bool, typer.Option("--again", help="With the key of now, though it is signed already.")
    ] = False,
) -> None:
    """Sign a registered version, so that serving hosts load it.

    Versions are signed when they are registered. This is for one from before there was a key, and
    after a change of keys: add the new public key to those that hosts trust, sign what may be gone
    back to, then take the old public key out.

    Example:

      ./nightshift sign flights@7 --again
    """
    pipeline, _, version = of.partition("@")
    require_pipeline(pipeline)
    if not version.isdecimal():
        raise BadDefinitionError(f"'{of}' names no version; expected NAME@VERSION, as flights@7.")
    settings = current_settings()
    key = FileKey(signing_key_file(settings))
    made = sign_version(stack_bucket(settings), pipeline, int(version), key, again=again)
    console.print(f"{of} is {'signed' if made else 'signed already'}.")
