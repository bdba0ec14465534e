"""What a drawn caption is worth in self-critical training."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from bleu import Bleu
from cider import CiderD
from objects import TRACE, classes_named
from photos import Photo
from repetition import said_twice
from vocabulary import END, PAD, Vocabulary

CLEAR = 0.6
SCORED_PHOTOS = 1000


class ObjectReward:
    """What naming the objects of a photo is worth, and what naming others costs."""

    def __init__(self, photos: list[Photo], objects: dict[str, dict[str, float]], worth: float, cost: float):
        self.worth, self.cost = worth, cost
        self.clear, self.allowed = [], []
        for photo in photos:
            seen = objects.get(photo.path.name, {})
            self.clear.append({name for name, score in seen.items() if score > CLEAR})
            named = set().union(*map(classes_named, photo.captions))
            self.allowed.append(named | {name for name, score in seen.items() if score >= TRACE})

    def score(self, photo: int, caption: str) -> float:
        """Half the worth for people alone where there is more to name; the cost taken off for each thing without a trace."""
        named, clear = classes_named(caption), self.clear[photo]
        right = 1.0 if named & (clear - {"person"}) or clear == {"person"} & named else 0.5 * bool(named & clear)
        return self.worth * right - self.cost * len(named - self.allowed[photo])


class RepeatCost:
    """What saying the same thing twice costs: "a man is riding a bike on a bike"."""

    def __init__(self, photos: list[Photo], cost: float):
        self.cost = cost
        self.allowed = [set().union(*map(said_twice, photo.captions)) for photo in photos]

    def score(self, photo: int, caption: str) -> float:
        """The cost, taken off for each word that stands twice and that no human caption of the photo says twice."""
        return -self.cost * len(said_twice(caption) - self.allowed[photo])


Scene = tuple[float, list[str]]


def read_scenes(path: Path, count: int) -> dict[str, list[Scene]]:
    """By file name, likeness and captions of the `count` likest scenes of each photo that `scenes.py` wrote."""
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {row["file"]: [(scene["likeness"], scene["captions"]) for scene in row["scenes"][:count]] for row in rows}


def encode_all(captions: Sequence[str], vocabulary: Vocabulary) -> list[list[int]]:
    """Tokens of captions, each with its end token."""
    return [[*vocabulary.encode(caption), END] for caption in captions]


def open_scorer(photos: list[Photo], vocabulary: Vocabulary) -> CiderD:
    """CIDEr-D against the human captions of photos, with document frequencies as of `SCORED_PHOTOS`."""
    references = [encode_all(photo.captions, vocabulary) for photo in photos]
    return CiderD(references, rarest=max(len(photos) / SCORED_PHOTOS, 1.0))


def open_scene_scorer(photos: list[Photo], scenes: dict[str, list[Scene]], own: CiderD, vocabulary: Vocabulary) -> CiderD:
    """CIDEr-D against what people say of scenes like each photo, weighted by likeness; document frequencies are the photos' own."""
    captions = [[(likeness, text) for likeness, texts in scenes.get(photo.path.name, []) for text in texts] for photo in photos]
    references = [encode_all([text for _, text in each], vocabulary) for each in captions]
    return CiderD(references, own.frequency, own.rarest, [[likeness for likeness, _ in each] for each in captions])


class Reward:
    """What a drawn caption is worth: CIDEr-D against the human captions, end token and all, and any of four terms beside it.

    They are BLEU-4 times a worth, CIDEr-D against what is said of like scenes times another, what the objects named are worth, and
    what words said twice cost.

    Each folder has document frequencies of its own, those of so many photos as models are scored on: among more, rare
    n-grams would weigh more than they do there.
    """

    def __init__(
        self,
        folders: list[list[Photo]],
        vocabulary: Vocabulary,
        bleu: float,
        scene_worth: float,
        scenes: dict[str, list[Scene]],
        terms: list[ObjectReward | RepeatCost],
    ):
        self.vocabulary = vocabulary
        self.bleu_worth = bleu
        self.bleu = Bleu([encode_all(photo.captions, vocabulary) for photos in folders for photo in photos])
        self.scorers = [open_scorer(photos, vocabulary) for photos in folders]
        self.scene_worth = scene_worth if scenes else 0.0
        self.scene_scorers = [open_scene_scorer(photos, scenes, own, vocabulary) for photos, own in zip(folders, self.scorers)]
        self.places = [(place, index) for place, photos in enumerate(folders) for index in range(len(photos))]
        self.terms = terms

    def score(self, indices: list[int], tokens: torch.Tensor) -> torch.Tensor:
        """Rewards (P, C) of tokens (P, C, T)."""
        rows = [[self._score_one(photo, row) for row in rows] for photo, rows in zip(indices, tokens.tolist())]
        return torch.tensor(rows, device=tokens.device)

    def _score_one(self, photo: int, row: list[int]) -> float:
        place, index = self.places[photo]
        tokens = [token for token in row if token != PAD]
        reward = self.scorers[place].score(index, tokens)
        if self.bleu_worth:
            reward += self.bleu_worth * self.bleu.score(photo, tokens)
        if self.scene_worth:
            reward += self.scene_worth * self.scene_scorers[place].score(index, tokens)
        if self.terms:
            caption = self.vocabulary.decode(row)
            reward += sum(term.score(photo, caption) for term in self.terms)
        return reward


def advantage(rewards: torch.Tensor) -> torch.Tensor:
    """Each reward (P, C) less the mean of its photo's other captions."""
    count = rewards.shape[1]
    return (rewards - rewards.mean(dim=1, keepdim=True)) * count / (count - 1)
