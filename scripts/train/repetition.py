"""Captions that say the same thing twice: "a man is riding a bike on a bike"."""

from collections import Counter

from vocabulary import split_words

# words that a good sentence may well say twice
FUNCTION_WORDS = frozenset(
    "a an another and are as at by for from her his in into is it its near of off on one or other out over some the their"
    " there three through to two up while with".split()
)


def said_twice(caption: str) -> set[str]:
    """The words that stand in a caption more than once, function words aside."""
    counts = Counter(split_words(caption))
    return {word for word, count in counts.items() if count > 1} - FUNCTION_WORDS
