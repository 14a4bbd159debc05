"""Cycles of BM1684X commands, as SOPHGO's own estimator counts them.

Rules are read off the timelines that tpu-mlir 1.30.2 writes beside its bmodels (compiler_profile_0.txt), joined with the decoded
commands, or found by calling the emulator's atomic_*_get_profile functions; ``docs/profile.md`` tells them in words,
``tests/bm1684x/test_cost.py`` holds samples.
"""

from __future__ import annotations

from collections.abc import Mapping

from tpumlir_bm1684x.cost_dma import transfer_cycles
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.emitter import Command, Engine
from tpumlir_sophgo.isa import Format

LANES = 64
EU_BYTES = 64
LANE_BYTES, BANK_BYTES = 1 << 18, 1 << 14
# Bytes of an element by precision code; inputs of one convolution step by precision code.
_BYTES = {0: 1, 1: 2, 2: 4, 3: 2, 4: 4, 5: 2}
_INPUTS = {0: 64, 1: 32, 2: 1, 5: 32}
_STRIDED, _F32 = 3, 2
# Gathers and scatters that check for hazards: half as long again (CModel's atomic_sg_get_profile).
_CHECKED = frozenset({"pe_s_gather_hzd", "pe_s_scatter_hzd"})
_DIVIDE = (15, 8)  # cycles a row of execution units: at least, and by the iteration field (CModel's atomic_ar_get_profile)
_ONE_PASS = frozenset({"copy", "copy_mb"})  # may write where they read
_RSQRT = 30  # cycles a row, whatever the iteration field


class Bm1684xCost:
    """Cycles of single commands."""

    def cycles(self, command: Command) -> int:
        """Cycles from start to end; 0 for commands of the engine itself, as the one that ends a stream."""
        if command.engine is Engine.DMA:
            return transfer_cycles(command.format, command.values)
        family = command.format.name.lstrip("s")
        if family == "SYSID":
            return 0
        return max(1, _RULES.get(family, _linear)(command.format, command.values))


