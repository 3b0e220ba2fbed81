"""The Ray executor on a real cluster of two nodes: the local executor's promises, and what a cluster adds."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import small_tasks
from command_line import alive, children, invbench, outcomes, running, table, wait_until, write, write_small
from exact_attack import EXACT
from ray_nodes import ENVIRONMENT, HEAD, OTHER, Nodes, two_nodes
from their_attacks import WAITING, install

from invbench import registry
from invbench.core import artefacts
from invbench.runs.executors import Advanced, Ended, Event, Notice, Repeated, Started, Task, cluster
from invbench.runs.executors.cluster import NoCluster, Share, cluster_crew

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a second loopback address is Linux's")

MIXED = """\
name: mixed
dataset: {name: npz, path: images.npz}
targets: 3
grid:
  attack: [EXACT, {name: inverting-gradients, iterations: 8}]
  model: [{name: mlp, width: 8, trained: true, training_steps: 3}]
  batch_size: [1]
  defense: [none, {name: gaussian, std: 0.1}]
include:
  - {attack: {name: waiting, go: a}, model: iwpc, dataset: {name: warfarin, sensitive: vkorc1}, targets: 5}
  - {attack: {name: waiting, go: b}, model: iwpc, dataset: {name: warfarin, sensitive: vkorc1}, targets: 6}
""".replace("EXACT", EXACT)
"""Four cells that share a trained victim, and two that go on until a file is there."""


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The attack `waiting`, installed here; the nodes have it too."""
    site = install(tmp_path_factory.mktemp("plugins") / "site", {"waiting": WAITING})
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        registry._plugins.cache_clear()
        yield site
    registry.forget()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, plugins: Path) -> Iterator[Nodes]:
    path = os.pathsep.join(map(str, (plugins, Path(__file__).parent, *filter(None, [os.environ.get("PYTHONPATH")]))))
    with two_nodes(tmp_path_factory.mktemp("nodes"), path) as nodes:
        yield nodes


@pytest.fixture
def nodes(started: Nodes) -> Nodes:
    """Both nodes, whatever became of them in another test."""
    started.both()
    return started


def task(key: str, function: Callable[..., Any], *arguments: Any, **more: Any) -> Task:
    return Task(key, f"{function.__module__}:{function.__name__}", arguments, **more)


def run_on(nodes: Nodes, tasks: list[Task], workers: int | None = None, device: str = "cpu") -> list[Event]:
    with cluster_crew(nodes.address, device, workers, threads=1, gpus=0.5) as crew:
        return list(crew.execute(tasks))


def ended(events: list[Event]) -> dict[str, Ended]:
    return {event.key: event for event in events if isinstance(event, Ended)}


def test_tasks_on_a_cluster_keep_what_the_local_executor_promises(nodes: Nodes, tmp_path: Path) -> None:
    """Order, needs, failures, deaths, time limits, threads, progress."""
    tasks = [
        task("reader", small_tasks.look, tmp_path / "stamp", needs=frozenset({"stamp"})),
        task("stamp", small_tasks.stamp, tmp_path / "stamp"),
        task("broken", small_tasks.fail, "no such luck"),
        task("once", small_tasks.die_once, tmp_path / "once", signal.SIGKILL),
        task("always", small_tasks.leave, 3),
        task("slow", small_tasks.wait_for, tmp_path / "never", timeout=0.5),
        task("climb", small_tasks.climb, 5, 0.5),
        task("threads", small_tasks.threads),
    ]
    events = run_on(nodes, tasks)
    results = ended(events)
    assert results.keys() == {task.key for task in tasks}
    assert results["reader"].result is True
    assert (results["broken"].problem, results["broken"].reason) == ("failed", "ValueError: no such luck")
    assert [event.key for event in events if isinstance(event, Repeated)] == ["once", "always"]
    assert results["once"].problem is None
    assert results["always"].reason.count("ended with exit code 3") == 2
    assert (results["slow"].problem, results["slow"].reason) == ("timeout", "took longer than 0.5 s")
    done = [event.progress.done for event in events if isinstance(event, Advanced)]
    assert done == sorted(set(done))
    assert 1 <= len(done) <= 4, "one report a second is enough for the network"
    told = results["threads"].result
    assert (told["OMP_NUM_THREADS"], told["MKL_NUM_THREADS"], told["torch"]) == ("1", "1", 1)
    assert {event.worker for event in events if isinstance(event, Started)} == {0, 1}


