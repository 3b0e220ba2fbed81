"""Which device a word means, and how several GPUs are shared out. The GPUs are made up."""

from __future__ import annotations

import pytest
import torch

from invbench.runs.devices import UnknownDevice, gpus, resolve, shared_out
from invbench.runs.run import default_workers, local_crew


@pytest.fixture
def visible(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Two GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return monkeypatch


def test_cuda_and_auto_are_all_gpus_with_one_worker_each(visible: pytest.MonkeyPatch) -> None:
    assert resolve("cuda") == resolve("auto") == "cuda"
    assert default_workers("cuda", threads=4) == 2
    assert gpus() == ["0", "1"]
    assert shared_out("cuda", gpus()) == ("cuda:0", [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}])
    crew = local_crew("cuda", 3, threads=1)
    assert (crew.device, crew.workers) == ("cuda:0", 3)


def test_one_gpu_by_its_number_is_the_only_one(visible: pytest.MonkeyPatch) -> None:
    assert resolve("cuda:1") == "cuda:1"
    assert default_workers("cuda:1", threads=4) == 1
    assert shared_out("cuda:1", gpus()) == ("cuda:1", [{}])
    with pytest.raises(UnknownDevice, match="this machine has 2 GPUs"):
        resolve("cuda:2")
    visible.setattr(torch.cuda, "device_count", lambda: 1)
    assert resolve("cuda") == resolve("auto") == "cuda:0"


def test_gpus_that_the_caller_has_hidden_stay_hidden(visible: pytest.MonkeyPatch) -> None:
    visible.setenv("CUDA_VISIBLE_DEVICES", "5, 3")
    assert gpus() == ["5", "3"]


def test_a_cpu_gets_a_worker_for_as_many_threads_as_it_has_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invbench.runs.run.cores", lambda: 8)
    assert [default_workers("cpu", threads) for threads in (1, 3, 16)] == [8, 2, 1]