def _rows(v: Mapping[str, int], size: int) -> int:
    """Rows of execution units that a result takes: batches x channel groups, counted from lane 0, x parts of h*w."""
    groups = ceil_div(v.get("res0_c", 1) + v.get("res0_addr", 0) // LANE_BYTES, LANES)
    return v.get("res0_n", 1) * groups * ceil_div(v.get("res0_h", 1) * v.get("res0_w", 1), EU_BYTES // size)


def _step(precision: int) -> tuple[int, int]:
    """(results a lane, inputs) of one step of the multipliers: 4 x 64 in INT8, 4 x 32 in 16 bits, 16 x 1 in F32."""
    return (4 if precision in (0, 1, 5) else EU_BYTES // 4), _INPUTS.get(precision, 1)


def _convolution(fmt: Format, v: Mapping[str, int]) -> int:
    width, inputs = _step(v.get("opd0_prec", 0))
    rows = v.get("res0_n", 1) * ceil_div(v["res0_c"], LANES) * ceil_div(v["res0_h"] * v["res0_w"], width)
    return rows * ceil_div(v["opd0_c"], inputs) * v["opd1_h"] * v["opd1_w"]


def _pooling(fmt: Format, v: Mapping[str, int]) -> int:
    """Windows that step in both directions cost three times; rows of windows of one row do not share a row of execution units.

    (CModel's atomic_pool_depthwise_get_profile, called.)
    """
    width = EU_BYTES // max(_BYTES[v.get(f"{name}_prec", 0)] for name in ("res0", "opd0"))
    height, breadth = v.get("res0_h", 1), v.get("res0_w", 1)
    rows = height * ceil_div(breadth, width) if v["opd1_h"] == 1 else ceil_div(height * breadth, width)
    groups = ceil_div(v.get("res0_c", 1) + v.get("res0_addr", 0) // LANE_BYTES, LANES)
    both = v.get("res_op_y_str", 1) > 1 and v.get("res_op_x_str", 1) > 1
    return v.get("res0_n", 1) * groups * rows * v["opd1_h"] * v["opd1_w"] * (3 if both else 1)


def _arithmetic(fmt: Format, v: Mapping[str, int]) -> int:
    names = ("opd0", "opd1")[: v.get("tsk_opd_num", 1)]
    tensors = [name for name in names if not v.get(f"{name}_const")]
    size = max(_BYTES[v.get(f"{name}_prec", 0)] for name in ("res0", *names))
    rows, variant, width = _rows(v, size), fmt.variant_name(v), EU_BYTES // size
    if variant == "div":
        return rows * (_DIVIDE[0] + _DIVIDE[1] * v.get("opd2_n_str", 0))
    read = sum(_scatter(v, name, width) for name in tensors)
    in_place = variant not in _ONE_PASS and any(v.get(f"{name}_addr", 0) == v.get("res0_addr", 0) for name in tensors)
    return rows * max(1, read, _scatter(v, "res0", width)) * (2 if in_place else 1)


def _scatter(v: Mapping[str, int], name: str, width: int) -> int:
    """Words of ``width`` elements that a tensor takes for one word of the result; 0: not strided, or one value for a whole row."""
    h, w = v.get("res0_h", 1), v.get("res0_w", 1)
    step_h, step_w = v.get(f"{name}_h_str", 0), v.get(f"{name}_w_str", 0)
    if v.get(f"{name}_str", 0) != _STRIDED or (h > 1 and (step_h, step_w) == (1, 0)):
        return 0
    if step_w > 1:
        return min(width, step_w)
    words = ceil_div(h * step_h, width) if step_h - w < width else h * ceil_div(step_h % width + w, width)
    return max(1, words // ceil_div(h * w, width))


def _matrix(fmt: Format, v: Mapping[str, int]) -> int:
    if v.get("left_tran"):
        rows, inner = v["opd0_w"] * (v["opd0_c"] - 1) + v["opd1_w"], v["opd0_n"]
    else:
        rows, inner = v["opd0_n"], v["opd0_w"] * (v["opd0_c"] - 1) + v["opd1_w"]
    biased = v.get("opd0_prec", 0) == _F32 and not v.get("opd2_const")  # of integers the third operand is a shift
    extra = int(biased) + v.get("res_add", 0)
    width = EU_BYTES // _BYTES[v.get("opd0_prec", 0)]
    return rows * (inner + extra) * ceil_div(v["res0_c"], LANES) * ceil_div(v["res0_w"], width)


def _matrix2(fmt: Format, v: Mapping[str, int]) -> int:
    precision = v.get("opd0_prec", 0)
    width, inputs = _step(precision)
    inner = v["opd1_w"] if fmt.variant_name(v) in ("nt", "tt") else v["opd1_c"]
    return ceil_div(v["res0_c"], LANES) * ceil_div(v["res0_w"], width) * ceil_div(inner, inputs)


def _special(fmt: Format, v: Mapping[str, int]) -> int:
    rows = _rows(v, _BYTES[v.get("opd0_prec", 0)])
    variant = fmt.variant_name(v)
    if variant.startswith("taylor"):
        return rows * v["opd1_n"]
    return rows * (_RSQRT if variant == "rsqrt" else 1)


def _compare(fmt: Format, v: Mapping[str, int]) -> int:
    return 2 * _rows(v, _BYTES[v.get("opd0_prec", 0)])


def _transform(fmt: Format, v: Mapping[str, int]) -> int:
    variant, size = fmt.variant_name(v), _BYTES[v.get("res0_prec", 0)]
    if variant in ("cw_transpose", "wc_transpose"):
        return v.get("res0_n", 1) * v.get("res0_h", 1) * ceil_div(v.get("res0_w", 1), EU_BYTES // size)
    rows = _rows(v, size)
    if variant == "lane_copy":
        return rows * v.get("res0_c", 1)
    in_place = variant == "lane_broadcast" and v.get("res0_addr", 0) == v.get("opd0_addr", 0)
    return rows * (2 if in_place else 1)


def _gather(fmt: Format, v: Mapping[str, int]) -> int:
    variant = fmt.variant_name(v)
    picked = v["opd0_h"] * v["opd0_w"] if "scatter" in variant else v["res0_w"]
    elements = v.get("res0_n", 1) * ceil_div(v["res0_c"], LANES) * picked
    return elements * 3 // 2 if variant in _CHECKED else elements


def _linear(fmt: Format, v: Mapping[str, int]) -> int:
    return _rows(v, _BYTES[v.get("res0_prec", 0)])  # CModel's atomic_fused_linear_get_profile


def _requantize(fmt: Format, v: Mapping[str, int]) -> int:
    size = max(_BYTES[v.get(f"{name}_prec", 0)] for name in ("res0", "opd0"))
    banks = [v.get(f"{name}_addr", 0) % LANE_BYTES // BANK_BYTES for name in ("res0", "opd0")]
    return _rows(v, size) * (2 if banks[0] == banks[1] else 1)


_RULES = {
    "CONV": _convolution, "PorD": _pooling, "AR": _arithmetic, "MM": _matrix, "MM2": _matrix2, "SFU": _special, "CMP": _compare,
    "TRANS_BC": _transform, "TRANS_sBC": _transform, "LIN": _linear, "SG": _gather, "RQ_sDQ": _requantize, "RQ_DQ": _requantize,
}
