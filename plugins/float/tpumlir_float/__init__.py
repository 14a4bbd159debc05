"""The float quantizer: lowering to the Tpu dialect without quantization."""
