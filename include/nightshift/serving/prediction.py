"""One prediction: a request held against its signature, then run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nightshift.serving.errors import failed_precondition, invalid_argument
from nightshift.serving.model import Model
from nightshift.serving.signature import (
    DEFAULT_SIGNATURE,
    Signature,
    Tensor,
    TensorSpec,
    shape_text,
    type_name,
)


def find_signature(model: Model, name: str) -> Signature:
    """The named signature; an empty name means `serving_default`.

    Raises:
        ServingError: FAILED_PRECONDITION where the model has no such signature.
    """
    wanted = name or DEFAULT_SIGNATURE
    signature = model.signatures.get(wanted)
    if signature is None:
        raise failed_precondition(f'Serving signature key "{wanted}" not found.')
    return signature


def predict(
    model: Model,
    signature: Signature,
    inputs: dict[str, Tensor],
    types: dict[str, int],
    output_filter: Sequence[str] = (),
) -> dict[str, Tensor]:
    """Check the inputs, run the signature, and pick the outputs asked for.

    Args:
        model: The loaded version.
        signature: One of its signatures.
        inputs: Tensors by alias.
        types: `tensorflow.DataType` of each input, as the request declares it.
        output_filter: Aliases of the outputs wanted; empty for all.

    Raises:
        ServingError: INVALID_ARGUMENT for a missing or extra input, a wrong type or shape, an
            unknown or repeated output; TensorFlow's own code where an operation failed.
    """
    _check_names(signature, inputs)
    bound = {
        alias: _checked(spec, inputs, types, signature) for alias, spec in signature.inputs.items()
    }
    wanted = _wanted_outputs(signature, output_filter)
    outputs = model.run(signature, bound)
    return {alias: outputs[alias] for alias in wanted}


def _checked(
    spec: TensorSpec,
    inputs: dict[str, Tensor],
    types: dict[str, int],
    signature: Signature,
) -> Tensor:
    if spec.alias not in inputs:
        return _default(spec.alias, signature, inputs)
    tensor = inputs[spec.alias]
    if types[spec.alias] != spec.data_type:
        raise invalid_argument(
            f"Expects input {spec.alias} to be {spec.type_name} "
            f"but {type_name(types[spec.alias])} is provided"
        )
    if not spec.accepts_shape(tensor.shape):
        raise invalid_argument(
            f"Expects input {spec.alias} to have shape {spec.shape_text()} "
            f"but {shape_text(tensor.shape)} is provided"
        )
    return tensor


def _default(alias: str, signature: Signature, inputs: Iterable[str]) -> Tensor:
    if alias not in signature.defaults:
        raise invalid_argument(
            f"Signature input {alias} not found in request. Must be in the set "
            f"{{{_joined(signature.inputs)}}}. Sent: {{{_joined(inputs)}}}."
        )
    return signature.defaults[alias]


def _check_names(signature: Signature, inputs: Iterable[str]) -> None:
    sent, known = set(inputs), set(signature.inputs)
    extra = sent - known
    missing = known - sent - set(signature.defaults)
    if not extra and not missing:
        return
    raise invalid_argument(
        f"input size does not match signature: {len(sent)}!={len(known)} "
        f"len({{{_joined(sent)}}}) != len({{{_joined(known)}}}). "
        f"Sent extra: {{{_joined(extra)}}}. Missing but required: {{{_joined(missing)}}}."
    )


def _wanted_outputs(signature: Signature, output_filter: Sequence[str]) -> Sequence[str]:
    seen: set[str] = set()
    for alias in output_filter:
        if alias not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in "
                f"the set {{{_joined(signature.outputs)}}}."
            )
        if alias in seen:
            raise invalid_argument(f"duplicate output tensor alias: {alias}")
        seen.add(alias)
    return output_filter or list(signature.outputs)


def _joined(names: Iterable[str]) -> str:
    return ",".join(sorted(names))
