"""Parts of somebody's package that misbehave, each with the outcome that its cell must have."""

from __future__ import annotations

from dataclasses import dataclass

HEAD = '''
"""Misbehaves."""

import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from invbench.attacks import UpdateAttack
from invbench.observation import Failed, Guess, Preparation
from invbench.registry import attack


class Odd:
    def __repr__(self):
        sys.exit(3)


class Mute(Exception):
    def __str__(self):
        raise ValueError("no words")


class Leaving(Exception):
    def __str__(self):
        sys.exit(0)


class Dear(torch.Tensor):
    @classmethod
    def __torch_function__(cls, *given):
        sys.exit(5)


class Sly(Guess):
    def complaint(self, public):
        raise KeyboardInterrupt


def nested(depth):
    found = []
    for _ in range(depth):
        found = [found]
    return found


def cycle():
    found = []
    found.append(found)
    return found


def endless():
    return endless()


@attack(game="update")
@dataclass(frozen=True, kw_only=True)
class Part(UpdateAttack):
    """Misbehaves."""
'''
CALL = """
    def __call__(self, seen):
        grey = torch.full((seen.public.pictures, *seen.public.image_shape), 0.5, dtype=torch.float32, device="cpu")
"""
DEFENSE = '''
"""Misbehaves."""

import sys

import torch

from invbench.defenses import Defense
from invbench.registry import defense


@defense
class Part(Defense):
    """Misbehaves."""

'''


DATASET = '''
"""Misbehaves."""

import os
import sys

from invbench.data import Dataset
from invbench.registry import dataset


@dataset(data="images")
class Part(Dataset):
    """Misbehaves."""

    def load(self):
        '''
OWN = "raise type('Own', (BaseException,), {})('mine')"


@dataclass(frozen=True)
class Fault:
    """`source` of the part, how its cell must end, and words of the reason (of the record, where it ends `ok`)."""

    source: str
    status: str
    words: str
    kind: str = "attack"


def gives(answer: str, words: str, status: str = "failed") -> Fault:
    return Fault(f"{HEAD}{CALL}        return {answer}\n", status, words)


def says(words: str, **fields: str) -> Fault:
    return gives(f"Guess(images=grey, {', '.join(f'{name}={value}' for name, value in fields.items())})", words)


def fine(words: str, **fields: str) -> Fault:
    return gives(f"Guess(images=grey, {', '.join(f'{name}={value}' for name, value in fields.items())})", words, "ok")


def does(statements: str, words: str = "", status: str = "ok") -> Fault:
    lines = "".join(f"        {line}\n" for line in statements.splitlines())
    return Fault(f"{HEAD}{CALL}{lines}        return Guess(images=grey)\n", status, words)


def raises(error: str, words: str) -> Fault:
    return does(f"raise {error}", words, "failed")


def has(methods: str, words: str, status: str = "failed") -> Fault:
    lines = "".join(f"    {line}\n" for line in methods.splitlines())
    return Fault(f"{HEAD}{CALL}        return Guess(images=grey)\n\n{lines}", status, words)


def defends(method: str, words: str) -> Fault:
    lines = "".join(f"    {line}\n" for line in method.splitlines())
    return Fault(f"{DEFENSE}{lines}", "failed", words, "defense")


def asked(statements: str, words: str = "no", status: str = "unsupported") -> Fault:
    """What it does where the process that runs the command asks it, before it says no."""
    lines = "".join(f"    {line}\n" for line in statements.splitlines())
    return has(f"def unsupported(self, public):\n{lines}    return 'no'", words, status)


def broken(statement: str, words: str) -> Fault:
    """A file that cannot be imported."""
    return Fault(f"{HEAD}{CALL}        return Guess(images=grey)\n\n\n{statement}\n", "refused", words)


def unbuilt(statement: str, words: str) -> Fault:
    return Fault(has(f"def __post_init__(self):\n    {statement}", "").source, "refused", words)


def unloaded(statement: str, words: str) -> Fault:
    return Fault(f"{DATASET}{statement}\n", "refused", words, "dataset")


