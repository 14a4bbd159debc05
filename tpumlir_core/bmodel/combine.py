"""Several bmodels in one file, and one network or stage of a file alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tpumlir_core.bmodel.schema import Model, Net, NetParameter, Tensor
from tpumlir_core.errors import InputError


def combine(models: Sequence[Model]) -> Model:
    """All networks of some models of one chip; those of one name become the stages of one network.

    Version, time and firmware are the first model's that has them. Raises InputError where the models do not go together.
    """
    if not models:
        raise InputError("combine: no bmodel given")
    chips = sorted({model.chip or "" for model in models})
    if len(chips) > 1:
        raise InputError(f"combine: the bmodels are of different chips: {', '.join(chips)}")
    nets: dict[str, Net] = {}
    for net in (net for model in models for net in model.net):
        name = net.name or ""
        nets[name] = _joined(nets[name], net) if name in nets else net
    return replace(
        models[0],
        net=tuple(nets.values()),
        neuron_size=max(model.neuron_size for model in models),
        device_num=max(model.device_num for model in models),
        kernel_module=next((model.kernel_module for model in models if model.kernel_module), None),
        cpuop_module=next((model.cpuop_module for model in models if model.cpuop_module), None),
    )


def extract(model: Model, name: str, stage: int | None = None) -> Model:
    """The model with one network, or one stage (from 0) of it. Raises InputError where there is none such."""
    net = next((net for net in model.net if net.name == name), None)
    if net is None:
        raise InputError(f"extract: no network {name}; there are {', '.join(net.name or '' for net in model.net)}")
    if stage is not None:
        if not 0 <= stage < len(net.parameter):
            raise InputError(f"extract: network {name} has no stage {stage}; its stages are 0 to {len(net.parameter) - 1}")
        net = replace(net, parameter=(net.parameter[stage],))
    return replace(model, net=(net,), neuron_size=max((parameter.ctx_size for parameter in net.parameter), default=0))


def extract_all(model: Model) -> dict[str, Model]:
    """Every stage of every network alone, by the file stem that the reference's ``model_tool --extract`` uses."""
    return {
        f"bm_net{i}_stage{j}": extract(model, net.name or "", j)
        for i, net in enumerate(model.net)
        for j in range(len(net.parameter))
    }


def _joined(net: Net, other: Net) -> Net:
    """A network with the stages of both."""
    first = net.parameter[0] if net.parameter else None
    for stage in other.parameter:
        if first is not None and _interface(stage) != _interface(first):
            raise InputError(f"combine: networks {net.name} have different inputs or outputs; give one another name")
        if any(_shapes(stage) == _shapes(known) for known in net.parameter):
            raise InputError(f"combine: network {net.name} is there twice with input shapes {_shapes(stage)}; give one another name")
    return replace(net, parameter=net.parameter + other.parameter)


def _interface(stage: NetParameter) -> tuple[tuple[tuple[str | None, int], ...], ...]:
    def signature(tensors: tuple[Tensor, ...]) -> tuple[tuple[str | None, int], ...]:
        return tuple((tensor.name, tensor.data_type) for tensor in tensors)

    return signature(stage.input_tensor), signature(stage.output_tensor)


def _shapes(stage: NetParameter) -> list[list[int]]:
    return [list(shape.dim) for tensor in stage.input_tensor for shape in tensor.shape]
