"""Words of captions and their token ids."""

import re
from collections import Counter
from collections.abc import Iterable

PAD, START, END, UNKNOWN = range(4)
SPECIAL_WORDS = ("<pad>", "<start>", "<end>", "<unk>")
WORD = re.compile(r"[a-z0-9]+(?:['-][a-z0-9]+)*")


def split_words(caption: str) -> list[str]:
    """Lower-cased words of a caption; punctuation goes, in-word apostrophes and hyphens stay."""
    return WORD.findall(caption.lower().replace("’", "'").replace(" '", "'"))


class Vocabulary:
    """A fixed list of words; a word's index is its token id."""

    def __init__(self, words: list[str]):
        self.words = words
        self.ids = {word: index for index, word in enumerate(words)}

    @classmethod
    def from_captions(cls, captions: Iterable[str], minimum_count: int) -> "Vocabulary":
        """Words seen at least `minimum_count` times, most frequent first."""
        counts = Counter(word for caption in captions for word in split_words(caption))
        kept = [word for word, count in counts.items() if count >= minimum_count]
        return cls([*SPECIAL_WORDS, *sorted(kept, key=lambda word: (-counts[word], word))])

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, caption: str) -> list[int]:
        """Token ids of a caption, without start and end."""
        return [self.ids.get(word, UNKNOWN) for word in split_words(caption)]

    def decode(self, tokens: Iterable[int]) -> str:
        """Words up to the end token, joined by single spaces."""
        words = []
        for token in tokens:
            if token == END:
                break
            if token not in (PAD, START):
                words.append(self.words[token])
        return " ".join(words)
