"""Which frontend reads a model: by what the file or folder holds, named where several would, and asked for by name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Command
from tpumlir_onnx.examples import write_example

FRONTEND = """
    from tpumlir_core.ir import Function, Module, WeightStore
    from tpumlir_core.plugins.extension_points import Frontend

    class Made(Frontend):
        reads_folders = {folders}

        def recognizes(self, path, head):
            assert isinstance(head, bytes)
            return {recognizes}

        def operators(self):
            return ["Made"]

        def load(self, path, options):
            from tpumlir_core.errors import InputError
            raise InputError(f"{{path}}: read by {name}")

        def run(self, path, inputs, options):
            return self.load(path, options)
"""


def install(site: Any, name: str, recognizes: str, folders: bool = False) -> None:
    source = FRONTEND.format(recognizes=recognizes, folders=folders, name=name)
    site.install(f"acme-{name}", {"tpumlir.frontends": {name: f"acme_{name}:Made"}}, {f"acme_{name}": source})


def error(tpumlir: Command, *arguments: str | Path) -> str:
    told = tpumlir(*arguments)
    assert (told.returncode, told.stderr.count("\n")) == (2, 1), told.stderr
    return told.stderr


def test_a_file_that_several_know_is_read_by_the_one_that_is_named(site: Any, tpumlir: Command, tmp_path: Path) -> None:
    for name in ("first", "second"):
        install(site, name, 'head.startswith(b"net")')
    model = tmp_path / "work" / "model.net"
    model.write_bytes(b"net")
    np.savez(tmp_path / "work" / "x.npz", x=np.zeros(1))
    commands = (
        ("transform", "model.net", "--mlir", "net.mlir"),
        ("compile", "model.net", "--chip", "bm1684x", "-o", "net.bmodel"),
        ("run", "model.net", "--input", "x.npz", "--output", "y.npz"),
    )
    for command in commands:
        told = error(tpumlir, *command)
        assert "model.net: the frontends first and second both know this file; choose one, as in --frontend first" in told
        assert "model.net: read by second" in error(tpumlir, *command, "--frontend", "second")
        assert "no frontend is called 'third'" in error(tpumlir, *command, "--frontend", "third")


def test_folders_go_to_frontends_that_read_them(site: Any, tpumlir: Command, tmp_path: Path) -> None:
    install(site, "files", "True")
    install(site, "folders", '(path / "graph").exists()', folders=True)
    folder = tmp_path / "work" / "model.onnx"
    folder.mkdir()
    command = ("transform", "model.onnx", "--mlir", "net.mlir")
    told = error(tpumlir, *command)
    assert "model.onnx: no frontend knows this folder (frontends: " in told
    assert {"files", "folders", "onnx"} <= set(re.findall(r"\w+", told.partition("(")[2]))
    assert "model.onnx: it is a folder, and the frontend onnx reads files only" in error(tpumlir, *command, "--frontend", "onnx")
    (folder / "graph").touch()
    assert "read by folders" in error(tpumlir, *command)
    assert "no runner and no frontend" not in error(tpumlir, "run", "model.onnx", "--input", "x.npz", "--output", "y.npz")


def test_what_is_not_there_is_told(tpumlir: Command) -> None:
    assert "absent.onnx: cannot be read: no such file or directory" in error(tpumlir, "transform", "absent.onnx", "--mlir", "net.mlir")


def test_only_frontends_that_can_begin_elsewhere_are_asked_to(site: Any, tpumlir: Command, tmp_path: Path) -> None:
    install(site, "plain", 'head.startswith(b"net")')
    (tmp_path / "work" / "model.net").write_bytes(b"net")
    told = error(tpumlir, "transform", "model.net", "--mlir", "net.mlir", "--input-names", "a")
    assert "the frontend plain cannot begin a network at other inputs than its own (--input-names)" in told


def test_a_runner_and_a_frontend_are_not_both_named(tpumlir: Command, tmp_path: Path) -> None:
    write_example(tmp_path / "work" / "net.onnx")
    np.savez(tmp_path / "work" / "x.npz", x=np.zeros((1, 3, 9, 7), np.float32))
    command = ("run", "net.onnx", "--input", "x.npz", "--output", "y.npz")
    assert "give one of them" in error(tpumlir, *command, "--runner", "bmrt", "--frontend", "onnx")
    assert tpumlir(*command, "--frontend", "onnx").returncode == 0


@pytest.mark.parametrize("name", ["net.mlir", "net.anything"])
def test_a_named_frontend_reads_whatever_the_file_is_called(tpumlir: Command, tmp_path: Path, name: str) -> None:
    write_example(tmp_path / "work" / name)
    assert tpumlir("compile", name, "--frontend", "onnx", "--chip", "example", "-o", "net.bin").returncode in (0, 2)
    assert tpumlir("transform", name, "--frontend", "onnx", "--mlir", "out.mlir").returncode == 0
