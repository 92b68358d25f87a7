"""DORA's metrics of an application, and the items behind each."""

from collections.abc import Sequence

from release_management.facade.arguments import (
    Time,
    named,
    window,
)
from release_management.facade.caller import Caller
from release_management.facade.lazy_list import Listed
from release_management.facade.views import (
    Measured,
    Metric,
    Metrics,
)


class DeliveryMetrics(Caller):
    """DORA's metrics of an application."""

    def metrics(
        self,
        since: Time | None = None,
        until: Time | None = None,
        environment: str | None = "production",
        time_zone: str = "UTC",
        by: str = "day",
    ) -> Metrics:
        """Return the DORA five of the application, from `since` (30 days before `until`) to just before `until` (now).

        `environment` None: all environments of the production tier. `by` day or week: the frequency's buckets, in
        `time_zone`, an IANA name.
        """
        params = window(since, until, time_zone) | {"application": self.application}
        environment = None if environment is None else named("environment", environment)
        rows = self._query("metrics_dora", **params, environment=environment, by=by)
        return Metrics(**params, environment=environment, metrics=tuple(Metric(**row) for row in rows))

    def measured(
        self,
        metric: str,
        since: Time | None = None,
        until: Time | None = None,
        environment: str | None = "production",
        time_zone: str = "UTC",
    ) -> Sequence[Measured]:
        """Return the items behind one of the `metrics`, such as `change_fail_rate`: each deployment, counted or not.

        It is read page by page, as it is looked at.
        """
        params = window(since, until, time_zone) | {"application": self.application, "metric": metric}
        return Listed(self._rows("metrics_dora_drill", **params, environment=environment), Measured.model_validate)
