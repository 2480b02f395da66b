"""From a checkpoint to a bundle: ONNX, what INT8 costs, the gate, the model card. No Lightning."""