ANSWERS = {
    "no-guess": gives("None", "must be a Guess, not NoneType"),
    "number": gives("3", "must be a Guess, not int"),
    "list": gives("[Guess(images=grey)]", "must be a Guess, not list"),
    "two-for-one": gives("Guess(images=torch.cat([grey, grey]))", "attack two-for-one: answer 1: has 2 pictures, the"),
    "thousands": gives("Guess(images=grey.expand(8000, -1, -1, -1))", "has 8000 pictures, the batch 1"),
    "flattened": gives("Guess(images=grey.flatten(1))", "images must be (N, 3, 16, 16), not (1, 768)"),
    "bare": gives("Guess(images=grey[0])", "images must be (N, 3, 16, 16)"),
    "cropped": gives("Guess(images=grey[:, :, 1:])", "images must be (N, 3, 16, 16), not (1, 3, 15, 16)"),
    "nan": gives("Guess(images=grey * torch.nan)", "its images are not finite"),
    "infinite": gives("Guess(images=grey / 0)", "its images are not finite"),
    "of-255": gives("Guess(images=grey * 255)", "its images go from 127.5 to 127.5, not from 0 to 1"),
    "normalised": gives("Guess(images=grey * 4 - 3)", "its images go from -1 to -1"),
    "bytes": gives("Guess(images=(grey * 255).to(torch.uint8))", "images must be a tensor of floats"),
    "array": gives("Guess(images=grey.numpy())", "images must be a tensor of floats, not ndarray"),
    "complex": gives("Guess(images=grey.to(torch.complex64))", "images must be a tensor of floats"),
    "sparse": gives("Guess(images=grey.to_sparse())", "attack sparse: answer 1: images must be a dense tensor"),
    "nowhere": gives("Guess(images=grey.to('meta'))", "answer 1: images must be a tensor with values"),
    "dear": gives("Guess(images=grey.as_subclass(Dear))", "answer 1: images must be a plain tensor, not of type Dear"),
    "sly": gives("Sly(images=grey)", "attack sly: answer 1: cannot be read: KeyboardInterrupt"),
    "sparse-labels": says("labels must be a dense tensor", labels="torch.zeros(1, dtype=torch.int64).to_sparse()"),
    "three-labels": says("labels must be (1,), one a picture, not (3,)", labels="torch.zeros(3, dtype=torch.int64)"),
    "half-a-label": says("labels must be a tensor of whole numbers", labels="torch.zeros(1)"),
    "listed-labels": says("labels must be a tensor of whole numbers, not list", labels="[0]"),
    "table-of-labels": says("labels must be (1,)", labels="torch.zeros(1, 1, dtype=torch.int64)"),
    "set": says("facts: a: a set is nothing that JSON knows", facts="{'a': {1, 2}}"),
    "cycle": says("nested deeper than 32", facts="{'a': cycle()}"),
    "deep": says("nested deeper than 32", facts="{'a': nested(5000)}"),
    "path": says("is nothing that JSON knows", facts="{'a': Path('x')}"),
    "tensor": says("facts: a: a Tensor is nothing that JSON knows", facts="{'a': torch.zeros(3)}"),
    "object": says("facts: a: an Odd is nothing that JSON knows", facts="{'a': Odd()}"),
    "facts-of-three": says("facts: must be a mapping, not 3", facts="3"),
    "odd-key": says("facts: a key must be text, not a tuple", facts="{(1, 2): 3}"),
    "many": says("of more than 100000 values", facts="{'a': [0] * 200_000}"),
    "vast": says("a very large number is nothing that JSON knows", facts="{'a': 10**400}"),
    "evaluations-of-words": says("evaluations: must be a whole number from 0 on, not 'many'", evaluations="'many'"),
    "evaluations-below-0": says("evaluations: must be a whole number from 0 on, not -1", evaluations="-1"),
    "evaluations-and-a-half": says("evaluations: must be a whole number from 0 on, not 1.5", evaluations="1.5"),
    "evaluations-set": says("evaluations: must be a whole number from 0 on, not a set", evaluations="{1}"),
    "perhaps": says("diverged: must be true or false, not 'perhaps'", diverged="'perhaps'"),
    "objectives": says("objective: must be a number, not a list", objective="[1.0]"),
    "one-note": says("notes: must be texts, not 'abc'", notes="'abc'"),
    "number-notes": says("notes: must be texts, not a tuple", notes="(1, 2)"),
    "stopped-list": says("stopped: must be a mapping, not a list", stopped="['converged']"),
    "stopped-below-0": says("stopped: must be a whole number from 0 on, not -2", stopped="{'converged': -2}"),
    "lazy": has("def attack_all(self, seen):\n    yield self(seen[0])", "gave a generator for 2 observations"),
    "fewer": has("def attack_all(self, seen):\n    return [self(seen[0])]", "gave 1 guesses for 2 observations"),
}
"""What an attack may not answer."""

