"""The flags of ``run_calibration.py``, and what its methods are called here."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Mapping

from tpumlir_compat import mixed, samples
from tpumlir_compat.flags import Flag, acts, nothing, refused, switch
from tpumlir_compat.values import words

METHODS: Mapping[str, str] = {
    "kl": "kl",
    "max": "max",
    "mse": "mse",
    "percentile9999": "percentile",
    "aciq_laplace": "aciq_laplace",
    "aciq_gauss": "aciq_gauss",
}
"""Method of the reference -> calibrator."""
_CHIPS = ("bm1684x", "bm1684")
_OTHER_CHIPS = ("cv183x", "cv182x", "cv181x", "cv180x", "cv186x", "bm1688", "bm1690", "cv184x", "sgtpuv8", "sg2262")
_PART = "the search looks at operations one by one"
_MODES = "a table of ranges is for 8 bits; there are no modes of 4 bits and no floats of 8"
_DEBUG = "dump_list"


def _debug(text: str) -> tuple[str, ...]:
    """``dump_list``; there is nothing else."""
    found = tuple(command.strip().lower() for command in text.split(";") if command.strip())
    unknown = [command for command in found if command != _DEBUG]
    if unknown:
        raise ArgumentTypeError(f"{unknown[0]}: of the debug commands there is only {_DEBUG}")
    return found


FLAGS: tuple[Flag, ...] = (
    acts("mlir_file", "the Top .mlir that model_transform.py has written"),
    switch("--we", "equalize weights: with --bc and --sq one method, which changes the weights of the .mlir in place"),
    switch("--bc", "round weights by what they meet, and correct biases for it; see --we"),
    switch("--sq", "smooth activations into weights; see --we"),
    refused("--smc", "softmax stays float, there is nothing to correct", switch=True),
    *samples.FLAGS,
    acts("--input_num", "how many of the samples to use; 0: all", read=int, default=0),
    acts("--cali_method", "the calibrator: kl, max, mse, percentile9999 (here percentile), aciq_laplace, aciq_gauss", default="kl",
         choices=(*METHODS, "use_mse", "use_max", "use_kl", "use_percentile9999")),
    acts("--search", "search the operations that stay float too, and write --quantize_table: one way, whatever it is called",
         choices=("search_threshold", "search_qtable", "fast_search", "mix_search", "False"), default="False",
         refused={"search_threshold": "there is no search over methods; try each --cali_method, `tpumlir eval` compares them"}),
    acts("--inference_num", "how many of the samples the search uses", read=int, default=30),
    nothing("--bc_inference_num", "biases are corrected by the means over all samples", read=int, default=30),
    acts("--tune_list", "file with the samples that thresholds are tuned on; default: the first of the others", default=""),
    acts("--tune_num", "how many of them; 0: thresholds are not tuned", read=int, default=5),
    nothing("--histogram_bin_num", "histograms have as many bins as ranges need, 2048 at least", read=int, default=2048),
    *mixed.FLAGS,
    acts("--chip --processor", "ranges are the same for every chip that there is", default="bm1684x", choices=(*_CHIPS, *_OTHER_CHIPS),
         refused=dict.fromkeys(_OTHER_CHIPS, "there is no target for this chip")),
    refused("--kurtosis_analysis", "there is no such analysis; `tpumlir eval` says where a network loses", switch=True),
    refused("--part_quantize", "operations are quantized one by one; name those that stay float with model_deploy.py --quantize_table"),
    refused("--custom_operator", "it goes with --part_quantize", read=words, default=()),
    refused("--part_asymmetric", "zero points are for all tensors or none: model_deploy.py --asymmetric", switch=True),
    refused("--mix_mode", _MODES, default="wi8ai8_fp"),
    refused("--q_group_size", _MODES, read=int, default=64),
    refused("--pre_qtable", _PART, default=""),
    refused("--cluster", _PART, switch=True),
    acts("-o --calibration_table", "the calibration table to write"),
    acts("--quantize_table", "the table of --search to write", default=""),
    acts("--debug_cmd", f"{_DEBUG}: write the names of the samples to selected_image_list.txt", read=_debug, default=()),
    nothing("--debug_log", "there is one level", switch=True),
)
