"""What a drawn caption is worth in self-critical training."""

import torch

from cider import CiderD
from objects import TRACE, classes_named
from photos import Photo
from vocabulary import END, PAD, Vocabulary

CLEAR = 0.6


class ObjectReward:
    """What naming the objects of a photo is worth."""

    def __init__(self, photos: list[Photo], objects: dict[str, dict[str, float]], worth: float):
        self.worth = worth
        self.clear, self.allowed = [], []
        for photo in photos:
            seen = objects.get(photo.path.name, {})
            self.clear.append({name for name, score in seen.items() if score > CLEAR})
            named = set().union(*map(classes_named, photo.captions))
            self.allowed.append(named | {name for name, score in seen.items() if score >= TRACE})

    def score(self, photo: int, caption: str) -> float:
        """Half the worth for people alone where there is more to name; the whole taken off for each thing without a trace."""
        named, clear = classes_named(caption), self.clear[photo]
        right = 1.0 if named & (clear - {"person"}) or clear == {"person"} & named else 0.5 * bool(named & clear)
        return self.worth * (right - len(named - self.allowed[photo]))


class Reward:
    """CIDEr-D of sampled tokens against the human captions, end token and all, and what the objects named are worth."""

    def __init__(self, photos: list[Photo], vocabulary: Vocabulary, objects: ObjectReward | None):
        self.vocabulary = vocabulary
        self.cider = CiderD([[[*vocabulary.encode(caption), END] for caption in photo.captions] for photo in photos])
        self.objects = objects

    def score(self, indices: list[int], tokens: torch.Tensor) -> torch.Tensor:
        """Rewards (P, C) of tokens (P, C, T)."""
        rows = [[self._score_one(photo, row) for row in rows] for photo, rows in zip(indices, tokens.tolist())]
        return torch.tensor(rows, device=tokens.device)

    def _score_one(self, photo: int, row: list[int]) -> float:
        reward = self.cider.score(photo, [token for token in row if token != PAD])
        if self.objects:
            reward += self.objects.score(photo, self.vocabulary.decode(row))
        return reward


def advantage(rewards: torch.Tensor) -> torch.Tensor:
    """Each reward (P, C) less the mean of its photo's other captions."""
    count = rewards.shape[1]
    return (rewards - rewards.mean(dim=1, keepdim=True)) * count / (count - 1)
