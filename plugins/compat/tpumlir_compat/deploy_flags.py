"""The flags of ``model_deploy.py``."""

from __future__ import annotations

from tpumlir_compat.flags import Flag, acts, nothing, refused, switch
from tpumlir_compat.values import positions, tolerance, words

_ONE = "the chips here have one core each"
_SCHEDULE = "the scheduler tries what pays for every network, and has no such setting; results are the same"
_ADDRESSES = "inputs and outputs have addresses of their own in every file; the runtime places them"
_TABLE_SUBNET = "a network is one piece on one chip"
_CV18XX = "it is for CV18xx chips, which there is no target for"
_GROUPS = "there are no weights in groups (W4F16 and its like)"
_HOST = "the emulator runs on this machine only; copy the file, and run it there with `tpumlir run`"
_DEBUGGER = "see `tpumlir disasm` and `tpumlir profile` for what was scheduled"
_YUV = "chroma is subsampled, and its conversion differs from camera to camera; let the decoder give RGB or BGR"

BASIC: tuple[Flag, ...] = (
    acts("--mlir", "the Top .mlir that model_transform.py has written", required=True),
    acts("--chip --processor", "the target: what `tpumlir plugins list` names", required=True, read=str.lower),
    acts("--quantize", "F32, F16, BF16 or INT8; what the quantizers and the chip have", default="F32", read=str.upper),
    acts("--model", "the bmodel to write", required=True),
)

QUANTIZATION: tuple[Flag, ...] = (
    acts("--calibration_table", "ranges of the tensors, for INT8"),
    acts("--quantize_table", "lines `NAME MODE`: operations that get another mode; names that the network has not are left out"),
    switch("--asymmetric", "INT8 with zero points"),
    refused("--q_group_size", _GROUPS, read=int, default=64, accepted=(0,)),
    refused("--q_symmetric", _GROUPS, switch=True),
    switch("--quant_input", "inputs keep the type of the compiled network, without a cast"),
    switch("--quant_output", "the same for outputs"),
    refused("--quant_output_bf16", "outputs have the network's own type, --quant_output, or F32", switch=True),
    switch("--quant_input_int8", "the same as --quant_input; an error where the network does not take 8 bits"),
    switch("--quant_output_int8", "the same as --quant_output; an error where the network does not give 8 bits"),
    acts("--quant_input_list", "--quant_input for these inputs only, counted from 1: `1,3`", read=positions, default=frozenset()),
    acts("--quant_output_list", "--quant_output for these outputs only", read=positions, default=frozenset()),
    nothing("--high_precision", "what F16 and BF16 are too small for keeps F32 always, see docs/precision.md", switch=True),
    refused("--ignore_f16_overflow", "the reference has given it up for --high_precision", switch=True),
    nothing("--matmul_perchannel", "weights have a scale for each channel always", switch=True),
    refused("--gelu_mode", "GELU is computed exactly", read=str.lower, default="normal"),
)

VALIDATION: tuple[Flag, ...] = (
    acts("--test_input", "inputs to check the result with: .npz, or an image or .npy for each input; images for --fuse_preprocess",
         read=words, default=()),
    switch("--gen_test_input", "check with random inputs, NAME_gen_in.npz, where --test_input names none"),
    acts("--gen_test_seed", "seed of these", read=int, default=0),
    acts("--test_reference", "the .npz with what should come out; default: what the .mlir computes, NAME_top_outputs.npz", default=""),
    switch("--compare_all", "compare every tensor of the lowered network, not only the outputs"),
    acts("--tolerance", "least cosine and euclidean similarity of the lowered network; "
         "default: 0.99,0.99 in F32, 0.99,0.90 in F16 and BF16, 0.90,0.80 in INT8", read=tolerance),
    acts("--correctness", "the same of the compiled file with the lowered network; default: 0.99,0.90, with a table of modes 0.98,0.80",
         read=tolerance),
    acts("--excepts", "tensors that are not compared", read=words, default=()),
    switch("--skip_validation", "do not run the compiled file"),
    nothing("--cache_skip", "nothing is kept from run to run, each is checked", switch=True),
    switch("--fazzy_match", "compare each tensor with the most alike of its shape, whatever it is called"),
    refused("--cuda", "checks run on the processor", switch=True),
    refused("--ip", _HOST, default=""),
    refused("--pwd", _HOST, default=""),
)

