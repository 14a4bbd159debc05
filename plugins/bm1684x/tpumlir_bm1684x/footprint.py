"""Which bytes a command touches, from its fields alone: the knowledge of the independent check.

Layouts are those of tpu-mlir 1.30.2's decoder: aligned (0), compact (1), strided (3); filters of a convolution lie with
output channels in the lanes, input channels and taps behind one another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tpumlir_bm1684x.chip import arch
from tpumlir_core.errors import InternalError
from tpumlir_sophgo.arch import align, ceil_div
from tpumlir_sophgo.check import Footprint, Span
from tpumlir_sophgo.isa import Format

_BYTES = {0: 1, 1: 2, 2: 4, 3: 2, 4: 4, 5: 2}  # by precision code
_INPUTS = {1: 64, 2: 32, 4: 1}  # that interleave in the filter of a convolution, by bytes of an element
_ALIGNED, _COMPACT, _STRIDED = 0, 1, 3
Values = Mapping[str, int]
Shape = tuple[int, int, int, int]


def footprint(fmt: Format, values: Values) -> Footprint:
    """The bytes that one command reads and writes. Raises InternalError for a command that no builder makes."""
    rule = _RULES.get(fmt.name)
    if rule is None:
        raise InternalError(f"the check does not know what {fmt.name} touches")
    return rule(fmt, values)


def _tensor(address: int, shape: Shape, size: int, layout: int = _ALIGNED, strides: Shape | None = None) -> Span:
    n, c, h, w = shape
    lane, offset = divmod(address, arch().lane_bytes)
    groups = ceil_div(lane + c, arch().lanes)
    if layout == _STRIDED:
        assert strides is not None
        last = sum((d - 1) * s for d, s in zip((n, groups, h, w), strides, strict=True))
        return offset, offset + (last + 1) * size
    channel = h * w if layout == _COMPACT else align(h * w, arch().eu_bytes // size)
    return offset, offset + ((n * groups - 1) * channel + h * w) * size


def _operand(v: Values, name: str, shape: Shape) -> Span:
    strides = (v.get(f"{name}_n_str", 0), v.get(f"{name}_c_str", 0), v.get(f"{name}_h_str", 0), v.get(f"{name}_w_str", 0))
    return _tensor(v[f"{name}_addr"], shape, _BYTES[v[f"{name}_prec"]], v.get(f"{name}_str", _ALIGNED), strides)


def _result_shape(v: Values) -> Shape:
    return v["res0_n"], v["res0_c"], v["res0_h"], v["res0_w"]


def _convolution(fmt: Format, v: Values) -> Footprint:
    shape = _result_shape(v)
    size, groups = _BYTES[v["opd0_prec"]], ceil_div(shape[1], arch().lanes)
    image = _operand(v, "opd0", (shape[0], v["opd0_c"], v["opd0_h"], v["opd0_w"]))
    result = _tensor(v["res0_addr"], shape, _BYTES[v["res0_prec"]])
    reads = [image]
    if not v["opd1_const"]:
        at = v["opd1_addr"] % arch().lane_bytes
        inputs = align(v["opd0_c"], _INPUTS[size])
        reads.append((at, at + groups * inputs * v["opd1_h"] * v["opd1_w"] * size))
    if not v["opd2_const"]:
        reads.append(_tensor(v["opd2_addr"], (1, shape[1], 1, 1), 4, _COMPACT))
    return Footprint((*reads, result) if v["res_add"] else tuple(reads), (result,))


def _pooling(fmt: Format, v: Values) -> Footprint:
    shape = _result_shape(v)
    size = _BYTES[v["opd0_prec"]]
    reads = [_tensor(v["opd0_addr"], (shape[0], shape[1], v["opd0_h"], v["opd0_w"]), size)]
    if fmt.variant_name(v).startswith("depthwise"):
        if not v["opd1_const"]:
            reads.append(_tensor(v["opd1_addr"], (1, shape[1], v["opd1_h"], v["opd1_w"]), size, _COMPACT))
        if not v["opd2_const"]:
            reads.append(_tensor(v["opd2_addr"], (1, shape[1], 1, 1), 4 if size == 1 else size, _COMPACT))
    return Footprint(tuple(reads), (_tensor(v["res0_addr"], shape, _BYTES[v["res0_prec"]]),))


def _arithmetic(fmt: Format, v: Values) -> Footprint:
    shape = _result_shape(v)
    names = ("opd0", "opd1")[: min(v["tsk_opd_num"], 2)]
    reads = [_operand(v, name, shape) for name in names if not v[f"{name}_const"]]
    if v["tsk_opd_num"] == 3 and not v["opd2_const"]:
        reads.append(_tensor(v["opd2_addr"], (1, shape[1], 1, 1), _BYTES[v["opd2_prec"]], _COMPACT))
    return Footprint(tuple(reads), (_operand(v, "res0", shape),))


def _special(fmt: Format, v: Values) -> Footprint:
    shape = _result_shape(v)
    reads = [_tensor(v["opd0_addr"], shape, _BYTES[v["opd0_prec"]])]
    if fmt.variant_name(v).startswith("taylor"):
        at = v["opd1_addr"] % arch().lane_bytes
        reads.append((at, at + v["opd1_n"] * _BYTES[v["opd0_prec"]]))
    return Footprint(tuple(reads), (_tensor(v["res0_addr"], shape, _BYTES[v["res0_prec"]]),))


def _linear(fmt: Format, v: Values) -> Footprint:
    shape = _result_shape(v)
    size = _BYTES[v["res0_prec"]]
    reads = [_tensor(v["opd0_addr"], shape, size)]
    reads += [_tensor(v[f"{o}_addr"], (1, shape[1], 1, 1), size, _COMPACT) for o in ("opd1", "opd2") if not v[f"{o}_const"]]
    return Footprint(tuple(reads), (_tensor(v["res0_addr"], shape, size),))


def _comparison(fmt: Format, v: Values) -> Footprint:
    shape = _result_shape(v)
    sizes = (_BYTES[v["opd0_prec"]], _BYTES[v["opd0_prec"]], _BYTES[v["opd2_prec"]], _BYTES[v["opd2_prec"]])
    reads = tuple(_tensor(v[f"opd{i}_addr"], shape, size) for i, size in enumerate(sizes) if not v[f"opd{i}_const"])
    return Footprint(reads, (_tensor(v["res0_addr"], shape, sizes[2]),))


def _transform(fmt: Format, v: Values) -> Footprint:
    n, c, h, w = _result_shape(v)
    size = _BYTES[v["res0_prec"]]
    result = _tensor(v["res0_addr"], (n, c, h, w), size)
    variant = fmt.variant_name(v)
    if v["opd0_addr"] >= arch().static_base:
        return Footprint((), (result,))
    source = {"lane_broadcast": (n, 1, h, w), "wc_transpose": (n, w, h, c), "cw_transpose": (n, w, h, c)}.get(variant, (n, c, h, w))
    if variant == "cw_transpose":  # rows aligned
        source = (n, w, h, align(c, arch().eu_bytes // size))
    return Footprint((_tensor(v["opd0_addr"], source, size),), (result,))


def _matrix(fmt: Format, v: Values) -> Footprint:
    size, outer = _BYTES[v["opd0_prec"]], _BYTES[v["res0_prec"]]
    inner = v["opd0_w"] * (v["opd0_c"] - 1) + v["opd1_w"]
    rows, depth = (inner, v["opd0_n"]) if v["left_tran"] else (v["opd0_n"], inner)
    result = _tensor(v["res0_addr"], (rows, v["res0_c"], 1, v["res0_w"]), outer)
    reads = [_tensor(v["opd1_addr"], (depth, v["res0_c"], 1, v["res0_w"]), size)]
    if not v["opd0_const"]:
        reads.append(_tensor(v["opd0_addr"], (v["opd0_n"], v["opd0_c"], 1, v["opd0_w"]), size))
    if not v["opd2_const"]:
        reads.append(_tensor(v["opd2_addr"], (1, v["res0_c"], 1, v["res0_w"]), 4))
    return Footprint((*reads, result) if v["res_add"] else tuple(reads), (result,))


def _matrix2(fmt: Format, v: Values) -> Footprint:
    size, outer = _BYTES[v["opd0_prec"]], _BYTES[v["res0_prec"]]
    result = _tensor(v["res0_addr"], (1, v["res0_c"], 1, v["res0_w"]), outer)
    variant = fmt.variant_name(v)
    left = {"nn": (v["res0_c"], v["opd1_c"]), "nt": (v["res0_c"], v["opd1_w"]), "tt": (v["opd1_w"], v["res0_c"])}[variant]
    reads = [_tensor(v["opd1_addr"], (1, v["opd1_c"], 1, v["opd1_w"]), size)]
    if not v["opd0_const"]:
        reads.append(_tensor(v["opd0_addr"], (1, left[0], 1, left[1]), size))
    return Footprint((*reads, result) if v["res_add"] else tuple(reads), (result,))


_SCALES = {"rq0": 8, "rq1": 12, "dq0": 8, "dq1": 12}  # bytes of each channel


def _quantization(fmt: Format, v: Values) -> Footprint:
    shape = _result_shape(v)
    reads = [_tensor(v["opd0_addr"], shape, _BYTES[v["opd0_prec"]])]
    if not v["opd1_const"]:
        reads.append(_tensor(v["opd1_addr"], (1, shape[1], 1, _SCALES[fmt.variant_name(v)]), 1))
    return Footprint(tuple(reads), (_tensor(v["res0_addr"], shape, _BYTES[v["res0_prec"]]),))


def _lookup(fmt: Format, v: Values) -> Footprint:
    shape, at = _result_shape(v), v["opd0_addr"] % arch().lane_bytes
    table = (at, at + v["opd0_w"] * _BYTES[v["opd0_prec"]])
    index, result = (_tensor(v[f"{name}_addr"], shape, _BYTES[v[f"{name}_prec"]]) for name in ("opd1", "res0"))
    return Footprint((index, table), (result,))


def _transfer(fmt: Format, v: Values) -> Footprint:
    size = _BYTES[v["src_format"]]
    source = (v["src_nsize"], v["src_csize"], v["src_hsize"], v["src_wsize"])
    target = source if v["nchw_copy"] else (v["dst_nsize"], v["dst_csize"], v["dst_hsize"], v["dst_wsize"])
    local: dict[str, list[Span]] = {"src": [], "dst": []}
    memory: dict[str, list[Span]] = {"src": [], "dst": []}
    for side, shape in (("src", source), ("dst", target)):
        if side == "src" and v["fill_constant"]:
            continue
        address = _address(v, side)
        strides = (v[f"{side}_nstride"], v[f"{side}_cstride"], v[f"{side}_hstride"], v[f"{side}_wstride"])
        if arch().local_base <= address < arch().static_base:
            local[side].append(_tensor(address - arch().local_base, shape, size, _STRIDED, strides))
        elif address >= arch().global_base:
            last = sum((d - 1) * s for d, s in zip(shape, strides, strict=True))
            memory[side].append((address, address + (last + 1) * size))
        else:
            raise InternalError(f"a transfer at {address:#x}, which is neither local nor global memory")
    return Footprint(tuple(local["src"]), tuple(local["dst"]), tuple(memory["src"]), tuple(memory["dst"]))


def _gather(fmt: Format, v: Values) -> Footprint:
    size = _BYTES[v["src_format"]]
    spans = {}
    for side in ("src", "dst"):
        address = _address(v, side)
        if address < arch().global_base:
            raise InternalError("a gather from or to local memory")
        last = (v[f"{side}_csize"] - 1) * v[f"{side}_cstride"] + (v[f"{side}_hsize"] - 1) * v[f"{side}_hstride"] + v[f"{side}_wsize"]
        spans[side] = (address, address + last * size)
    index = v["index_addr_l32"] | v["index_addr_h8"] << 32
    return Footprint((), (), (spans["src"], (index, index + v["index_hsize"] * 4)), (spans["dst"],))


def _address(v: Values, side: str) -> int:
    return v[f"{side}_addr_l32"] | v[f"{side}_addr_h8"] << 32


_RULES: dict[str, Callable[[Format, Values], Footprint]] = {
    "sCONV": _convolution, "sPorD": _pooling, "sAR": _arithmetic, "sSFU": _special, "sLIN": _linear, "sCMP": _comparison,
    "sTRANS_sBC": _transform, "sRQ_sDQ": _quantization, "sSG": _lookup, "sMM": _matrix, "sMM2": _matrix2,
    "DMA_tensor": _transfer, "DMA_gather": _gather,
}