def test_a_node_that_dies_in_mid_run_costs_a_beginning_and_the_table_is_the_local_executor_s(
    nodes: Nodes, plugins: Path, tmp_path: Path
) -> None:
    write_small(tmp_path)
    write(tmp_path / "mixed.yaml", MIXED)
    more = ENVIRONMENT | {"PYTHONPATH": nodes.path}
    words = ["--executor", "ray", "--ray-address", nodes.address, "--device", "cpu"]
    begun = [tmp_path / "a.begun", tmp_path / "b.begun"]
    with running("run", "mixed.yaml", *words, folder=tmp_path, **more) as run:
        wait_until(lambda: all(file.exists() and file.read_text() for file in begun), "each node is at a cell")
        at = {int(file.read_text()) for file in begun}
        nodes.kill_other()
        wait_until(lambda: sum(map(alive, at)) == 1, "the processes of the dead node ended with it")
        (tmp_path / "a").touch()
        (tmp_path / "b").touch()
        done = run.end()
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[0] == "6 ok"
    (again,) = (line for line in done.stderr.splitlines() if line.startswith("again: "))
    assert again.startswith("again: waiting")
    assert "its worker was lost: " in again
    local = invbench("run", "mixed.yaml", "--workers", 1, "-o", "local", folder=tmp_path, **more)
    assert local.exit_code == 0, local.stderr
    assert table(tmp_path / "results/mixed") == table(tmp_path / "local")
    assert outcomes(tmp_path / "results/mixed") == outcomes(tmp_path / "local")
    made = [line for line in done.stderr.splitlines() if line.startswith("made: ")]
    assert len([line for line in made if " limits of " not in line]) == 1
    assert "made:" not in local.stderr, "what a node made is in the driver's own cache"


