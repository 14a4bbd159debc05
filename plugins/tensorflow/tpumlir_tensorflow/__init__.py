"""tpumlir plugin: TensorFlow and Keras models, read by way of tf2onnx."""
