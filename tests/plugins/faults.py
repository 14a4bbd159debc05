"""Faults of plugins: each is one change to the plugin that a template gives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One fault: what is changed in a kind's template (text and its replacement), which check finds it, and words of its message."""

    what: str
    kind: str
    old: str
    new: str
    check: str
    said: tuple[str, ...]


INFER = "        (image,) = types\n        return [image]"
FAULTS = (
    # --- at import, whatever the kind
    Fault(
        "slow import",
        "frontend",
        "OPERATORS = {",
        "import time; time.sleep(0.3)\nOPERATORS = {",
        "imports clean",
        ("importing tpumlir_bad_frontend takes ", " ms, more than 150"),
    ),
    Fault("heavy import", "runner", "FIELDS = {", "import onnx\nFIELDS = {", "imports clean", ("imports onnx (", "tpumlir_bad_runner.py:")),
    Fault(
        "environment",
        "calibrator",
        "OUTSIDE = 0.001",
        "import os; os.environ['ACME'] = '1'\nOUTSIDE = 0.001",
        "imports clean",
        ("importing tpumlir_bad_calibrator changes global state: os.environ (ACME)",),
    ),
    Fault(
        "random state",
        "quantizer",
        "LEVELS = 127",
        "np.random.seed(0)\nLEVELS = 127",
        "imports clean",
        ("numpy's global random generator",),
    ),
    Fault("working directory", "target", 'CHIP = "', 'import os; os.chdir("/")\nCHIP = "', "imports clean", ("the working directory",)),
    Fault("prints", "hook", "LOG = ", "print('hello')\nLOG = ", "imports clean", ("prints 'hello",)),
    Fault(
        "no docstring",
        "runner",
        '    """Multiplies on the host."""\n',
        "",
        "is documented",
        ("class tpumlir_bad_runner.BadRunner has no docstring",),
    ),
    Fault(
        "other signature",
        "runner",
        "def recognizes(self, path: Path, head: bytes)",
        "def recognizes(self, file: Path, head: bytes)",
        "keeps the contract",
        ("BadRunner.recognizes(self, file", "the contract is recognizes(self, path"),
    ),
    # --- frontends
    Fault(
        "KeyError on bad input",
        "frontend",
        "except (ValueError, KeyError, TypeError, RecursionError)",
        "except (ValueError, TypeError)",
        "refuses bad files",
        ("raises KeyError", "tpumlir_bad_frontend.py:", "bad input must raise InputError"),
    ),
    Fault(
        "takes every file",
        "frontend",
        """return head.lstrip().startswith(b'{"bad-frontend"')""",
        "return True",
        "recognizes its own files",
        ("recognizes(empty) is true",),
    ),
    Fault("computes another thing", "frontend", "np.exp)", "np.sin)", "computes the same", ("run() differ", "step2 (cos")),
    Fault(
        "unsorted operators",
        "frontend",
        "return sorted(OPERATORS)",
        "return sorted(OPERATORS, reverse=True)",
        "lists operators",
        ("sorted",),
    ),
    Fault(
        "changes the environment when called",
        "frontend",
        "        shape, names = read(path)\n",
        "        import os; os.environ['ACME'] = str(len(os.environ.get('ACME', '')) * '1' + '1')\n        shape, names = read(path)\n",
        "loads valid modules",
        ("changes global state: os.environ (ACME)",),
    ),
    # --- quantizers
    Fault(
        "loses the meaning",
        "quantizer",
        "rounded(module.weights[name])",
        "module.weights[name] * 0",
        "keeps the meaning",
        ("a convolution, BAD_QUANTIZER", "computes something else"),
    ),
    Fault("accepts any mode", "quantizer", "if options.mode != MODE:", "if False:", "refuses unknown modes", ("NOSUCHMODE",)),
    Fault(
        "random weights",
        "quantizer",
        "return (np.round(weights / scale) * scale).astype(weights.dtype)",
        "return (np.round(weights / scale) * scale + np.random.default_rng().random() * 1e-4).astype(weights.dtype)",
        "lowers the same twice",
        ("other weights",),
    ),
    Fault(
        "stays in Top", "quantizer", 'lowered = to_tpu(module, target.name, "F32")', "lowered = module", "lowers to Tpu", ("is still top.",)
    ),
    # --- calibrators
    Fault(
        "refine forgets tensors",
        "calibrator",
        "    def calibrate(self",
        "    def refine(self, *given):\n        return {}\n\n    def calibrate(self",
        "refines in bounds",
        ("refine gives ranges for []",),
    ),
    Fault("threshold of zero", "calibrator", "LEAST = 1e-5", "LEAST = 0.0", "gives every range", ("the threshold of zeros is",)),
    Fault(
        "writes to samples",
        "calibrator",
        "    low, high = np.quantile",
        "    array *= 1.5\n    low, high = np.quantile",
        "walks once",
        ("writes to the tensor",),
    ),
    Fault(
        "random ranges",
        "calibrator",
        "return float(low), float(high)",
        "return float(low), float(high) + np.random.default_rng().random() * 1e-6",
        "calibrates the same twice",
        ("the second time",),
    ),
    Fault(
        "IndexError without samples",
        "calibrator",
        "if not seen:",
        "if not list(seen)[0]:",
        "refuses no samples",
        ("calibrate(no samples) raises IndexError", "tpumlir_bad_calibrator.py:"),
    ),
    # --- targets
    Fault(
        "wrong kernel",
        "target",
        '"Tanh": np.tanh',
        '"Tanh": np.sinh',
        "computes every operator",
        ("Tanh(1x3x8x8) in F32: the result differs",),
    ),
    Fault(
        "wrong shape",
        "target",
        '"Abs": np.abs',
        '"Abs": lambda x: np.abs(x)[..., :1]',
        "computes every operator",
        ("Abs(1x3x8x8) in F32: the result has the shape",),
    ),
    Fault(
        "kernel that fails",
        "target",
        '"Sqrt": np.sqrt',
        '"Sqrt": lambda x: {}["no kernel"]',
        "computes every operator",
        ("Sqrt(5x7) in F32: KeyError", "tpumlir_bad_target.py:"),
    ),
    Fault(
        "nondeterministic code",
        "target",
        '{"program": json.dumps(steps).encode()}',
        "{\"program\": json.dumps(steps).encode() + b' ' * np.random.default_rng().integers(1, 999)}",
        "compiles the same twice",
        ("compile gives other bytes the second time: Abs(",),
    ),
    Fault(
        "nondeterministic kernel",
        "target",
        '"Exp": np.exp',
        '"Exp": lambda x: np.exp(x) * (1 + np.random.default_rng().random() * 1e-3)',
        "compiles the same twice",
        ("Exp(1x3x8x8) in F32: running the same file twice gives two results",),
    ),
    Fault(
        "declares what it refuses",
        "target",
        "for kind in sorted(FUNCTIONS)",
        'for kind in [*sorted(FUNCTIONS), "Conv"]',
        "declares what it does",
        ("declares Conv in F32, but supports() refuses every sample",),
    ),
    Fault("another name", "target", "    name = CHIP", '    name = "other"', "says what it is", ("its name is 'other'",)),
    Fault(
        "damaged files",
        "target",
        "    container = read_container(data)\n",
        "    json.loads(data[-9:])\n    container = read_container(data)\n",
        "reads its own files",
        ("raises", "bad input must raise InputError"),
    ),
    # --- operators
    Fault(
        "wrong infer",
        "op",
        INFER,
        INFER.replace("[image]", "[image.with_shape(image.shape[:-1])]"),
        "infers what it computes",
        ("infer says that result 0 has the shape [1, 3, 4], reference gives [1, 3, 4, 5]",),
    ),
    Fault(
        "wrong decompose",
        "op",
        "builder(top.Mul, self.input, gate)",
        "builder(top.Add, self.input, gate)",
        "decomposes into the same",
        ("decompose does not compute what reference does",),
    ),
    Fault(
        "impure reference",
        "op",
        "    def reference(self, image):\n",
        "    def reference(self, image):\n        image += 1\n",
        "computes purely",
        ("failed in reference", "read-only", "tpumlir_bad_op.py:"),
    ),
    Fault(
        "random reference",
        "op",
        "return (image",
        "return np.float32(1 + np.random.default_rng().random() * 1e-3) * (image",
        "computes purely",
        ("other numbers the second time",),
    ),
    Fault(
        "fails on odd operands",
        "op",
        INFER,
        INFER.replace("return", "image.shape[1]\n        return"),
        "refuses what does not fit",
        ("infer(", "IndexError"),
    ),
    # --- runners
    Fault(
        "random outputs",
        "runner",
        'np.float32(facts["factor"])}',
        'np.float32(facts["factor"] + np.random.default_rng().random() * 1e-3)}',
        "runs files",
        ("the output y is another one the second time",),
    ),
    Fault(
        "wrong outputs",
        "runner",
        'np.float32(facts["factor"])}',
        'np.float32(3 - facts["factor"]) - 1}',
        "runs files",
        ("computes something else: y",),
    ),
    Fault(
        "KeyError on missing inputs",
        "runner",
        "if name not in inputs or inputs",
        "if inputs",
        "refuses bad input",
        ("with no inputs raises KeyError",),
    ),
    # --- hooks
    Fault("misspelt hook", "hook", "def stage_finished(", "def stage_finnished(", "loads", ("stage_finnished",)),
    Fault(
        "pass that lies",
        "hook",
        "        return bool(dead)",
        "        module.function.operations[-1].output.name += 'x'\n        return False",
        "passes keep the meaning",
        ("pass bad-hook-drop-copies (tpumlir_bad_hook.BadHook) on a ReLU", "says that it did not"),
    ),
    Fault(
        "pass with state",
        "hook",
        "    def run(self, module: Module) -> bool:\n",
        "    def run(self, module: Module) -> bool:\n"
        "        SEEN.append(1)\n        module.attributes['module.seen'] = len(SEEN)\n        return True\n",
        "passes are pure",
        ("keeps state",),
    ),
    Fault(
        "hook that prints",
        "hook",
        'LOG.info("%s %s: %.3f s", stage, subject, seconds)',
        "print(stage)",
        "stands every stage",
        ("print 'import",),
    ),
    Fault(
        "hook that fails",
        "hook",
        'LOG.info("%s %s: %.3f s", stage, subject, seconds)',
        "{}[stage]",
        "stands every stage",
        ("hook bad-hook of tpumlir-bad-hook 0.1.0 failed in stage_finished: KeyError",),
    ),
)
