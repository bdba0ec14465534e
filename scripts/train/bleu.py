"""BLEU-4 of one caption over token ids, as a training reward."""

import math
from collections import Counter

from cider import LONGEST, Tokens, count_ngrams


class Bleu:
    """Sentence BLEU with one added to each count of n-grams longer than a word (Lin and Och 2004)."""

    def __init__(self, references: list[list[Tokens]]):
        self.lengths = [sorted({len(reference) for reference in photo}) for photo in references]
        self.most = [self._most_of_each(photo) for photo in references]

    @staticmethod
    def _most_of_each(photo: list[Tokens]) -> Counter:
        """The most often each n-gram stands in one reference."""
        most = Counter()
        for reference in photo:
            most |= count_ngrams(reference)
        return most

    def score(self, photo: int, tokens: Tokens) -> float:
        """Score of one caption, 0 to 1."""
        most, matched = self.most[photo], [0] * LONGEST
        for ngram, count in count_ngrams(tokens).items():
            matched[len(ngram) - 1] += min(count, most[ngram])
        if not matched[0]:
            return 0.0
        logs = math.log(matched[0] / len(tokens))
        for size in range(2, LONGEST + 1):
            logs += math.log((matched[size - 1] + 1) / (max(len(tokens) - size + 1, 0) + 1))
        closest = min(self.lengths[photo], key=lambda length: abs(length - len(tokens)))
        return math.exp(logs / LONGEST + min(0.0, 1 - closest / len(tokens)))
