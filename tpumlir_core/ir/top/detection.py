"""Top dialect: anchor boxes, and the detections that a single-shot detector's predictions say (Caffe's SSD layers)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from tpumlir_core.ir.attributes import F64, I64, BoxCode, F64s, Flag
from tpumlir_core.ir.operation import Array, Operation, op
from tpumlir_core.ir.top.support import array, present, real, reject
from tpumlir_core.ir.types import ElementType, TensorType

_SAME_RATIO = 1e-6
"""Aspect ratios this close to 1 are 1 (prior_box_layer.cpp)."""
_ROW = 7
"""Numbers of a detection: image, class, score, then the box."""


@op("top.PriorBox", "inputs*")
class PriorBox(Operation):
    """The anchor boxes of a feature map [N, C, H, W] for an image [N, C, height, width]: [1, 2, H * W * num_priors * 4].

    Row 0 holds (xmin, ymin, xmax, ymax) of every box as shares of the image, row 1 the variances of each. Every place has, for each
    ``min_size``: the square of that size (with ``use_default_aspect_ratio``), that of the geometric mean with its ``max_size``, and
    one for each of ``aspect_ratios`` but 1. Only the operands' shapes matter. ``img_h``, ``img_w``, ``step_h`` and ``step_w`` that are 0
    follow from them.
    """

    host: ClassVar[bool] = True
    min_size: F64s
    max_size: F64s
    aspect_ratios: F64s
    variance: F64s
    clip: Flag = True
    step_h: F64
    step_w: F64
    img_h: I64
    img_w: I64
    offset: F64 = 0.5
    num_priors: I64
    use_default_aspect_ratio: Flag = True

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        feature, image = present(self, types), present(self, types, 1)
        if len(feature.shape) != 4 or len(image.shape) != 4:
            reject(self, f"operands {feature.shape} and {image.shape} are no images [N, C, H, W]")
        if not all(0 < size < math.inf for size in (*self.min_size, *self.max_size, *self.aspect_ratios)):
            reject(self, "sizes and ratios must be positive")
        if self.max_size and len(self.max_size) != len(self.min_size):
            reject(self, f"{len(self.max_size)} of max_size do not suit {len(self.min_size)} of min_size")
        if len(self.variance) not in (1, 4):
            reject(self, f"variance has {len(self.variance)} numbers, neither 1 nor 4")
        each = self.use_default_aspect_ratio + bool(self.max_size) + len(self._other_ratios())
        if self.num_priors != len(self.min_size) * each or self.num_priors < 1:
            reject(self, f"num_priors is {self.num_priors}, but sizes and ratios give {len(self.min_size) * each}")
        return [TensorType((1, 2, feature.shape[2] * feature.shape[3] * self.num_priors * 4), ElementType.F32)]

    def _other_ratios(self) -> list[float]:
        """The aspect ratios but 1."""
        return [ratio for ratio in self.aspect_ratios if abs(ratio - 1) >= _SAME_RATIO]

    def _sizes(self) -> Iterator[tuple[float, float]]:
        """(width, height) of the boxes of one place, in pixels of the image."""
        ratios = self._other_ratios()
        for at, size in enumerate(self.min_size):
            if self.use_default_aspect_ratio:
                yield size, size
            if self.max_size:
                yield (math.sqrt(size * self.max_size[at]),) * 2
            for ratio in ratios:
                yield size * math.sqrt(ratio), size / math.sqrt(ratio)

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        rows, columns = array(inputs).shape[2:]
        height, width = (given or extent for given, extent in zip((self.img_h, self.img_w), array(inputs, 1).shape[2:], strict=True))
        x = (np.arange(columns) + self.offset) * (self.step_w or width / columns)
        y = (np.arange(rows) + self.offset) * (self.step_h or height / rows)
        half = np.array(list(self._sizes())) / 2
        boxes = np.empty((rows, columns, len(half), 4))
        boxes[..., 0::2] = (x[:, None, None] + half[:, :1] * (-1, 1)) / width
        boxes[..., 1::2] = (y[:, None, None, None] + half[:, 1:] * (-1, 1)) / height
        if self.clip:
            boxes = boxes.clip(0, 1)
        spread = np.broadcast_to(np.array(self.variance), boxes.shape)
        return [np.stack([boxes.ravel(), spread.ravel()])[None].astype(np.float32)]


@op("top.DetectionOutput", "inputs*")
class DetectionOutput(Operation):
    """Detections [N, 1, keep_top_k, 7]: rows of (image, class, score, xmin, ymin, xmax, ymax), by image, best first.

    Operands: box codes [N, P * 4] (or [N, P * classes * 4] without ``share_location``), scores [N, P * num_classes] and the boxes
    [1 or N, 2, P * 4] that PriorBox gives. For each class but ``background_label_id``, of the ``top_k`` best boxes with a score above
    ``confidence_threshold`` those stay that overlap no better one by more than ``nms_threshold`` (times ``eta`` after each, while it is
    above 0.5); of all classes the ``keep_top_k`` best stay. -1 means all. Rows of all images follow one another; what is left is zeros.
    Order and zeros are those of OpenCV 4.14; Caffe itself gives the same rows, class by class.
    """

    host: ClassVar[bool] = True
    num_classes: I64
    background_label_id: I64 = 0
    nms_threshold: F64
    top_k: I64
    code_type: BoxCode
    keep_top_k: I64
    confidence_threshold: F64
    share_location: Flag = True
    variance_encoded_in_target: F64 = 0.0
    eta: F64 = 1.0

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        codes, scores, priors = (present(self, types, position) for position in range(3))
        if len(priors.shape) != 3 or priors.shape[1] != 2 or priors.shape[2] % 4 or priors.shape[0] not in (1, *codes.shape[:1]):
            reject(self, f"priors {priors.shape} are not [1, 2, boxes * 4]")
        if self.num_classes < 1:
            reject(self, f"num_classes is {self.num_classes}; it must be positive")
        count = priors.shape[2] // 4
        boxes = count * (1 if self.share_location else self.num_classes)
        for name, found, each in (("box codes", codes, 4 * boxes), ("scores", scores, count * self.num_classes)):
            if not found.shape or found.elements != codes.shape[0] * each:
                reject(self, f"{name} {found.shape} do not suit {count} priors of {self.num_classes} classes")
        if self.top_k < -1 or self.keep_top_k < -1 or 0 in (self.top_k, self.keep_top_k):
            reject(self, f"top_k is {self.top_k} and keep_top_k {self.keep_top_k}; wanted are positive numbers, or -1 for all")
        return [TensorType((codes.shape[0], 1, self._rows(count), _ROW), ElementType.F32)]

    @np.errstate(all="ignore")
    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        codes, scores, priors = (real(inputs, position) for position in range(3))
        images, count = codes.shape[0], priors.shape[-1] // 4
        by_class = scores.reshape(images, count, self.num_classes)
        found = []
        for image in range(images):
            prior = priors[image if len(priors) > 1 else 0].reshape(2, count, 4)
            boxes = self._decoded(codes[image].reshape(count, -1, 4), prior[0][:, None], prior[1][:, None])
            found += [(image, *row) for row in self._detections(boxes, by_class[image])]
        kept = self._rows(count)
        rows = np.zeros((images * kept, _ROW), np.float32)
        rows[: len(found)] = found or rows[:0]
        return [rows.reshape(images, 1, kept, _ROW)]

    def _rows(self, priors: int) -> int:
        """The most detections that an image may have."""
        return self.keep_top_k if self.keep_top_k > 0 else priors * self.num_classes

    def _decoded(self, codes: Array, priors: Array, variances: Array) -> Array:
        """Boxes (xmin, ymin, xmax, ymax) of codes, all [boxes, classes or 1, 4]."""
        if not self.variance_encoded_in_target:
            codes = codes * variances
        corner, size = priors[..., :2], priors[..., 2:] - priors[..., :2]
        if self.code_type != "CENTER_SIZE":
            moved: Array = priors + (codes if self.code_type == "CORNER" else codes * np.concatenate([size, size], -1))
            return moved
        centre = codes[..., :2] * size + (corner + size / 2)
        half = np.exp(codes[..., 2:]) * size / 2
        return np.concatenate([centre - half, centre + half], -1)

    def _detections(self, boxes: Array, scores: Array) -> list[tuple[float, ...]]:
        """(class, score, box) of an image's detections, best first."""
        kept: list[tuple[float, int, int]] = []
        for label in range(self.num_classes):
            if label == self.background_label_id:
                continue
            own = boxes[:, 0 if self.share_location else label]
            kept += [(float(scores[place, label]), label, place) for place in self._suppressed(own, scores[:, label])]
        kept.sort(key=lambda one: -one[0])
        kept = kept[: self.keep_top_k] if self.keep_top_k > 0 else kept
        return [(label, score, *boxes[place, 0 if self.share_location else label]) for score, label, place in kept]

    def _suppressed(self, boxes: Array, scores: Array) -> list[int]:
        """The places of the boxes that stay, best first."""
        places = np.flatnonzero(scores > np.float32(self.confidence_threshold))
        places = places[np.argsort(-scores[places], kind="stable")]
        places = places[: self.top_k] if self.top_k > 0 else places
        threshold = self.nms_threshold
        kept: list[int] = []
        for place in places.tolist():
            if kept and overlaps(boxes[place], boxes[kept]).max() > threshold:
                continue
            kept.append(place)
            if self.eta < 1 and threshold > 0.5:
                threshold *= self.eta
        return kept


def overlaps(box: Array, others: Array) -> Array:
    """Area that a box (xmin, ymin, xmax, ymax) has in common with each of others, over the area of both together; 0 where apart."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    common = (high - low).clip(0).prod(-1)
    areas = _areas(others) + _areas(box[None])
    return np.where(common > 0, common / (areas - common), np.float32(0))


def _areas(boxes: Array) -> Array:
    areas: Array = (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(-1)
    return areas
