"""`python -m pipelines serve`: a local page and JSON API over an index."""

from __future__ import annotations

import argparse

from curation.errors import ConfigError
from pipelines.commands.search import open_searcher
from pipelines.terminal import say


def main(arguments: argparse.Namespace) -> int:
    """Run the command until it is interrupted."""
    from pipelines.search_server import SearchServer

    searcher = open_searcher(arguments)
    try:
        server = SearchServer((arguments.host, arguments.port), searcher)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cannot listen on --host {arguments.host} --port {arguments.port}: {error}"
        ) from error
    host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
    with server:
        say(f"serve: http://{host}:{server.server_address[1]}/ (Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("serve: ended")
    return 0
