"""TFLite on the BM1684X: single operators, trained networks and damaged files; `python -m sweeps.tflite`."""