PREPROCESS: tuple[Flag, ...] = (
    switch("--fuse_preprocess", "the bmodel takes raw images: crop, mean, scale and order of channels are the chip's"),
    acts("--customization_format", "of these images: RGB_PLANAR, RGB_PACKED, BGR_PLANAR, BGR_PACKED, GRAYSCALE; default: the network's",
         read=str.upper, default="", refused=dict.fromkeys(("YUV420_PLANAR", "YUV_NV12", "YUV_NV21"), _YUV)),
    refused("--aligned_input", "rows of raw images are not padded; " + _CV18XX, switch=True),
)

COMPILER: tuple[Flag, ...] = (
    refused("--num_device", _TABLE_SUBNET, read=int, default=1),
    refused("--num_core", _ONE, read=int, default=1),
    nothing("--group_by_cores", _ONE, choices=("auto", "true", "false"), read=str.lower, default="auto"),
    refused("--dynamic", "networks are compiled for fixed shapes; put one for each shape together with model_tool --combine", switch=True),
    nothing("--opt", _SCHEDULE, choices=(1, 2, 3), read=int, default=2),
    refused("--layer_group_config", "there is no such file; " + _SCHEDULE, default=""),
    nothing("--shape_secs_search_strategy", _SCHEDULE, choices=(0, 1, 2), read=int, default=0),
    nothing("--disable_structure_detect_opt", _SCHEDULE, switch=True),
    refused("--addr_mode", _ADDRESSES, read=str.lower, default="auto", accepted=("basic",)),
    refused("--same_addr", _ADDRESSES, default=""),
    refused("--save_io_alone_config", _ADDRESSES, default=""),
    refused("--use_io_alone_config", _ADDRESSES, default=""),
    switch("--not_gen_bmodel", "stop after the lowered .mlir"),
    refused("--use_rewriter_config", "there is no configuration of rewriting; write a pass, see docs/plugins/hooks.md", switch=True),
    nothing("--disable_topo_sort", _SCHEDULE, switch=True),
    nothing("--enable_lghash", "nothing is kept from run to run", switch=True),
    nothing("--lghash_dir", "nothing is kept from run to run", default=""),
    refused("--rvti", "there is no target with an RVTI kernel module", switch=True),
    nothing("--disable_affine", _SCHEDULE, switch=True),
    refused("--trunc_final", "a compiled file is whole; cut the network with model_transform.py --output_names", nargs="*"),
    refused("--time_fixed_subnet", _TABLE_SUBNET),
    refused("--subnet_params", _TABLE_SUBNET),
    refused("--global_op_types", _SCHEDULE, default=""),
)

OTHERS: tuple[Flag, ...] = (
    nothing("--debug", "intermediate files stay always", switch=True),
    nothing("--log_level", "there is one level", read=int, choices=(0, 1), default=0),
    nothing("--disable_layer_group", _SCHEDULE, switch=True),
    nothing("--disable_gdma_check", "the streams of every file are checked", switch=True),
    refused("--lg_debugger", _DEBUGGER, read=int, default=0),
    refused("--op_divide", _CV18XX, switch=True),
    refused("--merge_weight", _CV18XX, switch=True),
    refused("--model_version", _CV18XX, default="latest"),
    refused("--iomem_set", _CV18XX, default=""),
    refused("--do_winograd", "it is for BM1684, and convolutions are exact here", switch=True),
    refused("--includeWeight", "there is no way to TOSA", switch=True),
    refused("--compress_mode", "it is for BM1688, which there is no target for", read=str.lower, default="none"),
    refused("--opt_post_processor", "it is for CV184x, which there is no target for", switch=True),
    nothing("--weight_deduplicate", "equal weights are stored once always", switch=True),
    refused("--patterns_count", "it is for the reference's own tests: the passes here are others"),
    refused("--io_alone", "the reference has given it up for --addr_mode io_alone, which is not here", switch=True),
    refused("--enable_maskrcnn", "there is no converter for the parts of a Mask R-CNN", switch=True),
    refused("--debug_cmd", _DEBUGGER, default=""),
)

FLAGS = (*BASIC, *QUANTIZATION, *VALIDATION, *PREPROCESS, *COMPILER, *OTHERS)
