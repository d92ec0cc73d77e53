"""Advertisers, campaigns and ads; what a click on one costs; what people search for."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pydantic import Field

from simulator.draw import Ints, generator, pick
from simulator.settings import Settings

MARKET_PLACE = (0, 1)
TENTH_OF_CENT = 1000
RESERVE_MICROS = 20_000
TOPICS = (
    "running shoes", "espresso machine", "office chair", "rain jacket", "headphones", "city bike",
    "phone case", "garden hose", "sofa bed", "face cream", "board game", "camping tent",
)  # fmt: skip
WISHES = ("", " cheap", " best", " near me", " review", " sale", " for beginners", " used")


class MarketSettings(Settings):
    """How many advertisers there are, and what they bid."""

    advertisers: int = Field(default=40, ge=1, le=100_000)
    campaigns_per_advertiser: int = Field(default=4, ge=1, le=100)
    ads_per_campaign: int = Field(default=3, ge=1, le=100)
    median_bid: float = Field(default=0.5, gt=0, le=1000)
    topic_loyalty: float = Field(default=0.85, ge=0, le=1)


@dataclass(frozen=True)
class Market:
    """Campaigns, sorted by topic; `weights` say how often each is clicked."""

    settings: MarketSettings
    advertiser: Ints  # (campaigns,)
    topic_start: Ints  # (topics + 1,) sums of weights at which each topic begins
    cumulative: Ints  # (campaigns,)
    bid: Ints  # (campaigns,) micros

    def campaigns(self, rng: np.random.Generator, topic: Ints) -> Ints:
        """Draw a campaign for each click of a session on `topic`; some clicks stray from it."""
        stray = rng.random(len(topic)) >= self.settings.topic_loyalty
        low = np.where(stray, 0, self.topic_start[topic])
        high = np.where(stray, self.cumulative[-1], self.topic_start[topic + 1])
        stray_from_empty = low == high
        high = np.where(stray_from_empty, self.cumulative[-1], high)
        low = np.where(stray_from_empty, 0, low)
        return pick(self.cumulative, rng.integers(low, high))

    def ads(self, rng: np.random.Generator, campaign: Ints) -> Ints:
        """Draw one of each campaign's ads."""
        per_campaign = self.settings.ads_per_campaign
        return campaign * per_campaign + rng.integers(0, per_campaign, len(campaign))

    def prices(self, rng: np.random.Generator, campaign: Ints) -> Ints:
        """Draw what each click costs: the second highest of three rivals' offers, in micros."""
        offers = np.sort(rng.random((len(campaign), 3)), axis=1)[:, 1]
        price = self.bid[campaign] * (0.4 + 0.6 * offers)
        steps = np.rint(price / TENTH_OF_CENT).astype(np.int64)
        return np.maximum(steps * TENTH_OF_CENT, RESERVE_MICROS)

    def queries(self, rng: np.random.Generator, topic: Ints) -> Ints:
        """Draw a search on each topic, or −1 for the two sessions in five that began elsewhere."""
        wish = np.minimum(rng.integers(0, len(WISHES), (2, len(topic))).min(axis=0), len(WISHES))
        return np.where(rng.random(len(topic)) < 0.6, topic * len(WISHES) + wish, -1)

    @property
    def tables(self) -> dict[str, pa.Array]:
        """Texts that advertiser, campaign, ad and query indexes stand for."""
        count, per = len(self.advertiser), self.settings.ads_per_campaign
        return {
            "advertiser": pa.array([f"adv-{i:03d}" for i in range(self.settings.advertisers)]),
            "campaign": pa.array(campaign_ids(self.settings)),
            "ad": pa.array([f"ad-{i:04d}-{j}" for i in range(count) for j in range(per)]),
            "query": pa.array([topic + wish for topic in TOPICS for wish in WISHES]),
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
    weights = np.rint(100 * np.minimum(1 + rng.pareto(1.5, count), 40)).astype(np.int64)
    cumulative = np.cumsum(weights)
    before = np.concatenate([[0], cumulative])
    bids = settings.median_bid * 1_000_000 * rng.lognormal(0, 0.5, count)
    return Market(
        settings=settings,
        advertiser=rng.permutation(np.arange(count) % settings.advertisers),
        topic_start=before[np.searchsorted(topic, np.arange(len(TOPICS) + 1))],
        cumulative=cumulative,
        bid=np.rint(bids).astype(np.int64),
    )
