import subprocess
import sys
from types import FunctionType

import pytest

import invbench.metrics


def test_every_name_that_the_module_lists_is_a_function_of_that_name():
    from invbench.metrics import lpips, psnr, ssim

    assert [f.__name__ for f in (psnr, ssim, lpips)] == ["psnr", "ssim", "lpips"]
    names = [name for name in dir(invbench.metrics) if not name.startswith("_") and name.islower()]
    for name in set(names) - {"annotations", "importlib"}:
        assert isinstance(getattr(invbench.metrics, name), FunctionType)
    assert {"psnr", "ssim", "lpips", "assign", "identified", "best_grey", "macro_auc"} < set(names)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'psnrs'"):
        _ = invbench.metrics.psnrs


def test_psnr_of_arrays_needs_neither_torch_nor_scikit_image():
    script = """
import sys
import numpy as np
from invbench.metrics import psnr
assert psnr(np.zeros((1, 1, 2, 2)), np.zeros((1, 1, 2, 2))) == 100
assert not {"torch", "skimage", "scipy", "lpips"} & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
