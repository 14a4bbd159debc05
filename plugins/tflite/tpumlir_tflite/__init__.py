"""TensorFlow Lite: a frontend that reads ``.tflite`` files, float and quantized, into Top modules."""
