"""Algorithm 2's PROCESS: non-local means, sharpening, and back into the code."""

from __future__ import annotations

import numpy as np
import torch
from skimage.restoration import denoise_nl_means
from torch import Tensor

from invbench.inversion.codes import Codes, non_local_means, sharpened
from invbench.metrics.psnr import psnr

EDGE = torch.cat([torch.full((1, 1, 20, 10), 0.2), torch.full((1, 1, 20, 10), 0.8)], dim=3)
NOISY = (EDGE + 0.05 * torch.randn(EDGE.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)


def test_non_local_means_are_scikit_image_s_inside_the_picture() -> None:
    ours = non_local_means(NOISY, 0.1, patch=5, reach=3)[0, 0].numpy()
    theirs = denoise_nl_means(NOISY[0, 0].numpy(), patch_size=5, patch_distance=3, h=0.1, fast_mode=True)
    inner = np.s_[6:-6, 6:-6]
    np.testing.assert_allclose(ours[inner], theirs[inner], atol=0.02)


def test_noise_goes_and_the_edge_stays() -> None:
    clean, before = (EDGE.double().numpy(), NOISY.double().numpy())
    after = non_local_means(NOISY, 0.1).double().numpy()
    assert psnr(after, clean)[0] > psnr(before, clean)[0] + 5
    assert after[0, 0, 10, 10] - after[0, 0, 10, 9] > 0.5


def test_a_flat_picture_stays_whatever_is_done_to_it() -> None:
    flat = torch.full((2, 3, 9, 7), 0.3)
    torch.testing.assert_close(non_local_means(flat, 0.05), flat)
    torch.testing.assert_close(sharpened(flat, 1.0), flat)


def test_sharpening_steepens_an_edge_and_nothing_is_nothing() -> None:
    blurred = non_local_means(NOISY, 1.0)
    steepest = (float(of.diff(dim=3).max()) for of in (sharpened(blurred, 1.0), blurred))
    assert next(steepest) > 1.05 * next(steepest)
    torch.testing.assert_close(sharpened(blurred, 0.0), blurred)


def test_pictures_do_not_mix() -> None:
    other = torch.rand(NOISY.shape, generator=torch.Generator().manual_seed(1))
    both = non_local_means(torch.cat([NOISY, other]), 0.1)
    torch.testing.assert_close(both[:1], non_local_means(NOISY, 0.1))


class Halved:
    """Its code is half of a normalised picture."""

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1) / 2

    def decode(self, codes: Tensor) -> Tensor:
        return 2 * codes.reshape(-1, *EDGE.shape[1:])

    def read(self, codes: Tensor) -> Tensor:
        return codes


def test_process_decodes_denoises_sharpens_and_encodes() -> None:
    codes = Codes(Halved(), torch.full((1, 1, 1), 0.5), torch.full((1, 1, 1), 0.25))
    torch.testing.assert_close(codes.decoded(codes.of(NOISY)), NOISY)
    wanted = sharpened(non_local_means(NOISY, 0.1), 0.7).clamp(0, 1)
    torch.testing.assert_close(codes.decoded(codes.processed(codes.of(NOISY), 0.1, 0.7)), wanted)
