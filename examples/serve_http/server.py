"""Serves a trained tagger over HTTP; requests that come at the same time share one batch.

    python -m experiments.pos_tagging train
    python examples/serve_http/server.py --run runs/pos_tagging --port 8000
    curl localhost:8000/tag -d '{"sentences": ["I know that man ."]}'

Needs `pip install 'birnn-jax[experiments,serve]'`, which brings Starlette and uvicorn.
"""

import asyncio
import contextlib
import json
import sys
from pathlib import Path

import tyro
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

sys.path.insert(0, str(Path(__file__).parents[2]))

from experiments.pos_tagging.__main__ import EXPERIMENT
from experiments.pos_tagging.model import load_tagger

MAX_BYTES = 64 * 1024  # of a request
MAX_SENTENCES = 64  # of a request
MAX_WORDS, MAX_LETTERS = 128, 100  # of a sentence, and of a word
RETRY = {"Retry-After": "1"}
EXPECTED = 'JSON such as {"sentences": ["I know that man ."]}'
LENGTHS = (8, 16, 32, 64, 128)  # to which sentences are padded: each is compiled once


class Batcher:
    """Collects sentences while the batch before is computed, then computes them together."""

    def __init__(self, tag, *, batch_size=256, waiting=1024):
        self.tag, self.batch_size, self.waiting = tag, batch_size, waiting
        self.queue, self.batches, self.sentences = asyncio.Queue(), 0, 0

    async def submit(self, sentences):
        """The tags of the sentences of a request; 503 if too many others wait."""
        if self.queue.qsize() + len(sentences) > self.waiting:
            raise HTTPException(503, "The server is busy. Try again in a second.", RETRY)
        found = [asyncio.get_running_loop().create_future() for _ in sentences]
        for entry in zip(sentences, found):
            self.queue.put_nowait(entry)
        return await asyncio.gather(*found)

    async def run(self):
        """Computes batches, until it is cancelled."""
        while True:
            entries = [await self.queue.get()]
            while len(entries) < self.batch_size and not self.queue.empty():
                entries.append(self.queue.get_nowait())
            rows = [words for words, _ in entries]
            task = asyncio.create_task(asyncio.to_thread(self.tag, rows))
            await asyncio.wait([task])
            for place, (_, found) in enumerate(entries):
                if found.cancelled():  # the client has gone
                    continue
                if error := task.exception():
                    found.set_exception(error)
                else:
                    found.set_result(task.result()[place])
            self.batches, self.sentences = self.batches + 1, self.sentences + len(rows)


def make_app(tag, **options):
    """The service of `tag`, a function from lists of words to lists of tags.

    Args:
      tag: computes a batch, in a thread of its own.
      **options: of `Batcher`.
    """
    batcher = Batcher(tag, **options)

    @contextlib.asynccontextmanager
    async def lifespan(app):
        tag([["word"] * length for length in LENGTHS])  # compiles before the first request
        task = asyncio.create_task(batcher.run())
        yield
        task.cancel()

    async def answer(request):
        sentences = read_sentences(await read_body(request))
        return JSONResponse({"sentences": sentences, "tags": await batcher.submit(sentences)})

    async def health(request):
        counts = {"batches": batcher.batches, "sentences": batcher.sentences}
        return JSONResponse({"status": "ok", **counts})

    async def say(request, error):
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    routes = [Route("/tag", answer, methods=["POST"]), Route("/health", health)]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: say})


async def read_body(request):
    """The bytes of a request, refused as soon as they are too many."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            message = f"The body is over {MAX_BYTES:,} bytes. Send fewer sentences."
            raise HTTPException(413, message, {"Connection": "close"})  # whatever still comes
    return body


def read_sentences(body):
    """The sentences of a body, as lists of words."""
    try:
        sentences = json.loads(body)["sentences"]
        json.dumps(sentences, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise HTTPException(400, f"The body is not {EXPECTED}.") from error
    if not isinstance(sentences, list) or not all(isinstance(s, str) for s in sentences):
        raise HTTPException(422, f"sentences is not a list of strings. The body is {EXPECTED}.")
    rows = [sentence.split() for sentence in sentences]
    if not 1 <= len(rows) <= MAX_SENTENCES:
        raise HTTPException(422, f"Got {len(rows)} sentences, expected 1 to {MAX_SENTENCES}.")
    for number, row in enumerate(rows):
        if not 1 <= len(row) <= MAX_WORDS:
            message = f"Sentence {number} has {len(row)} words, expected 1 to {MAX_WORDS}."
            raise HTTPException(422, message)
        if (longest := max(map(len, row))) > MAX_LETTERS:
            message = f"Sentence {number} has a word of {longest} letters, over {MAX_LETTERS}."
            raise HTTPException(422, message)
    return rows


def main(*, run: Path = Path("runs/pos_tagging"), host: str = "127.0.0.1", port: int = 8000):
    """Serves the tagger of a run folder.

    Args:
      run: folder of a training.
      host: address to listen at; this machine only, unless you change it.
      port: to listen at.
    """
    app = make_app(load_tagger(EXPERIMENT.open(run)).tag)
    uvicorn.run(app, host=host, port=port, log_level="warning", limit_concurrency=2048)


if __name__ == "__main__":
    tyro.cli(main)
