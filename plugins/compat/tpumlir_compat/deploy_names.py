"""The names of the files that ``model_deploy.py`` writes into the working folder, as tpu-mlir 1.30.2 calls them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tpumlir_core.errors import InputError

_SYMMETRIES = ("INT8",)
"""Modes whose file names say whether there are zero points."""


@dataclass(frozen=True)
class Names:
    """Files of one run. ``network``: the name of the network, which files of inputs and of the Top module begin with; ``mixed``:
    with a table of modes."""

    network: str
    chip: str
    mode: str
    asymmetric: bool = False
    mixed: bool = False

    def __post_init__(self) -> None:
        if Path(self.network).name != self.network:
            raise InputError(f"network {self.network!r}: files cannot be named after it; transform it with another --model_name")

    @property
    def prefix(self) -> str:
        symmetry = ("_asym" if self.asymmetric else "_sym") if self.mode in _SYMMETRIES else ""
        return f"{self.network}_{self.chip}_{self.mode.lower()}{symmetry}"

    @property
    def lowered(self) -> Path:
        """The lowered network."""
        return Path(f"{self.prefix}_tpu.mlir")

    @property
    def weights(self) -> str:
        """Its weights, which lie beside it."""
        return f"{self.prefix}_tpu{'_qtable' if self.mixed else ''}_weights.npz"

    @property
    def lowered_outputs(self) -> Path:
        """What that computes."""
        return Path(f"{self.prefix}_tpu_outputs.npz")

    @property
    def model_outputs(self) -> Path:
        """What the compiled file computes."""
        return Path(f"{self.prefix}_model_outputs.npz")

    @property
    def top_outputs(self) -> Path:
        """What the network computes before lowering."""
        return Path(f"{self.network}_top_outputs.npz")

    @property
    def generated(self) -> Path:
        """Random inputs."""
        return Path(f"{self.network}_gen_in.npz")

    def inputs(self, raw: bool) -> Path:
        """Inputs as they are fed; raw images have another name than floats."""
        return Path(f"{self.network}_in_{'ori' if raw else 'f32'}.npz")
