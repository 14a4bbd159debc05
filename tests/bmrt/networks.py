"""Small networks, command by command, for the runtime."""

from __future__ import annotations

from collections.abc import Sequence

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_core.bmodel import BmodelNet, BmodelTensor, CommandStreams
from tpumlir_core.ir.types import ElementType
from tpumlir_sophgo.emitter import Command, Engine
from tpumlir_sophgo.tensor import GlobalTensor, LocalTensor, Shape4

WEIGHTS, NEURONS = 0x100000000, 0x100001000


def end(engine: Engine, command_id: int) -> bytes:
    """The command that ends a stream, as docs/bmodel.md gives it."""
    word = 0x0003FE00_00000000 | command_id << 1 if engine is Engine.TIU else 0x00000006_00000000 | command_id << 9 | 0x28
    return word.to_bytes(16, "little")


def group(emitter: Bm1684xEmitter) -> CommandStreams:
    """The commands of an emitter as one group."""
    streams = [(engine, emitter.stream(engine)) for engine in (Engine.TIU, Engine.DMA)]
    encoded = [b"".join(map(_encoded, commands)) + end(engine, len(commands) + 1) for engine, commands in streams]
    tiu, dma = (len(commands) + 1 for _, commands in streams)
    return CommandStreams(encoded[0], tiu, encoded[1], dma)


def _encoded(command: Command) -> bytes:
    return command.format.encode({**command.values, "cmd_id": command.id, "cmd_id_dep": command.waits})


def scaled_sum(
    name: str = "net", shape: Shape4 = (2, 70, 3, 5), factor: float = 3.0, element: ElementType = ElementType.F32,
    weights: bytes = b"", cut: bool = False,
) -> BmodelNet:
    """``sum = (a + b) * factor`` and ``copy = a``, of one shape. ``cut``: the last part is a command group of its own."""
    chip = arch()
    size = GlobalTensor.dense(0, shape, element).bytes
    step = -(-size // 4096) * 4096
    a, b, total, copy = (GlobalTensor.dense(NEURONS + i * step, shape, element) for i in range(4))
    lanes = [LocalTensor.aligned(chip, i * 0x4000, shape, element) for i in range(3)]
    emitters = [Bm1684xEmitter.new()]
    emitters[0].load(lanes[0], a)
    emitters[0].load(lanes[1], b)
    emitters[0].binary("add", lanes[2], lanes[0], lanes[1])
    if cut:
        emitters.append(Bm1684xEmitter.new())
    emitters[-1].binary("mul", lanes[2], lanes[2], factor)
    emitters[-1].store(total, lanes[2])
    emitters[-1].store(copy, lanes[0])

    def tensors(*named: tuple[str, GlobalTensor]) -> tuple[BmodelTensor, ...]:
        return tuple(BmodelTensor(label, element, shape, tensor.address, size) for label, tensor in named)

    return BmodelNet(
        name, "BM1684X", tensors(("a", a), ("b", b)), tensors(("sum", total), ("copy", copy)), weights, WEIGHTS,
        NEURONS, 4 * step, tuple(group(emitter) for emitter in emitters),
    )


def passing(shape: Sequence[int], element: ElementType, scale: float = 1.0, zero_point: int = 0) -> BmodelNet:
    """``y = x`` by one DMA command from global to global memory, and no TIU command at all."""
    flat = (1, 1, 1, 64)
    x, y = (GlobalTensor.dense(NEURONS + i * 4096, flat, ElementType.F32) for i in range(2))
    emitter = Bm1684xEmitter.new()
    emitter.move(y, x)
    named = (("x", x, 1 / scale if scale else scale), ("y", y, scale))
    tensors = [BmodelTensor(name, element, tuple(shape), t.address, 256, factor, zero_point) for name, t, factor in named]
    return BmodelNet("pass", "BM1684X", (tensors[0],), (tensors[1],), b"", WEIGHTS, NEURONS, 8192, (group(emitter),))
