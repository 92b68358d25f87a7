"""Every query by name, wherever it is answered: from the read models, or from the log itself."""

from collections.abc import Mapping

from release_management.kernel.types import Value
from release_management.projections.queries import QUERIES
from release_management.services.use_cases import preview

FROM_THE_LOG: Mapping[str, tuple[type[Value], tuple[str, ...]]] = {
    preview.NAME: (preview.PreviewParams, preview.COLUMNS),
}
"""The queries that no read model answers: their parameters, and what each row of an answer has."""
PARAMS: Mapping[str, type[Value]] = {
    **{name: query.params for name, query in QUERIES.items()},
    **{name: params for name, (params, _) in FROM_THE_LOG.items()},
}
"""The parameters of every query."""
