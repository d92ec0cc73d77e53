"""What must hold of incidents together, and with the time and the spec that they meet."""

from collections.abc import Sequence

from replay.span import Span
from scorer.errors import nearest
from scorer.spec import Spec
from simulator.columns import HOUR
from simulator.fault import Incident, Retrained


def check_incidents(timeline: Sequence[Incident], span: Span, spec: Spec) -> None:
    """Raise ValueError, naming the incident, where one can't be.

    `timeline` is in the order of beginning, `span` the simulated time, `spec` the healthy
    version's.
    """
    for incident in timeline:
        _check_time(incident, span)
        _check_features(incident, spec)


def place_of(incident: Incident) -> str:
    """Name an incident by its number in the scenario and its kind."""
    return f"incident {incident.incident_id.rpartition('-')[2]} ({incident.kind})"


def _check_time(incident: Incident, span: Span) -> None:
    hours = span.length // HOUR
    if incident.span.start >= span.end:
        begins = (incident.span.start - span.start) / HOUR
        raise ValueError(
            f"{place_of(incident)}: begins_hour {begins:g} is not before the end: {hours} hours "
            "are simulated; give more --days"
        )
    promotes = incident.fault.promotes
    if isinstance(promotes, Retrained):
        begins = incident.trained_at - round(promotes.hours * HOUR)
        if begins < span.start:
            raise ValueError(
                f"{place_of(incident)}: trained on {promotes.hours:g} h that begin "
                f"{(span.start - begins) / HOUR:g} h before the start; let it begin later or give "
                "fewer train_hours"
            )


def _check_features(incident: Incident, spec: Spec) -> None:
    for name in incident.fault.zeroed:
        if name not in spec.names:
            hint = nearest(name, spec.names, "`replay models show` lists a version's features.")
            raise ValueError(f"{place_of(incident)}: features: no feature named {name!r}. {hint}")
    promotes = incident.fault.promotes
    if isinstance(promotes, Retrained):
        known = sorted({column for entity in spec.entities for column in entity})
        for column in promotes.leaves_out:
            if column not in known:
                hint = nearest(column, known, f"It has some of {', '.join(known)}.")
                raise ValueError(
                    f"{place_of(incident)}: leaves_out: the spec has no feature of {column!r}. "
                    f"{hint}"
                )
