"""Files that mean harm: nothing in them is executed, and each ends in one line."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tpumlir_core.errors import InputError
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_torch.examples import write_exported, write_script
from tpumlir_torch.frontend import TorchFrontend
from tpumlir_torch.pickles import read_pickle

OPTIONS = ImportOptions()


class Harm:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def changed(path: Path, change: Callable[[str, bytes], bytes | None], **added: bytes) -> Path:
    """A copy of an archive, its members changed (None drops one)."""
    result = path.with_name(f"changed{path.suffix}")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(result, "w") as target:
        for name in source.namelist():
            data = change(name.partition("/")[2], source.read(name))
            if data is not None:
                target.writestr(name, data)
        for name, data in added.items():
            target.writestr(f"example/{name}", data)
    return result


def refused(path: Path) -> str:
    """The message that a file ends in, one line."""
    with pytest.raises(InputError) as caught:
        TorchFrontend().load(path, OPTIONS)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def script_with(folder: Path, body: str) -> Path:
    """The example with another body of ``forward``."""
    source = write_script(folder / "example.pt").path
    program = "class Net(Module):\n  weight : Tensor\n  def forward(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n" + body
    return changed(source, lambda name, data: program.encode() if name.endswith(".py") else data)


def test_a_pickle_with_code_is_not_executed(tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    code = pickle.dumps(Harm(harm), protocol=2)
    plain = tmp_path / "plain.pt"
    plain.write_bytes(code)
    assert "a pickle, which is never executed" in refused(plain)
    script = write_script(tmp_path / "example.pt").path
    for member in ("data.pkl", "constants.pkl", "traced_inputs.pkl"):
        refused(changed(script, lambda name, data, member=member: code if name == member else data))
    assert not harm.exists()


def test_pickles_in_exported_programs_stay_unread(tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    code = pickle.dumps(Harm(harm), protocol=2)
    exported = write_exported(tmp_path / "example.pt2").path
    module = TorchFrontend().load(changed(exported, lambda name, data: data, **{"data/sample_inputs/model.pt": code}), OPTIONS)
    assert module.function.outputs[0].name == "add"

    def pickled(name: str, data: bytes) -> bytes:
        return data.replace(b'"use_pickle": false', b'"use_pickle": true') if name.endswith("config.json") else data

    assert "stored as a pickled object" in refused(changed(exported, pickled, **{"data/weights/extra": code}))
    assert not harm.exists()


def test_harmful_globals_are_names_alone() -> None:
    made = read_pickle(pickle.dumps(Harm(Path("never")), protocol=2))
    assert str(made.maker) in ("posix.mkdir", "nt.mkdir")
    assert made.arguments == ("never",)


def test_a_bomb_of_compressed_text(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data.pkl", b"\x80\x02).")
        with archive.open("bomb/code/__torch__.py", "w", force_zip64=True) as member:
            for _ in range(300):
                member.write(bytes(1 << 20))
    assert "its compressed parts claim" in refused(path)


def test_a_tensor_larger_than_its_storage(tmp_path: Path) -> None:
    exported = write_exported(tmp_path / "example.pt2").path

    def grown(name: str, data: bytes) -> bytes:
        if not name.endswith("config.json"):
            return data
        config = json.loads(data)
        meta = config["config"]["conv.weight"]["tensor_meta"]
        meta["sizes"], meta["strides"] = [{"as_int": 1 << 40}], [{"as_int": 0}]
        return json.dumps(config).encode()

    assert "tensor 'conv.weight': a tensor of shape [1099511627776] is too large" in refused(changed(exported, grown))


def test_programs_nested_without_end(tmp_path: Path) -> None:
    exported = write_exported(tmp_path / "example.pt2").path
    deep = b"[" * 100_000
    assert "is damaged" in refused(changed(exported, lambda name, data: deep if name.endswith("model.json") else data))
    assert "is damaged" in refused(script_with(tmp_path, "    return " + "(" * 5000 + "x" + ")" * 5000 + "\n"))
    assert "is damaged" in refused(script_with(tmp_path, "    return " + "-" * 100_000 + "1\n"))


@pytest.mark.parametrize(("body", "message"), [
    ("    while True:\n      y = 1\n    return x\n", "its loops take too many steps"),
    ("    for i in range(1000000000000):\n      y = i\n    return x\n", "its loops take too many steps"),
    ("    return (self).forward(x, )\n", "is called in itself too often"),
    ("    y = [1, 2]\n    for i in range(60):\n      y = torch.add(y, y)\n    return x\n", "a list that is too long"),
    ("    y = 3\n    for i in range(60):\n      y = torch.mul(y, y)\n    return x\n", "an integer of"),
    ("    return torch.zeros([100000, 100000, 100000])\n", "is too large"),
    ("    return torch.remainder(\"%99999999d\", 1)\n", "a remainder of text"),
    ("    return torch.reshape(x, [-1, 4])\n", "does not become"),
    ("    return y\n", ""),
    ("    import os\n    return x\n", ""),
    ("    return __import__(\"os\")\n", ""),
    ("    return x.__class__.__bases__\n", ""),
    ("    return torch.conv2d(x, \"weight\")\n", "its argument 'weight' is str"),
    ("    return (x, [lambda: 1])\n", ""),
])
def test_programs_that_never_end_or_name_what_they_must_not(tmp_path: Path, body: str, message: str) -> None:
    assert message in refused(script_with(tmp_path, body))


def test_members_outside_the_folder_are_refused(tmp_path: Path) -> None:
    source = write_script(tmp_path / "example.pt").path
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr("../../outside", b"")
    assert "do not lie in one folder" in refused(source)
