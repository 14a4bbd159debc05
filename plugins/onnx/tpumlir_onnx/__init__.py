"""The onnx plugin."""