def test_an_artefact_is_made_once_and_every_node_that_needs_it_gets_it_by_way_of_the_driver(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is one that only the driver has, from an earlier run."""
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "driver"))
    artefacts.receive("earlier", b"what an earlier run made")
    needs = frozenset({"earlier", "new"})
    tasks = [
        task("new", small_tasks.keep, "new", artefact=True),
        *(task(key, small_tasks.meet, tmp_path / "met", key, 2, needs=needs) for key in "ab"),
    ]
    (tmp_path / "met").mkdir()
    results = ended(run_on(nodes, tasks))
    assert [end.problem for end in results.values()] == [None] * 3
    assert results["new"].result is None
    for name in needs:
        ours = artefacts.place(name).read_bytes()
        assert ours
        for node in (HEAD, OTHER):
            assert (nodes.cache(node) / f"{name}.safetensors").read_bytes() == ours


def test_a_task_that_loses_node_after_node_has_failed_in_the_end() -> None:
    queue, losses = cluster.Queue([task("a", small_tasks.double, 1)]), cluster.Counter[str]()
    for _ in range(cluster.LIVES - 1):
        taken = queue.next()
        assert taken is not None
        assert cluster._lost(taken, "its node has died", queue, losses) == Repeated(
            "a", "its worker was lost: its node has died"
        )
    taken = queue.next()
    assert taken is not None
    last = cluster._lost(taken, "its node has died", queue, losses)
    assert isinstance(last, Ended)
    assert last.reason == "its worker was lost 4 times, at last: its node has died"
    assert queue.next() is None


def test_a_node_that_lacks_the_data_or_has_other_versions_is_not_used(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "pictures.npz"
    tasks = [task(key, small_tasks.double, 1, files=frozenset({missing})) for key in "ab"]
    assert left_out(nodes, tasks) == {
        f"not used: node {node}: {missing} is not there; a data set's files have to be at the same path on every node"
        for node in (HEAD, OTHER)
    }
    monkeypatch.setattr(cluster, "facts", lambda: {"torch": "1.0"})
    (reason,) = left_out(nodes, tasks[:1])
    assert re.fullmatch(r"not used: node 127\.0\.0\.[23]: its torch is [\d.]+, here it is 1\.0", reason)


def left_out(nodes: Nodes, tasks: list[Task]) -> set[str]:
    """Why each worker was not used, where none was."""
    events: list[Event] = []
    with cluster_crew(nodes.address, "cpu", None, threads=1, gpus=1) as crew:
        given = crew.execute(tasks)
        with pytest.raises(NoCluster, match="no worker of the cluster can be used"):
            events.extend(given)
    return {event.text for event in events if isinstance(event, Notice)}


def test_workers_asked_for_wait_for_room_and_the_user_is_told(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """An autoscaler would make the room."""
    monkeypatch.setattr(cluster, "_PATIENCE", 0.2)
    with (
        cluster_crew(nodes.address, "cpu", 1, threads=2, gpus=1) as crew,
        closing(crew.execute([task("a", small_tasks.double, 1)])) as events,
    ):
        assert next(events) == Notice("waiting: no node of the cluster has 2 CPUs free")


def test_a_gpu_s_worker_sees_the_gpu_that_ray_gave_it(nodes: Nodes, tmp_path: Path) -> None:
    with cluster_crew(nodes.address, "auto", None, threads=1, gpus=0.5) as crew:
        assert (crew.device, crew.workers) == ("cuda:0", 1), "one node has a GPU, and one CPU beside it"
        events = list(crew.execute([task("which", small_tasks.meet, tmp_path, "it", 1)]))
    assert ended(events)["which"].result == "0"


def test_a_share_fits_as_often_as_its_scarcer_part() -> None:
    node = {"CPU": 8.0, "GPU": 2.0}
    assert Share(3, 0.0).fit(node) == 2
    assert Share(1, 1.0).fit(node) == 2
    assert Share(1, 0.3).fit(node) == 6, "a GPU holds three, and none is split over two"
    assert Share(1, 0.1).fit(node) == 8
    assert Share(1, 0.5).fit({"CPU": 8.0}) == 0


def test_a_cluster_without_room_or_that_is_not_there_is_refused_in_words(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal(address: str | None, device: str = "cpu", threads: int = 1) -> str:
        with pytest.raises(NoCluster) as refused, cluster_crew(address, device, None, threads, 1.0):
            raise AssertionError("unreachable")
        return str(refused.value)

    assert refusal(nodes.address, threads=2).startswith("no node of the cluster has 2 CPUs, which one cell needs")
    assert refusal(nodes.address, device="cuda:1").startswith("--device cuda:1: with --executor ray")
    assert refusal("127.0.0.1:1") == "--ray-address 127.0.0.1:1: nobody answers there: Connection refused"
    for nowhere in ("127.0.0.1:65536", "127.0.0.1:" + "9" * 5000):
        assert "must be HOST:PORT" in refusal(nowhere)
    assert refusal("nowhere") == "--ray-address 'nowhere': must be HOST:PORT, or auto for the Ray of this machine"
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    assert refusal(None) == "--executor ray needs Ray: pip install 'invbench[ray]'"


def test_an_interrupt_ends_130_keeps_what_is_finished_and_leaves_no_process_of_a_ray_of_our_own(
    plugins: Path, tmp_path: Path
) -> None:
    write(
        tmp_path / "waiting.yaml",
        "dataset: {name: warfarin, sensitive: vkorc1}\ntargets: 5\n"
        "grid: {attack: [map-inversion, {name: waiting, go: go}], model: [iwpc]}\n",
    )
    path = os.pathsep.join(filter(None, [str(plugins), os.environ.get("PYTHONPATH")]))
    result = tmp_path / "results/waiting"
    with (
        TemporaryDirectory(prefix="ray-") as session,
        running(
            *("run", "waiting.yaml", "--executor", "ray"),
            folder=tmp_path,
            **ENVIRONMENT | {"PYTHONPATH": path, "RAY_TMPDIR": session},
        ) as run,
    ):
        begun = tmp_path / "go.begun"
        wait_until(lambda: begun.exists() and begun.read_text() and outcomes(result), "one done, one going on")
        started = family(run.process.pid)
        os.killpg(run.process.pid, signal.SIGINT)
        done = run.end()
    assert done.exit_code == 130
    assert "interrupted: what was finished is kept" in done.stderr
    assert "Traceback" not in done.stderr
    assert int(begun.read_text()) in started
    wait_until(lambda: not any(map(alive, started)), "Ray and its workers are gone", patience=30)
    assert [(row["attack"], row["status"]) for row in table(result)] == [("map-inversion", "ok"), ("", "not run")]


def family(pid: int) -> list[int]:
    """Every process that descends from one."""
    below = children(pid)
    return below + [process for child in below for process in family(child)]
