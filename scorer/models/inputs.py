"""The first layer of every architecture: raw facts and reals to standardised inputs.

Features are kept raw, so that live and replayed values can be compared as integers. What a network
needs is made here, in float32, and its scaling is stored with the weights.

| input | made of |
|---|---|
| log1p(x) | each fact: counts, distincts, gaps in ms, flags |
| log1p(x / seconds) | each windowed fact: its rate per second over the window's length |
| log1p(rate of the shorter / rate of the longer) | neighbouring windows of one group; 0 where both are empty |
| x | each real of time (sine and cosine) |
| sign(x) · log1p(abs(x)) | each numeric profile column |

An input that is constant in the training rows is switched off (its gain is 0): nothing was learned
about it, so it must not move a probability. Others are cut at ±8 standard deviations.
"""  # noqa: E501  a table's row is one line

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from scorer.spec import SECOND, Counts, Distincts, Spec, Window

CUT = 8.0
TINY = 1e-20  # a variance below it is rounding


class Inputs(nn.Module):
    """Turns (F, B) int32 facts and (R, B) float32 reals into (B, W) float32 inputs.

    >>> from scorer.spec import load_spec
    >>> layer = Inputs(load_spec("default"))
    >>> layer.width
    57
    >>> facts = torch.ones(25, 3, dtype=torch.int32)
    >>> tuple(layer(facts, torch.zeros(5, 3)).shape)
    (3, 57)
    """

    mean: Tensor
    gain: Tensor
    rated: Tensor
    seconds: Tensor
    shorter: Tensor
    longer: Tensor
    quotient: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        rates, ratios = list(_rates(spec)), list(_ratios(spec))
        self.shape = (len(spec.facts), len(spec.reals))
        self.width = len(spec.facts) + len(rates) + len(ratios) + len(spec.reals)
        self.clicks = tuple(spec.facts.index(name) for c in spec.counts for name in c.names)
        self.times = len(spec.time.parts) if spec.time else 0
        self._constant("rated", [fact for fact, _ in rates], torch.int64)
        self._constant("seconds", [[length] for _, length in rates], torch.float32)
        self._constant("shorter", [short for short, _, _ in ratios], torch.int64)
        self._constant("longer", [long for _, long, _ in ratios], torch.int64)
        self._constant("quotient", [[quotient] for _, _, quotient in ratios], torch.float32)
        self.register_buffer("mean", torch.zeros(self.width, 1))
        self.register_buffer("gain", torch.ones(self.width, 1))

    def _constant(
        self, name: str, values: list[int] | list[list[float]], kind: torch.dtype
    ) -> None:
        shape = (len(values), 1) if kind is torch.float32 else (len(values),)
        self.register_buffer(
            name, torch.tensor(values, dtype=kind).reshape(shape), persistent=False
        )

    def forward(self, facts: Tensor, reals: Tensor) -> Tensor:
        """Return the standardised inputs of each click; (B, W)."""
        z = (self.raw(facts, reals) - self.mean) * self.gain  # (W, B)
        return z.clamp(-CUT, CUT).t().contiguous()  # (B, W)

    def raw(self, facts: Tensor, reals: Tensor) -> Tensor:
        """Return the inputs before scaling; (W, B)."""
        x = facts.to(torch.float32)  # (F, B)
        rates = x[self.rated] / self.seconds  # (rates, B)
        ratios = x[self.shorter] / x[self.longer].clamp(min=1) * self.quotient  # (ratios, B)
        logs = torch.log1p(torch.cat([x, rates, ratios]))  # (F + rates + ratios, B)
        profile = reals[self.times :]  # (R - times, B)
        profile = torch.sign(profile) * torch.log1p(profile.abs())
        return torch.cat([logs, reals[: self.times], profile])  # (W, B)

    @torch.no_grad()
    def fit(self, facts: Tensor, reals: Tensor, rows: int = 65_536) -> None:
        """Take mean and scale from (F, n) and (R, n), `rows` at a time, in float64."""
        n = facts.shape[1]
        total = torch.zeros(self.width, 1, dtype=torch.float64)
        squares, low, high = total.clone(), total + torch.inf, total - torch.inf
        pivot = self.raw(facts[:, :1], reals[:, :1]).double()  # (W, 1), against cancellation
        for at in range(0, n, rows):
            raw = self.raw(facts[:, at : at + rows], reals[:, at : at + rows]).double()
            low = torch.minimum(low, raw.amin(1, keepdim=True))
            high = torch.maximum(high, raw.amax(1, keepdim=True))
            total += (raw - pivot).sum(1, keepdim=True)
            squares += (raw - pivot).square().sum(1, keepdim=True)
        variance = (squares / n - (total / n).square()).clamp(min=0)
        off = (low == high) | (variance < TINY)
        self.mean.copy_(pivot + total / n)
        self.gain.copy_(torch.where(off, 0, torch.where(off, 1, variance).rsqrt()))


def _rates(spec: Spec) -> Iterator[tuple[int, float]]:
    """Yield (fact, window length in seconds) for every windowed fact."""
    for group in _groups(spec):
        for window, fact in group:
            yield fact, window.length / SECOND


def _ratios(spec: Spec) -> Iterator[tuple[int, int, float]]:
    """Yield (shorter fact, longer fact, longer length / shorter length) of neighbouring windows."""
    for group in _groups(spec):
        for (short, shorter), (long, longer) in pairwise(sorted(group, key=_length)):
            yield shorter, longer, long.length / short.length


def _groups(spec: Spec) -> Iterator[list[tuple[Window, int]]]:
    groups: tuple[Counts | Distincts, ...] = (*spec.counts, *spec.distincts)
    for group in groups:
        yield [(w, spec.facts.index(n)) for w, n in zip(group.parsed, group.names, strict=True)]


def _length(entry: tuple[Window, int]) -> int:
    return entry[0].length
