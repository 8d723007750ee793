"""Runs the tagger in a process that kills itself, as the kernel would, at a chosen moment.

python -m tests.experiments._killed MOMENT [the command line of experiments.pos_tagging]
"""

import os
import signal
import sys

import jax

from birnn_jax.training import JsonLines
from experiments.pos_tagging import __main__ as pos_tagging

# The settings of the tests, which are part of what is compiled.
jax.config.update("jax_disable_most_optimizations", True)
jax.config.update("jax_debug_key_reuse", True)


def _kill(journal):
    journal._file.write('{"step": 9')  # a line of which a part reached the disk
    journal._file.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def _plant(moment):
    add, sync, last = JsonLines.add, JsonLines.sync, {}

    def add_and_die(self, record):
        add(self, record)
        last[self] = record["step"]
        if moment == f"{record.get('split')} {record['step']}":
            _kill(self)

    def sync_and_die(self):
        sync(self)
        if moment == f"saving {last.get(self)}":
            _kill(self)

    JsonLines.add, JsonLines.sync = add_and_die, sync_and_die


if __name__ == "__main__":
    _plant(sys.argv.pop(1))
    pos_tagging.main()
