import hashlib
import subprocess
import sys
import warnings
from importlib.resources import files

import lpips as package
import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from
from skimage.io import imread

from invbench.metrics import lpips, lpips_distances, lpips_features, lpips_note

TRUNK = files("invbench") / "assets" / "alexnet_trunk.safetensors"
seeds = integers(0, 2**32 - 1)
shapes = sampled_from([(3, 32, 32), (1, 25, 25), (3, 48, 40), (1, 8, 12), (3, 1, 3)])


def pictures(seed, count, shape):
    """Coarse patterns under noise, each picture different from the next."""
    random = np.random.default_rng(seed)
    coarse = random.random((count, shape[0], 1, shape[2])) * random.random((count, 1, shape[1], 1))
    return np.clip(coarse + random.normal(0, 0.1, (count, *shape)), 0, 1)


@pytest.fixture(scope="module")
def original():
    """The package's own network as it builds itself, with the trunk that it would have downloaded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = package.LPIPS(net="alex", version="0.1", pnet_rand=True, verbose=False)
    left = network.load_state_dict(safetensors.torch.load(TRUNK.read_bytes()), strict=False)
    assert not left.unexpected_keys
    assert not [key for key in left.missing_keys if key.startswith("net.")]
    return network.eval()


def scored(network, a, b):
    """The package's answer: `normalize` takes [0, 1] to [-1, 1]."""
    with torch.no_grad():
        return network(torch.from_numpy(a).float(), torch.from_numpy(b).float(), normalize=True).flatten().numpy()


def test_the_authors_reference_pictures_have_their_published_distances(shared_data):
    folder = shared_data / "lpips-reference"
    ref, p0, p1 = (imread(folder / f"ex_{name}.png").transpose(2, 0, 1)[None] / 255 for name in ("ref", "p0", "p1"))
    assert lpips(ref, p0) == pytest.approx(0.72188, abs=2e-5)
    assert lpips(ref, p1) == pytest.approx(0.13757, abs=2e-5)


def test_the_trunk_is_the_file_that_its_readme_names():
    readme = (files("invbench") / "assets" / "README.md").read_text()
    digest = hashlib.sha256(TRUNK.read_bytes()).hexdigest()
    assert f"| `alexnet_trunk.safetensors` | `{digest}` |" in readme


@settings(deadline=None, max_examples=15)
@given(seed=seeds, shape=sampled_from([(3, 32, 32), (3, 40, 33), (3, 64, 64)]))
def test_lpips_is_the_packages_own(original, seed, shape):
    a, b = pictures(seed, 4, shape).reshape(2, 2, *shape)
    assert lpips(a, b) == pytest.approx(scored(original, a, b), rel=1e-4, abs=1e-6)


@settings(deadline=None, max_examples=20)
@given(seed=seeds, shape=shapes)
def test_lpips_is_symmetric_and_zero_only_between_equal_pictures(seed, shape):
    a, b = pictures(seed, 2, shape)[:, None]
    assert np.array_equal(lpips(a, b), lpips(b, a))
    assert lpips(a, b) > 0
    assert lpips(a, a) == 0


@settings(deadline=None, max_examples=10)
@given(seed=seeds, shape=shapes)
def test_distances_between_features_are_the_lpips_of_every_pair(seed, shape):
    a, b = pictures(seed, 3, shape), pictures(seed + 1, 2, shape)
    distances = lpips_distances(lpips_features(a), lpips_features(b))
    expected = [lpips(np.repeat(x[None], 2, axis=0), b) for x in a]
    assert distances.shape == (3, 2)
    assert distances == pytest.approx(np.array(expected), rel=1e-4, abs=1e-6)
    own = lpips_distances(lpips_features(a), lpips_features(a))
    assert np.array_equal(own.diagonal(), np.zeros(3))


def test_a_pictures_bits_do_not_depend_on_its_neighbours():
    a, b = pictures(0, 14, (3, 32, 32)).reshape(2, 7, 3, 32, 32)
    together = lpips(a, b)
    assert [lpips(x[None], y[None]).item() for x, y in zip(a, b, strict=True)] == together.tolist()
    assert np.array_equal(lpips_features(a)[3:5], lpips_features(a[3:5]))


def test_grey_is_the_same_picture_in_three_equal_channels():
    a, b = pictures(0, 4, (1, 32, 32)).reshape(2, 2, 1, 32, 32)
    assert np.array_equal(lpips(a, b), lpips(np.repeat(a, 3, axis=1), np.repeat(b, 3, axis=1)))


def test_colours_are_not_exchangeable():
    a, b = pictures(0, 4, (3, 32, 32)).reshape(2, 2, 3, 32, 32)
    assert (abs(lpips(a, b) - lpips(a[:, ::-1], b[:, ::-1])) > 1e-4).all()


@pytest.mark.parametrize(
    ("size", "larger"), [((16, 16), (32, 32)), ((8, 20), (32, 80)), ((31, 31), (32, 32)), ((40, 30), (43, 32))]
)
def test_small_pictures_are_upsampled_keeping_their_aspect_and_the_note_says_so(original, size, larger):
    a, b = pictures(0, 4, (3, *size)).reshape(2, 2, 3, *size)
    upsample = torch.nn.Upsample(size=larger, mode="bilinear")
    enlarged = [upsample(torch.from_numpy(x)).numpy() for x in (a, b)]
    assert lpips(a, b) == pytest.approx(scored(original, *enlarged), rel=1e-4)
    assert lpips_note((3, *size)) == (
        f"lpips: {size[0]} x {size[1]} pixels upsampled to {larger[0]} x {larger[1]} first"
    )


def test_pictures_of_32_pixels_and_more_are_taken_as_they_are():
    assert lpips_note((3, 32, 32)) is None
    assert lpips_note((1, 112, 92)) is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_float_type_is_scored_as_its_float32_values(dtype):
    a, b = torch.from_numpy(pictures(0, 4, (3, 32, 32))).to(dtype).reshape(2, 2, 3, 32, 32)
    assert np.array_equal(lpips(a.clone().requires_grad_(), b), lpips(a.float().numpy(), b.float().numpy()))


def test_two_channels_are_refused():
    a = pictures(0, 1, (2, 32, 32))
    with pytest.raises(ValueError, match="a must have 1 or 3 channels for lpips, not 2"):
        lpips(a, a)
    with pytest.raises(ValueError, match="images must have 1 or 3 channels for lpips, not 2"):
        lpips_features(a)


def test_the_first_score_prints_nothing_connects_nowhere_and_leaves_the_process_as_it_was():
    script = """
import sys, warnings
import numpy as np, torch
def refuse(event, arguments):
    if event.startswith("socket."):
        raise OSError(f"{event} {arguments}")
sys.addaudithook(refuse)
from invbench.metrics import lpips
random, filters = torch.get_rng_state(), list(warnings.filters)
assert lpips(np.zeros((1, 3, 32, 32)), np.ones((1, 3, 32, 32))) > 0
assert torch.equal(torch.get_rng_state(), random)
assert list(warnings.filters) == filters
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
