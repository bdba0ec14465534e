"""CIDEr-D over token ids, fast enough to be a training reward."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

LONGEST = 4
SIGMA = 6.0

Tokens = Sequence[int]


def ngrams(tokens: Sequence, size: int) -> Iterator[tuple]:
    """The n-grams of one size, in their order."""
    return (tuple(tokens[first : first + size]) for first in range(len(tokens) - size + 1))


def count_ngrams(tokens: Tokens) -> Counter:
    """Every n-gram of 1 to 4 tokens."""
    return Counter(ngram for size in range(1, LONGEST + 1) for ngram in ngrams(tokens, size))


class CiderD:
    """CIDEr-D against the references of a fixed set of photos, whose own n-grams give the document frequencies.

    `rarest` is the least document frequency: N-grams of fewer photos weigh no more than those of so many. `shares` are the
    references' weights in a score, all alike if not given.
    """

    def __init__(
        self,
        references: list[list[Tokens]],
        document_frequency: Counter | None = None,
        rarest: float = 1.0,
        shares: list[list[float]] | None = None,
    ):
        self.rarest = rarest
        counts = [[count_ngrams(reference) for reference in photo] for photo in references]
        self.frequency = document_frequency or Counter(
            ngram for photo in counts for ngram in set().union(*photo)
        )
        self.log_photos = math.log(len(references))
        self.references = [[self._weigh(counted) for counted in photo] for photo in counts]
        self.shares = shares or [[1.0] * len(photo) for photo in references]

    def score(self, photo: int, tokens: Tokens) -> float:
        """Score of one caption, 0 to 10; 0 for a photo without references."""
        shares = self.shares[photo]
        if not shares:
            return 0.0
        vector, norms, length = self._weigh(count_ngrams(tokens))
        similarities = (self._similarity(vector, norms, length, *other) for other in self.references[photo])
        return 10 * sum(share * similarity for share, similarity in zip(shares, similarities)) / sum(shares)

    def _weigh(self, counts: Counter) -> tuple[dict, list[float], int]:
        """TF-IDF vector, its norm for each n-gram size, and the count of bigrams, which stands for the length."""
        vector = {
            ngram: count * (self.log_photos - math.log(max(self.rarest, self.frequency.get(ngram, 0))))
            for ngram, count in counts.items()
        }
        squares = [0.0] * LONGEST
        for ngram, weight in vector.items():
            squares[len(ngram) - 1] += weight * weight
        bigrams = sum(count for ngram, count in counts.items() if len(ngram) == 2)
        return vector, [math.sqrt(square) for square in squares], bigrams

    @staticmethod
    def _similarity(vector, norms, length, reference, reference_norms, reference_length) -> float:
        products = [0.0] * LONGEST
        for ngram, weight in vector.items():
            other = reference.get(ngram)
            if other is not None:
                products[len(ngram) - 1] += min(weight, other) * other
        penalty = math.exp(-((length - reference_length) ** 2) / (2 * SIGMA**2))
        cosines = (
            product / (norm * other) if norm and other else 0.0
            for product, norm, other in zip(products, norms, reference_norms)
        )
        return penalty * sum(cosines) / LONGEST