TAKEN = {
    "scalars": fine('"n": 3, "x": 0.5', facts="{'n': np.int64(3), 'x': torch.tensor([0.5])}"),
    "counted-by-torch": fine('"evaluations": [7, 7]', evaluations="torch.tensor(7)"),
    "flagged-by-numpy": fine('"diverged": 2', diverged="np.bool_(True)"),
    "weighed-by-numpy": fine('"objectives": [0.25, 0.25]', objective="np.float32(0.25)"),
    "no-number": fine('{"x": null}', facts="{'x': float('nan')}"),
    "half-a-pair": fine("\\\\udc80", notes="('\\udc80',)"),
    "nothing": gives("Guess(images=grey[:0])", '"recovered": [[0.0], [0.0]]', "ok"),
    "no-answer": does('raise Failed("not today")', "not today (2 of 2 targets)"),
}
"""What it may."""

ERRORS = {
    "value": raises("ValueError('no such luck')", "ValueError: no such luck"),
    "leaving": raises("SystemExit(0)", "SystemExit: 0"),
    "interrupting": raises("KeyboardInterrupt", "KeyboardInterrupt"),
    "exiting": raises("GeneratorExit", "GeneratorExit"),
    "stop": raises("StopIteration(3)", "StopIteration: 3"),
    "base-exception": raises("type('Own', (BaseException,), {})('mine')", "Own: mine"),
    "mute": raises("Mute", "Mute"),
    "leaving-words": raises("Leaving", "Leaving"),
    "surrogate": raises("ValueError('\\udc80')", "\\udc80"),
    "long": raises("ValueError('x' * 10**6)", "ValueError: xxx"),
    "group": raises("BaseExceptionGroup('all', [SystemExit(1), ValueError()])", "BaseExceptionGroup: all"),
    "chain": raises("ValueError('late') from Mute()", "ValueError: late"),
    "memory": raises("MemoryError", "out of memory"),
    "endless": does("endless()", "RecursionError", "failed"),
    "undecided": has(
        "def unsupported(self, public):\n    return True", "unsupported() gives None or a reason in words"
    ),
    "wordless": has("def unsupported(self, public):\n    return ''", "gives None or a reason in words, not ''"),
    "set-of-words": has("def unsupported(self, public):\n    return {'no'}", "a reason in words, not a set"),
    "leaving-early": has("def unsupported(self, public):\n    sys.exit(0)", "SystemExit: 0"),
    "interrupting-early": has("def unsupported(self, public):\n    raise KeyboardInterrupt", "KeyboardInterrupt"),
    "unprepared": has("def preparations(self, public):\n    return {'a': 3}", "AttributeError"),
    "keyed-by-a-set": has(
        "def preparations(self, public):\n"
        "    return {'a': Preparation(what='a', key={'x': {1}}, make=lambda made: {'x': torch.zeros(1)})}",
        "TypeError",
    ),
    "prepared-of-arrays": has(
        "def preparations(self, public):\n"
        "    return {'a': Preparation(what='an array', key={}, make=lambda made: {'x': np.zeros(1)})}",
        "what it needs was not made: TypeError: an array: 'x' must be a tensor, not ndarray",
    ),
    "prepared-once": has(
        "def preparations(self, public):\n"
        "    if hasattr(Part, 'asked'):\n"
        "        raise ValueError('not again')\n"
        "    Part.asked = True\n"
        "    return {}",
        "ValueError: not again",
    ),
}
"""What it may raise, and where."""

ASKED = {
    "asked-elsewhere": asked("os.chdir('/')"),
    "asked-for-no-rights": asked("os.umask(0o777)"),
    "asked-twice": asked("os.fork()"),
    "asked-opens-nothing": asked("import builtins\nbuiltins.open = None"),
    "asked-mute": asked("sys.stdout = sys.stderr = None"),
    "asked-closing": asked("sys.stdout.close()\nsys.stderr.buffer.close()"),
    "asked-deaf": asked("signal.signal(signal.SIGINT, signal.SIG_IGN)"),
    "asked-without-modules": asked("sys.path.clear()\nsys.meta_path.clear()"),
    "asked-bare": asked("os.environ.clear()"),
    "asked-aloud": asked("print('\\x1b]0;asked\\x07\\x1b[2J', flush=True)"),
    "asked-leaving": asked("os._exit(0)", "SystemExit: 0", "failed"),
    "asked-generator": asked("raise GeneratorExit", "GeneratorExit", "failed"),
}
"""What it may do where it is asked: nothing of it reaches whoever asks."""

