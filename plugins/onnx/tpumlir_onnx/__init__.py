"""The ONNX plugin: a frontend (ONNX model -> Top module) and an interpreter of Top modules on onnxruntime."""
