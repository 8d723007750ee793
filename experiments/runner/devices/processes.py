"""Several processes of one training: how they meet, agree, watch one another and part.

Every process runs the same program. Process 0 writes and prints; the others help with the steps.
JAX finds them (`jax.distributed`), and knows which of them live; this module says it in sentences.
"""

import contextlib
import ctypes
import itertools
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax
from jax._src import distributed

RESUME = os.EX_TEMPFAIL  # exit status: the same command goes on from what is saved
_LOOK_SECONDS = 1.0
_DAY_MS = 24 * 3600 * 1000
_LEAVING_MS = 10_000
_FAREWELL = "farewell"
_PARTED = threading.Event()
_NUMBERS = itertools.count()  # of what is agreed on: the same in every process


class Interrupted(KeyboardInterrupt):
    """A training was asked to stop; the same command resumes it."""


class PartDone(Exception):
    """A process other than the first has done its part of a training."""


@contextlib.contextmanager
def joined(
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
    *,
    devices: int,
    timeout: float,
) -> Iterator[None]:
    """Meets the other processes for the time of a `with` block.

    Args:
      coordinator: host:port of process 0. This and the next two are found out by JAX if None.
      num_processes: how many there are.
      process_id: which of them this is.
      devices: how many devices this one needs.
      timeout: seconds to wait for the others.
    """
    jax.config.update("jax_enable_recoverability", True)  # or JAX aborts before a word is said
    late = threading.Timer(
        timeout,
        _leave,
        [
            f"Not every one of {num_processes or 'the'} processes came to "
            f"{coordinator or 'the coordinator'} within {timeout:g} s: start all of them with the "
            "same --coordinator, an address of process 0 that the others reach."
        ],
    )
    late.start()
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            # Else JAX shows a process of SLURM or Open MPI the one GPU of its number on the node.
            local_device_ids=None if devices == 1 else range(devices),
            initialization_timeout=int(timeout) + 60,  # `late` comes first
            heartbeat_timeout_seconds=max(1, int(timeout / 3)),
        )
        if jax.process_index() > 0:
            ctypes.CDLL(None).signal(signal.SIGABRT, _say_why_aborted)
        jax.devices()
    finally:
        late.cancel()
    watch = threading.Thread(target=_watch, daemon=True)
    watch.start()
    farewell: str | None = None
    try:
        yield
    except RuntimeError:
        watch.join(timeout + 2 * _LOOK_SECONDS)  # another may have died: it is the reason then
        raise
    except (ValueError, OSError) as error:
        if "Gloo" in str(error):
            watch.join(timeout + 2 * _LOOK_SECONDS)
        farewell = str(error)
        raise
    finally:
        if not _PARTED.is_set() and jax.process_index() == 0:
            _client().key_value_set(f"{next(_NUMBERS)}/0", json.dumps({_FAREWELL: farewell}))
        _PARTED.set()
        with contextlib.suppress(RuntimeError, ValueError):  # some are gone
            _client().wait_at_barrier("left", _LEAVING_MS)
            if jax.process_index() == 0:  # leaves last: JAX aborts who says farewell to nobody
                _client().get_live_nodes(list(range(jax.process_count())))  # answers when all left
        jax.distributed.shutdown()


def meet() -> None:
    """Ends what is done together, once every process is here."""
    if jax.process_count() > 1:
        _client().wait_at_barrier(f"met/{next(_NUMBERS)}", _DAY_MS)
        _PARTED.set()


def part() -> None:
    """From here on only the first process goes on.

    Raises:
      PartDone: in every other process.
    """
    meet()
    if jax.process_index() > 0:
        raise PartDone


def agree(value: Any) -> Any:
    """What the first process gives, in every process; JSON. All must call it."""
    if jax.process_count() == 1:
        return value
    key = f"{next(_NUMBERS)}/0"
    if jax.process_index() == 0:
        _client().key_value_set(key, json.dumps(value))
    agreed = json.loads(_client().blocking_key_value_get(key, _DAY_MS))
    if isinstance(agreed, dict) and _FAREWELL in agreed:
        raise ValueError(f"Process 0 has stopped: {agreed[_FAREWELL]}")
    return agreed


def require_alike(identity: Mapping[str, Any]) -> None:
    """Compares what each process is about to train. All must call it.

    Raises:
      ValueError: in every process; names what differs between two of them. Also if the first has
        failed before it came here.
      PartDone: if the first has left, with nothing to train.
    """
    if jax.process_count() == 1:
        return
    number = next(_NUMBERS)
    _client().key_value_set(f"{number}/{jax.process_index()}", json.dumps(identity, default=str))
    texts = [
        _client().blocking_key_value_get(f"{number}/{process}", _DAY_MS)
        for process in range(jax.process_count())
    ]
    first, *others = map(json.loads, texts)
    if _FAREWELL in first:
        raise PartDone if first[_FAREWELL] is None else ValueError(first[_FAREWELL])
    for process, other in enumerate(others, start=1):
        names = [name for name in {**first, **other} if first.get(name) != other.get(name)]
        if names:
            theirs = ", ".join(f"{name} {other.get(name)}" for name in names)
            ours = ", ".join(f"{name} {first.get(name)}" for name in names)
            raise ValueError(
                f"Process {process} was started with {theirs}, process 0 with {ours}; give all "
                "the same command, but for --process-id."
            )


def _watch() -> None:
    """Ends this process if another one has died, whatever it is waiting for."""
    everyone = set(range(jax.process_count()))
    while not _PARTED.wait(_LOOK_SECONDS):
        dead = everyone - set(_client().get_live_nodes(sorted(everyone)))
        if dead and not _PARTED.is_set():
            names = ", ".join(map(str, sorted(dead)))
            if jax.process_index() == 0:
                time.sleep(3 * _LOOK_SECONDS)  # what the others ask is answered by this process
            _leave(
                f"Process {names} of {len(everyone)} has died, so process {jax.process_index()} "
                "stops. Start all again with the same command to resume from the last checkpoint."
            )


@ctypes.CFUNCTYPE(None, ctypes.c_int)
def _say_why_aborted(number: int) -> None:
    """Says why JAX aborts this process, if it is because the first one is gone.

    Called by abort(), which goes on where this returns. A handler of Python's own would not come to
    run any more.
    """
    address = distributed.global_state.coordinator_address
    assert address is not None
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_LOOK_SECONDS).close()
    except OSError:
        _leave(
            f"Process 0 of {jax.process_count()} has died, so process {jax.process_index()} stops. "
            "Start all again with the same command: they resume from the last checkpoint."
        )


def _leave(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
    os._exit(RESUME)


def _client() -> Any:
    return distributed.global_state.client
