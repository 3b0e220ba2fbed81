"""The colour photographs that scikit-image and scikit-learn ship, and what is where in them.

scikit-image's are free of copyright restrictions (its `data` documentation names each source);
scikit-learn's `china.jpg` (danielbuechele) and `flower.jpg` (vultilion) are CC BY 2.0.
"""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from invbench.data import BadData
from invbench.data._files import shipped


class Box(NamedTuple):
    """Pixels left <= x < right, top <= y < bottom."""

    left: int
    top: int
    right: int
    bottom: int


class Photograph(NamedTuple):
    """One photograph, cut in two: no pixel is in both regions, and together they are the whole."""

    package: str
    path: str
    target_region: Box
    train_region: Box
    subjects: tuple[tuple[int, int, int], ...]  # squares (left, top, side) worth seeing, inside the target region

    def read(self) -> Image.Image:
        """The whole photograph in RGB."""
        file = shipped(self.package, self.path)
        try:
            picture = Image.open(file).convert("RGB")
        except (OSError, SyntaxError, UnidentifiedImageError) as error:
            raise BadData(f"{file}: {error}; reinstall {self.package}") from None
        width = max(self.target_region.right, self.train_region.right)
        height = max(self.target_region.bottom, self.train_region.bottom)
        if picture.size != (width, height):
            found = f"{picture.width} x {picture.height}"
            raise BadData(f"{file}: is {found}; the crops are laid out for {width} x {height}")
        return picture


PHOTOGRAPHS = {
    "astronaut": Photograph(
        "skimage", "data/astronaut.png", Box(0, 0, 512, 288), Box(0, 288, 512, 512), ((96, 0, 240), (330, 100, 160))
    ),
    "cat": Photograph(
        "skimage", "data/chelsea.png", Box(120, 0, 451, 300), Box(0, 0, 120, 300), ((120, 0, 288), (120, 70, 96))
    ),
    "coffee": Photograph(
        "skimage", "data/coffee.png", Box(0, 0, 440, 400), Box(440, 0, 600, 400), ((128, 0, 312), (296, 216, 128))
    ),
    "pagoda": Photograph(
        "sklearn",
        "datasets/images/china.jpg",
        Box(0, 0, 380, 427),
        Box(380, 0, 640, 427),
        ((60, 20, 310), (125, 20, 160)),
    ),
    "flower": Photograph(
        "sklearn",
        "datasets/images/flower.jpg",
        Box(0, 0, 640, 354),
        Box(0, 354, 640, 427),
        ((160, 70, 284), (224, 140, 160)),
    ),
    "motorcycle": Photograph(
        "skimage",
        "data/motorcycle_left.png",
        Box(330, 0, 741, 500),
        Box(0, 0, 330, 500),
        ((330, 90, 400), (500, 270, 190)),
    ),
    "rocket": Photograph(
        "skimage", "data/rocket.jpg", Box(240, 0, 640, 427), Box(0, 0, 240, 427), ((240, 110, 317), (256, 100, 140))
    ),
    "retina": Photograph(
        "skimage", "data/retina.jpg", Box(0, 0, 800, 1411), Box(800, 0, 1411, 1411), ((20, 360, 560), (120, 520, 260))
    ),
    "galaxies": Photograph(
        "skimage",
        "data/hubble_deep_field.jpg",
        Box(450, 0, 1000, 872),
        Box(0, 0, 450, 872),
        ((620, 400, 224), (677, 422, 96)),
    ),
    "tissue": Photograph(
        "skimage", "data/ihc.png", Box(0, 232, 512, 512), Box(0, 0, 512, 232), ((204, 284, 228), (60, 380, 120))
    ),
}
"""By class name, in the order of the labels: the ones that a reader knows at a glance first."""
