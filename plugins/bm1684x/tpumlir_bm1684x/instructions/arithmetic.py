"""Element-wise arithmetic (AR)."""

from __future__ import annotations

from collections.abc import Iterator

from tpumlir_bm1684x.instructions.common import ALIGNED, PRECISION, SIGNED, STRIDED, constant_bits
from tpumlir_core.errors import InternalError
from tpumlir_core.ir import ElementType
from tpumlir_sophgo.arithmetic import LARGEST_SHIFT
from tpumlir_sophgo.arithmetic import Rounding as Rounding
from tpumlir_sophgo.emitter import Emitter, Engine
from tpumlir_sophgo.tensor import Box, C, LocalTensor, N, Shape4

DIVIDE_STEPS = 2  # of AR div: 31 cycles a row, relative error 3e-7; 1: 23 cycles, 9e-6; 3: 39 cycles, 2.4e-7 ("CModel, measured")


_LARGEST_STRIDE = (1 << 16) - 1  # along n and c


class ArithmeticInstructions(Emitter):
    """Builders of the AR family."""

    def binary(
        self, operation: str, out: LocalTensor, a: LocalTensor | float, b: LocalTensor | float, shift: int | None = None, rounding: int = 0
    ) -> None:
        """``out = a operation b``; a constant is a float. An operand axis of size 1 is broadcast (n, h, w; not c).

        ``operation``: mul add sub max min and or xor select_* add_sat ... (isa/tiu.toml, AR). ``shift``: the third
        operand of the integer operations. ``rounding``: the hardware's code (see ``cast``).
        """
        types = [t.element for t in (a, b) if isinstance(t, LocalTensor)]
        element = types[0] if types else out.element
        values = {"tsk_opd_num": 2, "opd2_n_str": rounding}
        self._operand(values, "opd0", a, out.shape, element if not isinstance(a, LocalTensor) else a.element)
        self._operand(values, "opd1", b, out.shape, element if not isinstance(b, LocalTensor) else b.element)
        if shift is not None:
            values |= {"tsk_opd_num": 3, "opd2_const": 1, "opd2_addr": shift & 0xFF, "opd2_sign": 1}
        self._arithmetic(operation, out, values, [t for t in (a, b) if isinstance(t, LocalTensor)])

    def combine(
        self, operation: str, out: LocalTensor, a: LocalTensor | int, b: LocalTensor | int, shift: int = 0,
        rounding: Rounding = Rounding.HALF_UP, *, constant: ElementType | None = None,
    ) -> None:
        """``out = saturate(round((a operation b) / 2**shift))`` of integers of any sizes, exact before; shifts to 63 bits.

        ``operation``: add, sub or mul. A constant is of the type ``constant``, or else of the tensor's. What comes of a signed
        operand or of a difference is signed, all else unsigned, and so has ``out`` to be; it may be signed where it has bits
        to spare. In numpy: ``tpumlir_sophgo.arithmetic.combine``. Broadcasts as ``binary`` does, and one value a channel.
        """
        tensors = [t for t in (a, b) if isinstance(t, LocalTensor)]
        other = constant or tensors[0].element
        types = [t.element if isinstance(t, LocalTensor) else other for t in (a, b)]
        signed = operation == "sub" or any(t in SIGNED for t in types)
        bytes_needed = sum(t.bytes for t in types) if operation == "mul" else max(t.bytes for t in types)
        spare = not signed and shift >= 0 and bytes_needed < out.element.bytes
        if any(t.is_float for t in (*types, out.element)) or not (spare or signed == (out.element in SIGNED)):
            raise InternalError(f"{types[0].value} {operation} {types[1].value} cannot give {out.element.value}")
        if not -LARGEST_SHIFT <= shift <= LARGEST_SHIFT:
            raise InternalError(f"a shift by {shift} bits")
        values = {"tsk_opd_num": 2, "opd2_n_str": int(rounding)}
        for name, operand, element in zip(("opd0", "opd1"), (a, b), types, strict=True):
            self._operand(values, name, operand, out.shape, element)
        if shift:
            values |= {"tsk_opd_num": 3, "opd2_const": 1, "opd2_addr": -shift & 0xFF, "opd2_sign": 1}
        self._arithmetic(f"{operation}_sat", out, values, tensors)

    def divide(self, out: LocalTensor, a: LocalTensor | float, b: LocalTensor | float) -> None:
        """``out = a / b`` in F32; infinite where b is 0, and (unlike IEEE) where b is infinite; NaN for 0 / 0."""
        if out.element is not ElementType.F32:
            raise InternalError(f"no division gives {out.element.value}")
        self.binary("div", out, a, b, rounding=DIVIDE_STEPS)

    def select(self, relation: str, out: LocalTensor, a: LocalTensor | float, b: LocalTensor | float, yes: float) -> None:
        """``out = a relation b ? yes : 0``; ``relation``: gt, eq or lt. Operands broadcast as in ``binary``."""
        element = next((t.element for t in (a, b) if isinstance(t, LocalTensor)), out.element)
        values = {"tsk_opd_num": 3, "opd2_const": 1, "opd2_prec": PRECISION[out.element], "opd2_addr": constant_bits(yes, out.element)}
        self._operand(values, "opd0", a, out.shape, element)
        self._operand(values, "opd1", b, out.shape, element)
        self._arithmetic(f"select_{relation}", out, values, [t for t in (a, b) if isinstance(t, LocalTensor)])

    def shift_bits(self, out: LocalTensor, a: LocalTensor, bits: int, arithmetic: bool = False) -> None:
        """Integers shifted left (right where ``bits`` is negative, rounding down)."""
        values = {"tsk_opd_num": 2, "opd2_n_str": Rounding.DOWN, "opd1_const": 1, "opd1_prec": 0, "opd1_sign": 1, "opd1_addr": bits & 0xFF}
        self._operand(values, "opd0", a, out.shape, a.element)
        self._arithmetic("arith_shift" if arithmetic else "logic_shift", out, values, [a])

    def unary(self, operation: str, out: LocalTensor, a: LocalTensor | float, rounding: int = 0) -> None:
        """``out = operation a``: copy, abs, cast, not, ..."""
        values = {"tsk_opd_num": 1, "opd2_n_str": rounding}
        self._operand(values, "opd0", a, out.shape, a.element if isinstance(a, LocalTensor) else out.element)
        if operation == "cast":
            if isinstance(a, LocalTensor) and {a.element, out.element} == {ElementType.F16, ElementType.BF16}:
                raise InternalError(f"{a.element.value} converts to {out.element.value} by way of f32 only")
            values["opd2_sign"] = int(out.element in SIGNED)
        self._arithmetic(operation, out, values, [a] if isinstance(a, LocalTensor) else [])

    def convert(self, out: LocalTensor, x: LocalTensor, rounding: Rounding = Rounding.HALF_TO_EVEN) -> None:
        """``out`` = ``x`` as another element type; a float to its own type: as an integral number.

        The arithmetic, bit for bit: ``tpumlir_sophgo.conversion.convert``. F16 and BF16 convert by way of F32 only.
        """
        if rounding > Rounding.UP and any(t.is_float for t in (x.element, out.element)):
            raise InternalError(f"{x.element.value} to {out.element.value} cannot be rounded {rounding.name}")
        self.unary("cast", out, x, rounding)

    def copy(self, out: LocalTensor, a: LocalTensor | float) -> None:
        """Copy a tensor, or fill with a constant; in parts where strides are more than an instruction can say."""
        tensors = [t for t in (out, a) if isinstance(t, LocalTensor)]
        far = {axis for t in tensors for axis in (N, C) if self._steps(t)[axis] and t.strides[axis] > _LARGEST_STRIDE}
        if not far:
            self.unary("copy", out, a)
            return
        axis = min(far)
        for start, size in self._runs(out, axis):
            box = Box.whole(out.shape).with_axis(axis, start, size)
            self.copy(out.part(self.arch, box), a.part(self.arch, box) if isinstance(a, LocalTensor) else a)

    def _runs(self, out: LocalTensor, axis: int) -> Iterator[tuple[int, int]]:
        """(first, number) of what takes no step along n, or along the channels of a lane."""
        start = 0
        while start < out.shape[axis]:
            most = 1 if axis == N else self.arch.lanes - (out.lane + start) % self.arch.lanes
            yield start, min(most, out.shape[axis] - start)
            start += most

    def _arithmetic(self, operation: str, out: LocalTensor, values: dict[str, int], reads: list[LocalTensor]) -> None:
        n, c, h, w = out.shape
        values |= {"cmd_id_en": 1, "res0_prec": PRECISION[out.element], "res0_addr": self.lane_address(out)}
        values |= {"res0_n": n, "res0_c": c, "res0_h": h, "res0_w": w}
        self._layout(values, "res0", out, out.shape)
        self.issue(Engine.TIU, "sAR", values, reads, [out], variant=operation)

    def _operand(self, values: dict[str, int], name: str, operand: LocalTensor | float, shape: Shape4, element: ElementType) -> None:
        values[f"{name}_prec"] = PRECISION[element]
        values[f"{name}_sign"] = int(element in SIGNED)
        if isinstance(operand, LocalTensor):
            values[f"{name}_addr"] = self.lane_address(operand)
            self._layout(values, name, operand, shape)
        else:
            values[f"{name}_const"] = 1
            values[f"{name}_addr"] = constant_bits(operand, element)

    def _layout(self, values: dict[str, int], name: str, tensor: LocalTensor, shape: Shape4) -> None:
        if tensor.shape == shape and tensor.is_aligned(self.arch):
            values[f"{name}_str"] = ALIGNED
            return
        values[f"{name}_str"] = STRIDED
        steps = self._steps(tensor)
        for axis, (size, stride) in enumerate(zip(tensor.shape, tensor.strides, strict=True)):
            stays = not steps[axis] if axis in steps else size == 1 and shape[axis] != 1
            values[f"{name}_{'nchw'[axis]}_str"] = 0 if stays else stride

    def _steps(self, tensor: LocalTensor) -> dict[int, bool]:
        """Whether there is more than one place in a lane along n, and along c; where not, the stride does not matter."""
        return {N: tensor.shape[N] > 1, C: tensor.shape[C] + tensor.lane > self.arch.lanes}

    def lane_address(self, tensor: LocalTensor) -> int:
        """The address field of a local operand: the lane it begins in, and the offset."""
        return tensor.lane * self.arch.lane_bytes + tensor.address
