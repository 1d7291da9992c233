"""Presidio's analyzer with its default pattern recognisers and no language model. Runs on the peer's own Python."""

import time
from typing import Any

from harness.turns import serve
from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
from presidio_analyzer.nlp_engine import NlpArtifacts, NlpEngine
from presidio_analyzer.predefined_recognizers import SpacyRecognizer

# Phones have a score of 0.4 of their own, so a threshold of 0.5 would drop them all.
_THRESHOLD = 0.4


class _NoModel(NlpEngine):
    """Split into words as a blank spaCy pipeline does, and know nothing of language."""

    def __init__(self) -> None:
        import spacy  # noqa: PLC0415 - a class of its own is what needs it

        self._blank = spacy.blank("en")
        self.engine_name = "blank"

    def load(self) -> None:
        """Do nothing: it is loaded."""

    def is_loaded(self) -> bool:
        """Tell that it is loaded."""
        return True

    def process_text(self, text: str, language: str) -> NlpArtifacts:
        """Split into words."""
        document = self._blank(text)
        offsets = [token.idx for token in document]
        return NlpArtifacts([], document, offsets, [token.text.lower() for token in document], self, language)

    def process_batch(self, texts: Any, language: str, **_: Any) -> Any:
        """Split each into words."""
        for text in texts:
            yield text, self.process_text(text, language)

    def is_stopword(self, word: str, language: str) -> bool:  # noqa: ARG002 - the engine's interface
        """Tell stop words."""
        return bool(self._blank.vocab[word].is_stop)

    def is_punct(self, word: str, language: str) -> bool:  # noqa: ARG002 - the engine's interface
        """Tell punctuation."""
        return bool(self._blank.vocab[word].is_punct)

    def get_supported_entities(self) -> list[str]:
        """Give what the model names: nothing."""
        return []

    def get_supported_languages(self) -> list[str]:
        """Give the languages."""
        return ["en"]


def _analyzer() -> AnalyzerEngine:
    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    registry.recognizers = [each for each in registry.recognizers if not isinstance(each, SpacyRecognizer)]
    return AnalyzerEngine(registry=registry, nlp_engine=_NoModel(), supported_languages=["en"])


def main() -> None:
    """Answer."""
    analyzer = _analyzer()

    def find(text: str) -> dict[str, Any]:
        found = analyzer.analyze(text, language="en", score_threshold=_THRESHOLD)
        return {"spans": [[each.start, each.end, each.entity_type] for each in found]}

    def speed(texts: list[str], seconds: float) -> dict[str, Any]:
        for text in texts:
            find(text)
        laps: list[float] = []
        started = time.process_time()
        while time.process_time() - started < seconds:
            before = time.process_time()
            for text in texts:
                find(text)
            laps.append((time.process_time() - before) / len(texts))
        return {"seconds": laps, "recognizers": len(analyzer.registry.recognizers)}

    serve({"find": find, "speed": speed})


if __name__ == "__main__":
    main()
