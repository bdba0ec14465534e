"""The captioner: grid memory, one recurrent cell with attention, and word scores.

The cell is an LSTM whose input gate is one minus its forget gate (Greff et al. 2015, "coupled gates"): three
gates instead of four, and a cell state that stays within -1..1. What the encoder graph can compute once a
picture (attention keys and values, the first state) is kept apart from what a step computes.
"""

from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import torch
from torch import nn

from efficientnet_lite import GRID_CHANNELS, LiteEncoder
from encoder import IMAGE_SIZE, CompositeEncoder, Encoder
from pp_lcnet import LcnetEncoder
from vocabulary import END, PAD, START, UNKNOWN

ENCODERS: dict[str, type[Encoder]] = {"efficientnet-lite0": LiteEncoder, "pp-lcnetv2": LcnetEncoder, "composite": CompositeEncoder}


@dataclass(frozen=True)
class DecoderShape:
    """Sizes of the decoder; `key` and `value` are channels of one attention head, values lie in 0..value_limit."""

    vocabulary: int
    embedding: int = 256
    hidden: int = 512
    heads: int = 8
    key: int = 32
    value: int = 64
    grid: int = GRID_CHANNELS
    value_limit: float = 1.0

    @property
    def keys(self) -> int:
        return self.heads * self.key

    @property
    def values(self) -> int:
        return self.heads * self.value


class Memory(NamedTuple):
    """What a step reads of the picture: keys (P, heads, key, cells), values (P, heads, cells, value)."""

    keys: torch.Tensor
    values: torch.Tensor


class State(NamedTuple):
    """Recurrent state of C captions a photo: hidden (P, C, H), cell (P, C, H)."""

    hidden: torch.Tensor
    cell: torch.Tensor


