"""A feature column is silently zero: logged as 0, and decided on as 0."""

from typing import Literal

from pydantic import Field

from simulator.fault import Fault, IncidentKind, IncidentSettings


class FeatureZero(IncidentSettings):
    """Which features were 0, by their names in the healthy version's spec."""

    kind: Literal["feature_zero"] = "feature_zero"
    features: tuple[str, ...] = Field(default=("users_ip_1h", "users_ip_24h"), min_length=1)

    def fault(self) -> Fault:
        """Zero the features."""
        return Fault(zeroed=self.features)

    def describe(self) -> str:
        """Name the features."""
        return f"{', '.join(self.features)} read 0"


FEATURE_ZERO = IncidentKind("feature_zero", FeatureZero, "a feature reads 0, and nothing says so")
