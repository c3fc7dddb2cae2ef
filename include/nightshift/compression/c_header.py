"""A model as a C array, for microcontrollers that have no files."""

from __future__ import annotations

from collections.abc import Iterator

_PER_LINE = 12


def c_header(name: str, content: bytes, comment: str = "") -> str:
    """A header that defines ``<name>_model`` and ``<name>_model_size``.

    Included by one source file alone. The array starts at a multiple of 16 bytes, which the
    interpreter for microcontrollers asks for, and is const, so that it stays in flash.

    Args:
        name: A C identifier.
        content: The ``.tflite`` file.
        comment: Lines for the reader.
    """
    guard = f"NIGHTSHIFT_{name.upper()}_MODEL_H_"
    # What would end the comment is taken apart.
    lines = "".join(f" * {line}\n" for line in comment.replace("*/", "* /").splitlines())
    return (
        f"/*\n{lines} */\n"
        f"#ifndef {guard}\n#define {guard}\n\n"
        "#if defined(__cplusplus)\n#define NIGHTSHIFT_ALIGNED alignas(16)\n"
        "#else\n#define NIGHTSHIFT_ALIGNED _Alignas(16)\n#endif\n\n"
        f"#define {name.upper()}_MODEL_SIZE {len(content)}\n\n"
        f"static const unsigned int {name}_model_size = {name.upper()}_MODEL_SIZE;\n"
        f"NIGHTSHIFT_ALIGNED static const unsigned char {name}_model[{name.upper()}_MODEL_SIZE] = "
        "{\n" + "\n".join(_lines(content)) + "\n};\n\n"
        f"#undef NIGHTSHIFT_ALIGNED\n#endif /* {guard} */\n"
    )


def _lines(content: bytes) -> Iterator[str]:
    for start in range(0, len(content), _PER_LINE):
        part = content[start : start + _PER_LINE]
        yield "    " + ", ".join(f"0x{byte:02x}" for byte in part) + ","
