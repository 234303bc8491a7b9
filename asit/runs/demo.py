"""A page on this machine on which a model hears what is dropped there or recorded.

The page posts the content of one audio file; the answer is a stream of lines, each a JSON object with one finding, so
that the page shows each as it is ready. ``pages/demo.js`` draws them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asit
from asit.config import REQUIRED, Options, option
from asit.errors import AsitError, excerpt
from asit.features.picture import data_uri, png
from asit.io.any_audio import readable
from asit.io.audio import audio_info, range_problem, read_audio
from asit.io.channels import MIX
from asit.runs.model import Model
from asit.runs.plots import figure_of
from asit.tasks.decoding import DecodingSettings
from asit.train.distributed import pick_device

HOST = "127.0.0.1"  # what is said into a microphone is nobody else's business
MOST_BYTES = 64 * 2**20  # of a file
MOST_SECONDS = 300  # of a recording
TOP = 5  # classes in the table
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Settings(Options):
    """Serve a page, to this machine alone, on which a model hears audio that is dropped there or recorded."""

    model: str = option(REQUIRED, "model.safetensors, backbone.safetensors or asit-tiny")
    port: int = option(8013, "port of 127.0.0.1; 0: any that is free", least=0, most=65535)
    ngpu: int | None = option(0, "GPUs to use; 0: CPU")


def server(settings: Settings) -> Any:
    """The page's server, bound but not running yet: ``effective_port``, ``run()``, ``close()``.

    Raises:
        AsitError: from the model file; packages that are missing; a port that is taken.
    """
    try:
        import flask  # noqa: F401  # said before the model is read
        import waitress
    except ModuleNotFoundError as error:
        raise AsitError(
            f"asit-demo takes flask and waitress, and {error.name} is not installed; pip install flask waitress"
        ) from None
    app = application(Model(settings.model, pick_device(settings.ngpu)))
    try:
        # Threads for all connections that a browser opens at once: the page comes while the model is at work.
        return waitress.create_server(
            app, host=HOST, port=settings.port, threads=8, max_request_body_size=MOST_BYTES, ident="asit-demo"
        )
    except OSError as error:
        raise AsitError(
            f"port {settings.port}: {error.strerror}; give another --port, or 0 for any that is free"
        ) from None


def application(model: Model) -> Any:
    """The page as a WSGI application. It answers to names of this machine and to its own page alone."""
    from flask import Flask, Response, abort, render_template, request
    from werkzeug.exceptions import HTTPException

    pages = Path(__file__).parent / "pages"
    app = Flask("asit-demo", static_folder=pages, static_url_path="/static", template_folder=pages)
    at_work = threading.Lock()  # a picture of attention hooks into the one network
    app.config["TRUSTED_HOSTS"] = [HOST, "localhost"]  # else a name elsewhere that leads here could read the answers

    @app.before_request
    def refuse_others() -> None:
        own = request.host_url.rstrip("/")
        if request.headers.get("Origin", own) != own:
            abort(403, "this request comes from another page")

    @app.errorhandler(HTTPException)
    def plain(error: HTTPException) -> tuple[str, int, dict[str, str]]:
        return str(error.description), error.code or 500, {"Content-Type": "text/plain; charset=utf-8"}

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    @app.get("/")
    def page() -> str:
        return render_template(
            "demo.html",
            model=model,
            kind=_kind(model),
            bytes=MOST_BYTES,
            seconds=MOST_SECONDS,
            version=asit.__version__,
        )

    @app.post("/hear")
    def hear() -> Response:
        name = excerpt(request.args.get("name", "") or "recording", 200)
        return Response(lines(request.get_data(), name), mimetype="application/x-ndjson")

    def lines(data: bytes, name: str) -> Iterator[str]:
        with at_work:
            for found in findings(model, data, name):
                yield json.dumps(found, ensure_ascii=False) + "\n"

    return app


def findings(model: Model, data: bytes, name: str) -> Iterator[dict[str, Any]]:
    """What a model makes of the content of an audio file, one thing at a time under its name.

    ``note`` and ``error``, a line each; ``transcript``; ``events``, (start, end, class, probability); ``classes``,
    (class, probability) of all of it; ``picture``,
    a PNG's address and what it shows. What cannot be read, or is too long, gives one error and nothing else.
    """
    try:
        data = readable(name, data)
        samples, rate, channels = audio_info(name, data=data)
        if samples > MOST_SECONDS * rate:
            raise AsitError(f"{name}: expected at most {MOST_SECONDS} s, found {samples / rate:.0f} s; cut it")
        wave, _ = read_audio(name, model.sample_rate, resample=True, channel=model.channel, data=data)
        feats = model.features_of_wave(wave, name)
    except AsitError as error:
        yield {"error": str(error)}
        return
    taken = "the mean" if model.channel == MIX else f"number {model.channel}"
    mixed = f", {taken} of {channels} channels" if channels > 1 else ""
    converted = f", converted to the model's {model.sample_rate} Hz" if rate != model.sample_rate else ""
    yield {"note": f"{name}: {samples / rate:.2f} s at {rate} Hz{converted}{mixed}"}
    problem = range_problem(wave)
    if problem:
        yield {"error": f"{name}: {problem}"}
    over_time: list[str] = []
    if model.learned_from == "text":
        yield {"transcript": model.transcripts([feats], model.decoder(DecodingSettings()))[0]}
    elif model.learned_from == "events":
        yield {"events": model.events_of([feats])[0]}
    elif model.labels:
        yield {"classes": model.classify_features([feats], TOP)[0]}
        over_time = ["classes"]
    else:
        over_time = ["reconstruction"]
    for what in (*over_time, "attention"):
        try:
            figure = figure_of(model, feats, what, name)
        except AsitError as error:  # a head of pretraining that is not there any more: the rest is
            yield {"error": str(error)}
            continue
        yield {"picture": {"shows": f"{what} of {name}", "address": data_uri(png(figure))}}


def _kind(model: Model) -> str:
    """What the model is and does."""
    if model.learned_from == "text":
        return "writes down what is said"
    if model.learned_from == "events":
        return f"says when it hears {len(model.labels)} classes: {excerpt(', '.join(model.labels), 200)}"
    if model.labels:
        return f"tells {len(model.labels)} classes apart: {excerpt(', '.join(model.labels), 200)}"
    return "a pretrained backbone: it fills in what is masked, and has no classes"
