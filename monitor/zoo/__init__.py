"""Published networks: their checkpoints read, rebuilt exactly, and exported as self-describing ONNX files."""
