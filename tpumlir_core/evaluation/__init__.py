"""How right a network is on real samples, at every stage of its way to the chip, and where it loses what it loses."""

from tpumlir_core.evaluation.accuracy import Accuracy, Best
from tpumlir_core.evaluation.labels import Labelled, Labels, list_labelled
from tpumlir_core.evaluation.layers import LayerLoss

__all__ = ["Accuracy", "Best", "Labelled", "Labels", "LayerLoss", "list_labelled"]