REFUSED = {
    "broken-own": broken(OWN, "attack broken-own: {file}:74: Own: mine"),
    "broken-interrupt": broken("raise KeyboardInterrupt", "attack broken-interrupt: {file}:74: KeyboardInterrupt"),
    "broken-exit": broken("sys.exit(0)", "attack broken-exit: {file}:74: SystemExit: 0"),
    "broken-leaving": broken("os._exit(0)", "attack broken-leaving: "),
    "unbuilt-exit": unbuilt("sys.exit(0)", "attack unbuilt-exit: {file}:74: SystemExit: 0"),
    "unbuilt-own": unbuilt(OWN, "attack unbuilt-own: {file}:74: Own: mine"),
    "unbuilt-interrupt": unbuilt("raise KeyboardInterrupt", "attack unbuilt-interrupt: {file}:74: KeyboardInterrupt"),
    "unbuilt-type": unbuilt("raise TypeError('odd')", "attack unbuilt-type: {file}:74: TypeError: odd"),
    "unbuilt-value": unbuilt("raise ValueError('odd')", "odd"),
    "unloaded-own": unloaded(OWN, "dataset unloaded-own cannot be loaded: Own: mine"),
    "unloaded-generator": unloaded("raise GeneratorExit", "dataset unloaded-generator cannot be loaded: GeneratorExit"),
    "unloaded-interrupt": unloaded("raise KeyboardInterrupt", "dataset unloaded-interrupt cannot be loaded: Keyboard"),
    "unloaded-exit": unloaded("sys.exit(0)", "dataset unloaded-exit cannot be loaded: SystemExit: 0"),
    "unloaded-leaving": unloaded("os._exit(0)", "dataset unloaded-leaving cannot be loaded: SystemExit: 0"),
}
"""What it may do before there is a cell: a refusal at its place in the matrix, in which `{file}` is the part's."""

SETTINGS = {
    "dtype": does("torch.set_default_dtype(torch.float64)"),
    "device": does('torch.set_default_device("meta")'),
    "threads": does("torch.set_num_threads(2)"),
    "mkldnn": does("torch.backends.mkldnn.enabled = False"),
    "precision": does('torch.set_float32_matmul_precision("medium")'),
    "no-gradients": does("torch.set_grad_enabled(False)"),
    "anomaly": does("torch.autograd.set_detect_anomaly(True)"),
    "deterministic": does("torch.use_deterministic_algorithms(True)"),
    "denormal": does("torch.set_flush_denormal(True)"),
    "hook": does("torch.nn.modules.module.register_module_forward_hook(lambda layer, x, y: y * 0)"),
    "seeds": does("torch.manual_seed(0); np.random.seed(0)"),
    "raising-numpy": does('np.seterr(all="raise")'),
    "raising-warnings": does('import warnings\nwarnings.simplefilter("error")'),
    "elsewhere": does('os.chdir("/")'),
    "environment": does("os.environ.clear()"),
    "no-modules": does("sys.path.clear()"),
    "shallow": does("sys.setrecursionlimit(200)"),
    "uncollected": does("import gc\ngc.disable()"),
    "no-output": does("sys.stdout = sys.stderr = None"),
    "closed-output": does("sys.stdout.close()\nsys.stderr.buffer.close()"),
    "aloud": does("print('\\x1b]0;aloud\\x07\\x1b[2J\\u202etxt', flush=True)"),
    "no-finders": does("sys.meta_path.clear()"),
    "no-rights": does("os.umask(0o777)"),
    "no-builtins": does("import builtins\nbuiltins.open = builtins.hash = None"),
    "no-next": does("import builtins\nbuiltins.next = None", "TypeError: 'NoneType' object is not callable", "failed"),
    "rounding": does("import ctypes\nctypes.CDLL('libm.so.6').fesetround(0x800)"),
    "alarm": does("signal.setitimer(signal.ITIMER_REAL, 20)"),
    "deaf": does("signal.signal(signal.SIGTERM, signal.SIG_IGN)"),
}
"""What it may leave behind: put back."""

