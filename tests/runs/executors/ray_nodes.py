"""A real Ray cluster of two nodes on this machine, on loopback addresses alone."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEAD, OTHER = "127.0.0.2", "127.0.0.3"  # Ray takes 127.0.0.1 for the machine's outer address
ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
QUICK = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 4,
    "worker_register_timeout_seconds": 20,
}
"""Ray's own settings: a dead node, or a process that did not start, is noticed in seconds instead of a minute."""


@dataclass
class Nodes:
    """The cluster and what its nodes are started with: one CPU each, the other one with a GPU that is made up."""

    cluster: Any
    folder: Path
    path: str  # PYTHONPATH of every node
    other: Any = None

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def cache(self, node: str) -> Path:
        """Each node has a cache folder of its own, as on two machines."""
        return self.folder / f"cache-{node}"

    def add(self, node: str, **more: Any) -> Any:
        variables = {"INVBENCH_CACHE": str(self.cache(node)), "PYTHONPATH": self.path}
        facts = {"num_cpus": 1, "num_gpus": int(node == OTHER), "object_store_memory": 80 * 2**20}
        return self.cluster.add_node(node_ip_address=node, env_vars=variables, include_dashboard=False, **facts, **more)

    def both(self) -> None:
        """Start the other node where it is not there."""
        if self.other is None:
            self.other = self.add(OTHER)

    def kill_other(self) -> None:
        """As by pulling its plug."""
        self.cluster.remove_node(self.other, allow_graceful=False)
        self.other = None


@contextmanager
def two_nodes(folder: Path, path: str) -> Iterator[Nodes]:
    """Both nodes; nothing of them outlives the block."""
    before = dict(os.environ)
    session = tempfile.mkdtemp(prefix="ray-")  # a socket's path may have a hundred letters, not more
    os.environ.update(ENVIRONMENT | {"RAY_TMPDIR": session})
    from ray.cluster_utils import Cluster

    nodes = Nodes(Cluster(), folder, path)
    try:
        nodes.add(HEAD, _system_config=QUICK)
        nodes.both()
        yield nodes
    finally:
        nodes.cluster.shutdown()
        shutil.rmtree(session, ignore_errors=True)
        os.environ.clear()
        os.environ.update(before)
