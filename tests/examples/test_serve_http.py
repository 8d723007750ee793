"""The HTTP service of `examples/serve_http`, by real requests over the loopback interface."""

import asyncio
import contextlib
import importlib.util
import json
import socket
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest

from experiments.pos_tagging.config import TaggingConfig
from experiments.pos_tagging.model import TrainedTagger, init_params
from experiments.words.data import Sentence, build_vocabulary

httpx = pytest.importorskip("httpx", reason="httpx is not installed: pip install httpx")
uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install uvicorn")
pytest.importorskip("starlette", reason="starlette is not installed: pip install starlette")

SERVER = Path(__file__).parents[2] / "examples" / "serve_http" / "server.py"
WORDS = "the cat saw a small dog and that man knows it well".split()


@pytest.fixture(scope="module")
def module():
    """The file of the example."""
    spec = importlib.util.spec_from_file_location("serve_http_server", SERVER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tagger():
    """A tagger of random weights."""
    tags = ["DET", "NOUN", "VERB", "ADJ"]
    sentences = [Sentence(tuple(WORDS), tuple(tags[i % 4] for i in range(len(WORDS))), ())]
    config = TaggingConfig(word_size=5, hidden_size=6, tokens_per_batch=256)
    vocabulary = build_vocabulary(sentences)
    params = init_params(config, vocabulary, jax.random.key(0))
    params = jax.tree.map(lambda leaf: 5 * leaf, params)  # so that tags differ
    return TrainedTagger(config, params, vocabulary)


@contextlib.contextmanager
def serving(app):
    """The address of a running server of the app; stops it in the end."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="error", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


@pytest.fixture(scope="module")
def address(module, tagger):
    """A server of the tagger."""
    with serving(module.make_app(tagger.tag)) as address:
        yield address


def sentence(number):
    """A sentence of 1 to 30 words, another for each number."""
    return [WORDS[(number * step) % len(WORDS)] for step in range(1, 2 + number % 30)]


def test_thousand_requests_at_once_get_their_own_tags_in_few_batches(module, tagger):
    def tag(sentences):
        time.sleep(0.01)  # as a larger model takes
        return tagger.tag(sentences)

    rows = [sentence(number) for number in range(1000)]

    with serving(module.make_app(tag)) as address:
        replies = asyncio.run(ask_over(address, 50, rows))
        health = httpx.get(f"{address}/health").json()
    assert [reply["tags"][0] for reply in replies] == tagger.tag(rows)
    assert health["sentences"] == 1000
    assert health["batches"] < 300


async def ask_over(address, num_connections, rows):
    """The replies to a request for each row, over connections that ask one after the other."""
    host, _, port = address.removeprefix("http://").partition(":")
    pending, replies = list(enumerate(rows)), {}

    async def connect():
        reader, writer = await asyncio.open_connection(host, int(port))
        while pending:
            number, row = pending.pop()
            body = json.dumps({"sentences": [" ".join(row)]})
            writer.write(
                f"POST /tag HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n".encode()
            )
            writer.write(f"\r\n{body}".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert head.startswith("http/1.1 200")
            size = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            replies[number] = json.loads(await reader.readexactly(size))
        writer.close()

    await asyncio.gather(*(connect() for _ in range(num_connections)))
    return [replies[number] for number in range(len(rows))]


def test_sentences_of_one_request_keep_their_order(address, tagger):
    rows = [sentence(number) for number in (29, 0, 7, 12)]
    reply = httpx.post(f"{address}/tag", json={"sentences": [" ".join(row) for row in rows]})
    assert reply.json() == {"sentences": rows, "tags": tagger.tag(rows)}
    assert len({tag for row in reply.json()["tags"] for tag in row}) > 1


def test_batches_have_at_most_their_size(module):
    sizes = []

    def tag(sentences):
        sizes.append(len(sentences))
        return [["X"] * len(row) for row in sentences]

    with serving(module.make_app(tag, batch_size=3)) as address:
        assert sizes == [len(module.LENGTHS)]  # the warming up
        del sizes[:]
        reply = httpx.post(f"{address}/tag", json={"sentences": [*"abcdefg"]})
    assert reply.json()["tags"] == [["X"]] * 7 and sizes == [3, 3, 1]


def test_command_serves_the_tagger_of_its_run_where_it_is_told(module, monkeypatch):
    served = {}
    monkeypatch.setattr(module, "EXPERIMENT", SimpleNamespace(open=lambda path: f"run in {path}"))
    monkeypatch.setattr(module, "load_tagger", lambda run: SimpleNamespace(tag=f"tagger of {run}"))
    monkeypatch.setattr(module, "make_app", lambda tag: f"app of {tag}")
    monkeypatch.setattr(uvicorn, "run", lambda app, **options: served.update(options, app=app))
    words = ["server.py", "--run", "a/b", "--host", "::1", "--port", "81"]
    monkeypatch.setattr(sys, "argv", words)
    module.tyro.cli(module.main)
    assert served["app"] == f"app of tagger of run in {Path('a/b')}"
    assert (served["host"], served["port"]) == ("::1", 81)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "not JSON such as"),
        (b"{", 400, "not JSON such as"),
        (b"\xff\xfe", 400, "not JSON such as"),
        (b"[" * 50_000, 400, "not JSON such as"),
        (rb'{"sentences": ["\ud800"]}', 400, "not JSON such as"),
        (b"[]", 400, "not JSON such as"),
        (b'{"sentence": ["a"]}', 400, "not JSON such as"),
        (b'{"sentences": "a b"}', 422, "not a list of strings"),
        (b'{"sentences": [1]}', 422, "not a list of strings"),
        (b'{"sentences": []}', 422, "Got 0 sentences"),
        (json.dumps({"sentences": ["a"] * 65}).encode(), 422, "Got 65 sentences"),
        (b'{"sentences": ["a", " "]}', 422, "Sentence 1 has 0 words"),
        (json.dumps({"sentences": ["a " * 129]}).encode(), 422, "Sentence 0 has 129 words"),
        (json.dumps({"sentences": ["a" * 101]}).encode(), 422, "a word of 101 letters"),
        (b" " * (64 * 1024 + 1), 413, "over 65,536 bytes"),
    ],
)
def test_body_that_cannot_be_read_gets_a_sentence(address, body, status, words):
    reply = httpx.post(f"{address}/tag", content=body)
    assert reply.status_code == status
    assert words in reply.json()["error"]


def test_largest_request_is_served(address):
    longest = " ".join(["a" * 100, *"b" * 127])
    reply = httpx.post(f"{address}/tag", json={"sentences": [longest, *"c" * 63]})
    assert [len(tags) for tags in reply.json()["tags"]] == [128, *[1] * 63]


def test_connection_of_a_body_that_is_too_large_is_closed(address):
    reply = httpx.post(f"{address}/tag", content=b" " * (64 * 1024 + 1))
    assert reply.headers["Connection"] == "close"


def test_endless_body_is_refused_before_its_end(address):
    sent = 0

    def endless():
        nonlocal sent
        for _ in range(10_000):
            sent += 1
            yield b" " * 65_536

    with contextlib.suppress(httpx.WriteError):  # the reply may come while the rest is written
        assert httpx.post(f"{address}/tag", content=endless()).status_code == 413
    assert sent < 1000


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/tag", 405), ("GET", "/x", 404)])
def test_other_requests_are_refused(address, method, path, status):
    reply = httpx.request(method, f"{address}{path}")
    assert reply.status_code == status and reply.json()["error"]


def test_failure_of_the_model_is_an_error_of_its_requests_only(module):
    def tag(rows):
        if ["fail"] in rows:
            raise FloatingPointError
        return [["X"] * len(row) for row in rows]

    with serving(module.make_app(tag)) as address:
        for word, status in [("fail", 500), ("go", 200)]:
            reply = httpx.post(f"{address}/tag", json={"sentences": [word]})
            assert reply.status_code == status


def test_client_that_goes_leaves_the_others_their_answers(module):
    computes, go = threading.Event(), threading.Event()

    def tag(rows):
        computes.set()
        go.wait(30)
        return [[word.upper() for word in row] for row in rows]

    async def ask():
        batcher = module.Batcher(tag)
        worker = asyncio.create_task(batcher.run())
        gone = asyncio.create_task(batcher.submit([["a"]]))
        await asyncio.to_thread(computes.wait, 30)
        gone.cancel()
        await asyncio.wait([gone])
        go.set()
        answer = await asyncio.wait_for(batcher.submit([["b"]]), 10)
        worker.cancel()
        return answer

    assert asyncio.run(ask()) == [["B"]]


def test_server_that_stops_leaves_no_task(module):
    async def count():
        app = module.make_app(lambda rows: [[] for _ in rows])
        async with app.router.lifespan_context(app):
            during = len(asyncio.all_tasks())
        await asyncio.sleep(0)
        return during, len(asyncio.all_tasks())

    assert asyncio.run(count()) == (2, 1)


def test_more_than_can_wait_is_told_to_come_again(module):
    computes, go = threading.Event(), threading.Event()

    def tag(rows):
        if rows[0][0] != "word":  # as in the sentences of the warming up
            computes.set()
            go.wait(30)
        return [["X"] * len(row) for row in rows]

    def ask(number):
        body = {"sentences": [f"a{number}"]}
        replies.append(httpx.post(f"{address}/tag", json=body, timeout=30))

    with serving(module.make_app(tag, waiting=2)) as address:
        replies = []
        threads = [threading.Thread(target=ask, args=(i,)) for i in range(6)]
        threads[0].start()
        assert computes.wait(30)
        for thread in threads[1:]:
            thread.start()
        while len(replies) < 3:
            time.sleep(0.01)
        assert {reply.status_code for reply in replies} == {503}
        go.set()
        for thread in threads:
            thread.join()
    assert sorted(reply.status_code for reply in replies) == [200] * 3 + [503] * 3
    assert "busy" in replies[0].json()["error"] and replies[0].headers["Retry-After"] == "1"
