"""tpumlir plugin: Paddle inference models, read by way of paddle2onnx."""
