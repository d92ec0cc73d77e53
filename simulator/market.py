"""Advertisers, campaigns and ads; what a click on one costs; what people search for.

A click costs the next lower offer of a rival on the same topic (a generalised second-price auction
with qualities), or the reserve.
"""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from pydantic import Field

from simulator.draw import Ints, Reals, generator, pick, weighted, weights_of
from simulator.settings import Settings

MARKET_PLACE = (0, 1)
TENTH_OF_CENT = 1000
RESERVE_MICROS = 20_000
TOPICS = (
    "running shoes", "espresso machine", "office chair", "rain jacket", "headphones", "city bike",
    "phone case", "garden hose", "sofa bed", "face cream", "board game", "camping tent",
)  # fmt: skip
BRANDS = ("", "nordvik ", "alder ", "okami ", "brill ", "castor ", "lumen ", "tarn ", "ostro ")
WISHES = ("", " cheap", " best", " near me", " review", " sale", " for beginners", " used")
PHRASES = tuple((brand, wish) for brand in BRANDS for wish in WISHES)
PHRASE_WEIGHTS = weights_of([
    1 / (1 + brand) / (1 + wish) for brand in range(len(BRANDS)) for wish in range(len(WISHES))
])  # fmt: skip
OFFERS = 32
RIVALS = 3
MOST_BUDGET = 1e9


class MarketSettings(Settings):
    """How many advertisers there are, and what they bid."""

    advertisers: int = Field(default=40, ge=1, le=100_000)
    campaigns_per_advertiser: int = Field(default=4, ge=1, le=100)
    ads_per_campaign: int = Field(default=3, ge=1, le=100)
    median_bid: float = Field(default=0.5, gt=0, le=1000)
    topic_loyalty: float = Field(default=0.85, ge=0, le=1)
    limited_budgets: float = Field(default=0.25, ge=0, le=1)


@dataclass(frozen=True)
class Market:
    """Campaigns, sorted by topic; `weights` say how often each is clicked."""

    settings: MarketSettings
    advertiser: Ints  # (campaigns,)
    topic_first: Ints  # (topics + 1,) first campaign of each topic
    weights: Ints  # (campaigns,)
    cumulative: Ints  # (campaigns,) running sums of weights
    bid: Ints  # (campaigns,) micros
    offers: Ints  # (campaigns, OFFERS) micros: what a click may cost, each as likely
    budget: Reals  # (campaigns,) average days' clicks that a day's budget can pay

    def with_weights(self, weights: Ints) -> "Market":
        """Return the market with other weights; the old ones where nothing would be left."""
        if not weights.any():
            return self
        return replace(self, weights=weights, cumulative=np.cumsum(weights))

    def campaigns(self, rng: np.random.Generator, topic: Ints) -> Ints:
        """Draw a campaign for each click of a session on `topic`; some clicks stray from it."""
        stray = rng.random(len(topic)) >= self.settings.topic_loyalty
        start = np.concatenate([[0], self.cumulative])[self.topic_first]
        low, high = start[:-1][topic], start[1:][topic]
        stray |= low == high
        low = np.where(stray, 0, low)
        high = np.where(stray, self.cumulative[-1], high)
        return pick(self.cumulative, rng.integers(low, high))

    def ads(self, rng: np.random.Generator, campaign: Ints) -> Ints:
        """Draw one of each campaign's ads."""
        per_campaign = self.settings.ads_per_campaign
        return campaign * per_campaign + rng.integers(0, per_campaign, len(campaign))

    def prices(self, rng: np.random.Generator, campaign: Ints) -> Ints:
        """Draw what each click costs, in micros."""
        marks = rng.integers(0, OFFERS, len(campaign))
        prices: Ints = self.offers[campaign, marks]
        return prices

    def queries(self, rng: np.random.Generator, topic: Ints) -> Ints:
        """Draw a search on each topic, or −1 for the two sessions in five that began elsewhere."""
        phrase = weighted(rng, PHRASE_WEIGHTS, len(topic))
        return np.where(rng.random(len(topic)) < 0.6, topic * len(PHRASES) + phrase, -1)

    @property
    def tables(self) -> dict[str, pa.Array]:
        """Texts that advertiser, campaign, ad and query indexes stand for."""
        count, per = len(self.advertiser), self.settings.ads_per_campaign
        return {
            "advertiser": pa.array([f"adv-{i:03d}" for i in range(self.settings.advertisers)]),
            "campaign": pa.array(campaign_ids(self.settings)),
            "ad": pa.array([f"ad-{i:04d}-{j}" for i in range(count) for j in range(per)]),
            "query": pa.array([start + topic + end for topic in TOPICS for start, end in PHRASES]),
        }


def campaign_ids(settings: MarketSettings) -> list[str]:
    """Return the ids of a market's campaigns, in order.

    >>> campaign_ids(MarketSettings(advertisers=1, campaigns_per_advertiser=2))
    ['cmp-0000', 'cmp-0001']
    """
    count = settings.advertisers * settings.campaigns_per_advertiser
    return [f"cmp-{number:04d}" for number in range(count)]


def make_market(settings: MarketSettings, seed: int) -> Market:
    """Draw advertisers' campaigns: heavy-tailed weights, lognormal bids, one topic each."""
    rng = generator(seed, *MARKET_PLACE)
    count = settings.advertisers * settings.campaigns_per_advertiser
    topic = np.sort(rng.integers(0, len(TOPICS), count))
    first = np.searchsorted(topic, np.arange(len(TOPICS) + 1))
    weights = np.rint(100 * np.minimum(1 + rng.pareto(1.5, count), 40)).astype(np.int64)
    bid = np.rint(settings.median_bid * 1_000_000 * rng.lognormal(0, 0.5, count)).astype(np.int64)
    limited = rng.random(count) < settings.limited_budgets
    return Market(
        settings=settings,
        advertiser=rng.permutation(np.arange(count) % settings.advertisers),
        topic_first=first,
        weights=weights,
        cumulative=np.cumsum(weights),
        bid=bid,
        offers=_offers(rng, bid, first[topic], first[topic + 1]),
        budget=np.where(limited, rng.uniform(0.3, 1.0, count), MOST_BUDGET),
    )


def _offers(rng: np.random.Generator, bid: Ints, first: Ints, last: Ints) -> Ints:
    """Hold OFFERS auctions for each campaign against rivals of its topic, `first` to `last` − 1.

    A rival's bid counts times its quality of the moment, a lognormal. A click costs the best offer
    that its campaign's own bid beats, and the reserve where it beats none.
    """
    shape = (len(bid), OFFERS, RIVALS)
    rival = rng.integers(first[:, None, None], last[:, None, None], shape)
    offered = bid[rival] * rng.lognormal(-0.3, 0.35, shape)
    price = np.where(offered < bid[:, None, None], offered, 0).max(axis=2)
    steps = np.rint(price / TENTH_OF_CENT).astype(np.int64)
    offers: Ints = np.maximum(steps * TENTH_OF_CENT, RESERVE_MICROS)
    return offers
