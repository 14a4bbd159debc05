"""Makes the models of test_models.py, run by the Python that has Paddle: ``make_models.py FOLDER old|new``: as ``.pdmodel`` or in PIR.
Beside each, an .npz with inputs and what Paddle computes of them in dynamic mode."""

import os
import sys
from pathlib import Path

FOLDER, FORM = Path(sys.argv[1]), sys.argv[2]
os.environ.update({"FLAGS_enable_pir_api": "0" if FORM == "old" else "1"})

import numpy as np  # noqa: E402
import paddle  # noqa: E402
from paddle import nn  # noqa: E402
from paddle.static import InputSpec  # noqa: E402


class Net(nn.Layer):
    """Two inputs, two outputs, most kinds of layers, an open batch and size."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2D(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2D(8)
        self.depthwise = nn.Conv2D(8, 8, 3, groups=8)
        self.transposed = nn.Conv2DTranspose(8, 4, 2, stride=2)
        self.line = nn.Linear(5, 8)
        self.layernorm = nn.LayerNorm(16)
        self.scores = nn.Linear(16, 4)

    def forward(self, image, extra):
        x = nn.functional.hardswish(self.norm(self.first(image)))
        x = nn.functional.leaky_relu(self.depthwise(x))
        y = self.transposed(nn.functional.interpolate(x, scale_factor=2, mode="nearest"))
        pooled = paddle.squeeze(nn.functional.adaptive_avg_pool2d(x, 1), [2, 3])
        side = nn.functional.gelu if FORM == "new" else nn.functional.hardswish  # Paddle 3 makes no old programs with gelu
        z = self.layernorm(paddle.concat([pooled, side(self.line(extra))], axis=1))
        return y, nn.functional.softmax(self.scores(z))


paddle.seed(1)
net = Net()
net.eval()
random = np.random.default_rng(2)
net.norm._mean.set_value(random.uniform(-1, 1, 8).astype(np.float32))
net.norm._variance.set_value(random.uniform(0.5, 1.5, 8).astype(np.float32))
image, extra = random.standard_normal((1, 3, 12, 10), np.float32), random.standard_normal((1, 5), np.float32)
y, z = net(paddle.to_tensor(image), paddle.to_tensor(extra))
specs = [InputSpec([None, 3, None, None], "float32", "image"), InputSpec([None, 5], "float32", "extra")]
paddle.jit.save(net, str(FOLDER / FORM), input_spec=specs)
np.savez(FOLDER / f"{FORM}.npz", image=image, extra=extra, y=y.numpy(), z=z.numpy())
