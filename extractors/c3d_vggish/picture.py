"""A decoded frame -> the picture that C3D takes: 112 x 112, blue, green, red."""

from __future__ import annotations

import numpy as np

HEIGHT, WIDTH, SIDE = 128, 171, 112
# torchvision's CenterCrop rounds half to even.
TOP, LEFT = round((HEIGHT - SIDE) / 2), round((WIDTH - SIDE) / 2)


def resize_and_crop(pixels: np.ndarray) -> np.ndarray:
    """Return the centre of a picture uint8 (h, w, 3), made 128 x 171 whatever its shape, bilinear and antialiased: (112, 112, 3)."""
    from PIL import Image  # here, as other extractors' processes should start without it

    resized = Image.fromarray(np.ascontiguousarray(pixels)).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    return np.asarray(resized)[TOP : TOP + SIDE, LEFT : LEFT + SIDE].copy()
