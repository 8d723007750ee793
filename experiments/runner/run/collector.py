"""Python's search for garbage, which waits while a command imports what it needs.

The 160,000 objects of these modules live as long as the command. 400 searches among them take 0.2
seconds, an eighth of the time of a prediction.
"""

import gc
import sys

_USUAL = gc.get_threshold()
_RARE = (100_000, 50, 50)


def search_rarely() -> None:
    """Makes searches rare, if this process was started as `python -m` and imports its module."""
    if sys.argv[:1] == ["-m"]:  # Python puts the path of the module there before it runs it
        gc.set_threshold(*_RARE)


def search_as_usual() -> None:
    """Ends what `search_rarely` began, and leaves out of later searches what is there by now."""
    if gc.get_threshold() == _RARE:
        gc.freeze()
        gc.set_threshold(*_USUAL)