REPLACED = {
    "relu": does("F.relu = F.elu", "another torch.nn.functional.relu", "failed"),
    "metric": does(
        "from invbench.metrics import psnr\n"
        "sys.modules['invbench.metrics.psnr'].METRIC = None\n"
        "from invbench.games import update\n"
        "update.reconstruction = None",
        "another invbench",
        "failed",
    ),
    "method": does("torch.nn.Linear.forward = lambda self, x: x @ self.weight.T", "another Linear.forward", "failed"),
    "code": does(
        "from invbench.metrics import psnr\n"
        "psnr.__code__ = (lambda images, originals: np.full(len(images), 99.0)).__code__",
        "another invbench.metrics.psnr.psnr",
        "failed",
    ),
    "defaults": does("F.group_norm.__defaults__ = (None, None, 0.5)", "another torch.nn.functional.group", "failed"),
    "operator": does(
        "Part.library = torch.library.Library('aten', 'IMPL')\n"
        "Part.library.impl('sigmoid', lambda x: torch.tanh(x), 'CPU')",
        "another implementation of an operator of torch",
        "failed",
    ),
    "hash": does(
        "import hashlib\nold = hashlib.sha256\nhashlib.sha256 = lambda data=b'', **more: old(b'x' + bytes(data))",
        "another hashlib.sha256",
        "failed",
    ),
    "session": does('import subprocess\nsubprocess.Popen(["sleep", "601"], start_new_session=True)', "that goes on"),
    "daemon": does(
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        os.execvp('sleep', ['sleep', '602'])\n"
        "    os._exit(0)\nos.wait()",
        "a process that goes on",
    ),
    "thread": does("threading.Thread(target=time.sleep, args=(60,), daemon=True).start()", "a thread that goes on"),
    "child": does('import subprocess\nsubprocess.Popen(["sleep", "600"])', "a process that goes on"),
    "copy": does("os.fork()", ""),
    "inference": does("Part.mode = torch.inference_mode()\nPart.mode.__enter__()", "another inference mode", "failed"),
}
"""What cannot be put back: `words` are said of it, and the worker is replaced."""

DEATHS = {
    "exit-0": does("os._exit(0)", "the worker ended with exit code 0", "failed"),
    "exit-3": does("os._exit(3)", "the worker ended with exit code 3", "failed"),
    "killed": does("os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL", "failed"),
    "segfault": does("import ctypes\nctypes.string_at(0)", "killed by SIGSEGV", "failed"),
    "abort": does("os.abort()", "killed by SIGABRT", "failed"),
    "real-time-signal": does("os.kill(os.getpid(), signal.SIGRTMIN + 5)", "killed by signal 39", "failed"),
    "no-pipe": does("os.closerange(3, 1024)", "the worker ", "failed"),
    "orphan": does("if os.fork():\n    os._exit(4)\ntime.sleep(600)", "ended with exit code 4", "failed"),
    "asleep": does("time.sleep(600)", "took longer than", "timeout"),
    "stopped": does("os.kill(os.getpid(), signal.SIGSTOP)", "took longer than", "timeout"),
    "in-c": does('import re\nre.match(r"(a+)+$", "a" * 40 + "b")', "took longer than", "timeout"),
}
"""What costs its worker, and for a second time another one."""

DEFENSES = {
    "drops": defends("def update(self, shared, context):\n    return shared[1:]", "defence Part at stage update: must"),
    "flattens": defends(
        "def update(self, shared, context):\n    return tuple(t.flatten() for t in shared)",
        "defence Part at stage update: must keep tensor 1",
    ),
    "doubles": defends(
        "def update(self, shared, context):\n    return tuple(t.double() for t in shared)", "must keep tensor 1"
    ),
    "loses": defends("def update(self, shared, context):\n    pass", "not a NoneType"),
    "undefined": defends(
        "def update(self, shared, context):\n    return tuple(t * torch.nan for t in shared)",
        "defence Part: the update is finite without it and not with it",
    ),
    "no-labels": defends(
        "def inputs(self, batch, context):\n    return batch[0], batch[1][:0]", "at stage inputs: must give 1 labels"
    ),
    "no-clients": defends("def aggregate(self, updates, context):\n    return []", "must give a list of updates"),
    "no-network": defends("def model(self, network, context):\n    return None", "must give a network"),
    "leaves": defends("def update(self, shared, context):\n    sys.exit(0)", "SystemExit: 0"),
}

GENTLE = {**ANSWERS, **TAKEN, **ERRORS, **ASKED, **SETTINGS}
ROUGH = {**REPLACED, **DEATHS}
