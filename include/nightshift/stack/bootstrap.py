"""From a bare Python 3.11 to the command: makes the ``tools`` runtime, then becomes the command.

Started by the script ``nightshift`` with the standard library alone.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

_INCLUDE = Path(__file__).resolve().parents[2]
_APT = "apt-get install python3.11 python3-venv"


def main(arguments: list[str]) -> int:
    """Build ``tools`` if its lock changed, then replace this process by the command."""
    sys.path.insert(0, str(_INCLUDE))
    from nightshift.stack.runtime_build import BuildError, RuntimeBuild, default_root

    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        print(f"nightshift needs Python's venv module: {_APT}", file=sys.stderr)
        return 1
    build = RuntimeBuild("tools", root=default_root(), locks=_INCLUDE / "runtimes")
    try:
        if not build.is_current():
            print("Building the runtime of the command itself (about 20 s) …", file=sys.stderr)
            build.run()
    except BuildError as error:
        print(f"nightshift: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("nightshift: interrupted; run it again to go on.", file=sys.stderr)
        return 130
    environment = {**os.environ, "PYTHONPATH": str(_INCLUDE)}
    python = str(build.python)
    os.execve(python, [python, "-m", "nightshift.command", *arguments], environment)
    raise AssertionError("unreachable")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
