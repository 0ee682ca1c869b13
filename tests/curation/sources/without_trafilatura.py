"""The child of `PageReader` where trafilatura's import fails, as it did with a broken lxml."""

import sys

sys.modules["lxml_html_clean"] = sys.modules["lxml"] = sys.modules["trafilatura"] = None  # type: ignore[assignment]

if __name__ == "__main__":
    from curation.sources import extraction, sandbox

    sandbox.serve(lambda: extraction._prepare(sys.argv[1]), float(sys.argv[2]))
