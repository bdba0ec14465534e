"""What a photo shows, as a second thing for the encoder to learn: objects a detector saw, and words of the captions.

Each cell of the grid says how sure it is of each tag; a photo's answer is the softest maximum over its cells, so that one
cell is enough (multiple-instance learning, as in Fang et al. 2015, "From captions to visual concepts and back").
"""

from collections import Counter

import torch
from torch import nn

from objects import CLASSES
from photos import Photo
from vocabulary import split_words

TAGGED_WORDS = 500
STOP_WORDS = frozenset("a an the in on of and with is are to at his her its their by for while from as it that there he she they this "
                       "one two three four several some other another each being has have be up out down over into through".split())  # fmt: skip


class Tags:
    """Wanted tags of the training photos, (photos, tags) of 0 to 1: 80 classes, then the commonest words."""

    def __init__(self, photos: list[Photo], objects: dict[str, dict[str, float]]):
        counts = [Counter(word for caption in photo.captions for word in set(split_words(caption))) for photo in photos]
        common = Counter(word for count in counts for word in count if word not in STOP_WORDS)
        self.words = [word for word, _ in common.most_common(TAGGED_WORDS)]
        rows = [self._row(count, objects.get(photo.path.name, {})) for photo, count in zip(photos, counts)]
        self.wanted = torch.tensor(rows)

    def _row(self, counts: Counter, seen: dict[str, float]) -> list[float]:
        """Detector's scores, and 1 for words that two captions have, 0.5 for those of one."""
        return [seen.get(name, 0.0) for name in CLASSES] + [min(counts[word] / 2, 1.0) for word in self.words]


class TagHead(nn.Module):
    """Grid (P, cells, channels) to tag scores (P, tags), and how far they are from those wanted."""

    SHARPNESS = 4.0

    def __init__(self, channels: int, tags: int):
        super().__init__()
        self.scores = nn.Linear(channels, tags)
        nn.init.constant_(self.scores.bias, -4.0)

    def forward(self, grid: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Binary cross entropy, summed over tags and averaged over photos."""
        cells = self.scores(grid).float()
        photos = torch.logsumexp(cells * self.SHARPNESS, dim=1) / self.SHARPNESS
        return nn.functional.binary_cross_entropy_with_logits(photos, wanted, reduction="sum") / len(wanted)
