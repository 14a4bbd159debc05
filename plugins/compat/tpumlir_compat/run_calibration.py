"""``run_calibration.py``: a Top .mlir and samples to a calibration table."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tpumlir_compat import mixed, samples
from tpumlir_compat.calibration_flags import FLAGS, METHODS
from tpumlir_compat.entry import run
from tpumlir_compat.flags import Command
from tpumlir_core.errors import InputError

if TYPE_CHECKING:
    from tpumlir_core.calibration import Calibration
    from tpumlir_core.preprocess import Sample

COMMAND = Command("run_calibration.py", "A Top .mlir and samples to a calibration table.", FLAGS)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The console script."""
    run(COMMAND, act, arguments)


def act(values: Namespace) -> int:
    """Calibrate and write the table; where weights have been changed, the .mlir again, in its place, as the reference does."""
    from tpumlir_compat.sessions import open_session
    from tpumlir_core import api
    from tpumlir_core.files import check_output
    from tpumlir_core.plugins.extension_points import Effort
    from tpumlir_core.tables import TableOrigin, write_calibration_table

    if not values.calibration_table:
        raise InputError("-o: name the calibration table to write")
    path, table = Path(values.mlir_file), Path(values.calibration_table)
    searched = _searched(values)
    for file in filter(None, (table, searched)):
        check_output(file)
    calibration = _calibration(values)
    session = open_session()
    module = api.open_module(path, session=session)
    weights = module.attributes.get("module.weight_file")
    ranges = api.calibrate(module, calibration, session=session)
    if calibration.effort is Effort.HIGH:
        api.save_module(module, path, weights if isinstance(weights, str) else "")
        print(f"Weights of {path} changed")
    tuned = min(calibration.tuned, len(calibration.tuning or calibration.samples)) if calibration.effort is not Effort.LOW else 0
    write_calibration_table(table, ranges, TableOrigin(path.name, values.cali_method, len(calibration.samples), tuned))
    print(f"Calibration table {table}: {len(ranges)} tensors, {len(calibration.samples)} samples, {calibration.method}")
    if searched is not None:
        mixed.search(values, path, ranges, _few(values, calibration), searched, session)
    return 0


def _searched(values: Namespace) -> Path | None:
    """The table of modes to search, if any."""
    if values.search == "False":
        return None
    if not values.quantize_table:
        raise InputError(f"--search {values.search}: name the table to write with --quantize_table")
    return Path(values.quantize_table)


def _few(values: Namespace, calibration: Calibration) -> list[Sample]:
    """The samples to search on: the first --inference_num of them."""
    return [sample for sample in calibration.samples if not isinstance(sample, Mapping)][: max(values.inference_num, 1)]


def _calibration(values: Namespace) -> Calibration:
    from tpumlir_core.calibration import Calibration
    from tpumlir_core.plugins.extension_points import Effort
    from tpumlir_core.preprocess import read_sample_list

    given = samples.read(values)
    tuning = read_sample_list(Path(values.tune_list), max(values.tune_num, 0)) if values.tune_list else []
    tuned = len(tuning) or max(values.tune_num, 0)
    changed = values.we or values.bc or values.sq
    effort = Effort.HIGH if changed else Effort.NORMAL if tuned else Effort.LOW
    if "dump_list" in values.debug_cmd:
        _dump(Path("selected_image_list.txt"), given)
        if tuning:
            _dump(Path("selected_tune_image_list.txt"), tuning)
    return Calibration(given, METHODS[values.cali_method.removeprefix("use_")], effort=effort, tuned=max(tuned, 1), tuning=tuning)


def _dump(path: Path, samples: Sequence[Sample]) -> None:
    from tpumlir_core.files import write_bytes

    write_bytes(path, "".join(f"{','.join(map(str, sample))}\n" for sample in samples).encode())