class Decoder(nn.Module):
    """Grid (P, cells, channels) and words to word scores."""

    def __init__(self, shape: DecoderShape, dropout: float = 0.3):
        super().__init__()
        self.shape = shape
        self.memory = nn.Linear(shape.grid, shape.keys + shape.values)
        self.first_state = nn.Linear(shape.values, 2 * shape.hidden)
        self.embedding = nn.Embedding(shape.vocabulary, shape.embedding)
        self.word_mix = nn.Linear(shape.embedding, shape.keys + 3 * shape.hidden)
        self.hidden_mix = nn.Linear(shape.hidden, shape.keys + 3 * shape.hidden, bias=False)
        self.context_mix = nn.Linear(shape.values, 3 * shape.hidden, bias=False)
        self.output = nn.Linear(shape.hidden + shape.values, shape.embedding)
        self.score_bias = nn.Parameter(torch.zeros(shape.vocabulary))
        self.dropout = nn.Dropout(dropout)
        self.grid_dropout = nn.Dropout(0.0)
        nn.init.normal_(self.embedding.weight, std=shape.embedding**-0.5)
        nn.init.constant_(self.word_mix.bias[shape.keys : shape.keys + shape.hidden], 1.0)

    def read_grid(self, grid: torch.Tensor) -> tuple[Memory, State]:
        """Memory and first state of grids (P, cells, channels)."""
        shape = self.shape
        mixed = self.memory(self._thinned(grid))
        keys, values = mixed.split([shape.keys, shape.values], dim=-1)
        values = values.clamp(0, shape.value_limit)
        first = torch.tanh(self.first_state(values.mean(dim=1, keepdim=True)))
        hidden, cell = first.float().split(shape.hidden, dim=-1)
        keys = keys.unflatten(-1, (shape.heads, shape.key)).permute(0, 2, 3, 1)
        values = self.dropout(values).unflatten(-1, (shape.heads, shape.value)).transpose(1, 2)
        return Memory(keys.contiguous(), values.contiguous()), State(hidden, cell)

    def _thinned(self, grid: torch.Tensor) -> torch.Tensor:
        """In training, the same channels of all cells of a photo put to zero."""
        if not (self.training and self.grid_dropout.p):
            return grid
        return grid * self.grid_dropout(torch.ones_like(grid[:, :1]))

    def mix_words(self, tokens: torch.Tensor) -> torch.Tensor:
        """What the words alone give to query and gates: (..., keys + 3 H)."""
        return self.word_mix(self.dropout(self.embedding(tokens)))

    def advance(self, mixed_words: torch.Tensor, memory: Memory, state: State) -> tuple[torch.Tensor, State]:
        """One step from mixed words (P, C, keys + 3 H): the context read (P, C, values) and the next state."""
        shape = self.shape
        mixed = mixed_words + self.hidden_mix(state.hidden)
        query, gates = mixed.split([shape.keys, 3 * shape.hidden], dim=-1)
        query = query.unflatten(-1, (shape.heads, shape.key)).transpose(1, 2)
        attention = (query @ memory.keys).float().mul(shape.key**-0.5).softmax(dim=-1)
        context = (attention.to(memory.values.dtype) @ memory.values).transpose(1, 2).flatten(2)
        forget, update, emit = (gates + self.context_mix(context)).float().chunk(3, dim=-1)
        forget = torch.sigmoid(forget)
        cell = forget * state.cell + (1 - forget) * torch.tanh(update)
        return context, State(torch.sigmoid(emit) * torch.tanh(cell), cell)

    def score(self, hidden: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Word scores (..., V)."""
        seen = torch.tanh(self.output(self.dropout(torch.cat([hidden.to(context.dtype), context], dim=-1))))
        return nn.functional.linear(self.dropout(seen), self.embedding.weight, self.score_bias)

    def follow(self, grid: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states (P, C, T, H) and contexts (P, C, T, values) of grids (P, cells, channels) and teacher's words (P, C, T)."""
        memory, state = self.read_grid(grid)
        state = State(*(part.expand(-1, tokens.shape[1], -1) for part in state))
        hiddens, contexts = [], []
        for mixed in self.mix_words(tokens).unbind(dim=2):
            context, state = self.advance(mixed, memory, state)
            hiddens.append(state.hidden)
            contexts.append(context)
        return torch.stack(hiddens, dim=2), torch.stack(contexts, dim=2)

    def forward(self, grid: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Scores (P, C, T, V) after each of the teacher's words."""
        return self.score(*self.follow(grid, tokens))

    def score_wanted(self, grid: torch.Tensor, tokens: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Scores (N, V) after the N words that `wanted` (P, C, T) marks; the others cost nothing."""
        hidden, context = self.follow(grid, tokens)
        return self.score(hidden[wanted], context[wanted])

    @torch.no_grad()
    def generate(self, grid: torch.Tensor, length: int, samples: int = 0, temperature: float = 1.0) -> torch.Tensor:
        """Tokens (P, C, length) after start, padded after end: the greedy caption, or `samples` drawn ones."""
        count = max(samples, 1)
        memory, state = self.read_grid(grid)
        state = State(*(part.expand(-1, count, -1) for part in state))
        tokens = torch.full((len(grid), count, length + 1), PAD, device=grid.device)
        tokens[..., 0] = START
        finished = torch.zeros(len(grid), count, dtype=torch.bool, device=grid.device)
        for step in range(length):
            context, state = self.advance(self.mix_words(tokens[..., step]), memory, state)
            scores = self.score(state.hidden, context).float()
            scores[..., [PAD, START, UNKNOWN]] = -torch.inf
            chosen = draw(scores / temperature) if samples else scores.argmax(dim=-1)
            tokens[..., step + 1] = torch.where(finished, PAD, chosen)
            finished |= chosen == END
            if finished.all():
                break
        return tokens[..., 1:]


def draw(scores: torch.Tensor) -> torch.Tensor:
    """One token for each row of scores (P, C, V), by its probability."""
    reached = scores.softmax(dim=-1).cumsum(dim=-1)
    place = torch.rand(*scores.shape[:2], 1, device=scores.device) * reached[..., -1:]
    return torch.searchsorted(reached, place, right=True).squeeze(-1).clamp(max=scores.shape[-1] - 1)


def as_read(tokens: torch.Tensor) -> torch.Tensor:
    """What the decoder reads before it says each of the tokens (..., T)."""
    return torch.cat([torch.full_like(tokens[..., :1], START), tokens[..., :-1]], dim=-1)


class Captioner(nn.Module):
    """Encoder and decoder together; the grid's channels tell which encoder."""

    def __init__(self, shape: DecoderShape, image_size: int = IMAGE_SIZE):
        super().__init__()
        network = next(network for network in ENCODERS.values() if network.channels == shape.grid)
        self.encoder = network(image_size).to(memory_format=torch.channels_last)
        self.decoder = Decoder(shape)

    def grid(self, pixels: torch.Tensor) -> torch.Tensor:
        """Grid (N, cells, channels) of pixels (N, 3, S, S)."""
        return self.encoder(pixels).flatten(2).transpose(1, 2)

    def describe(self) -> dict:
        """What a checkpoint needs to build the same model."""
        return asdict(self.decoder.shape)


def with_encoder(model: Captioner, network: str) -> Captioner:
    """The decoder of a model behind another encoder, new from ImageNet; what reads its grid starts anew."""
    shape = replace(model.decoder.shape, grid=ENCODERS[network].channels)
    other = Captioner(shape, model.encoder.image_size)
    other.encoder.load_pretrained()
    kept = {name: weight for name, weight in model.decoder.state_dict().items() if not name.startswith("memory.")}
    other.decoder.load_state_dict(kept, strict=False)
    return other


@torch.no_grad()
def average_towards(mean: Captioner, model: Captioner, decay: float) -> None:
    """Move a running average of weights on by those of the model."""
    for averaged, weight in zip(mean.parameters(), model.parameters()):
        averaged.lerp_(weight, 1 - decay)
