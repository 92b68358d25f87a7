FROM python:3.11-slim AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
# Everything in the lock is fetched and checked here; the image below takes from it only what runs.
COPY requirements.lock ./
RUN pip wheel --quiet --require-hashes --no-deps --wheel-dir /wheels -r requirements.lock \
 && pip install --quiet --no-index --find-links /wheels hatchling
COPY pyproject.toml LICENSE README.md ./
COPY release_management ./release_management
RUN pip wheel --quiet --no-build-isolation --no-deps --wheel-dir /wheels .

FROM python:3.11-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    PIP_ROOT_USER_ACTION=ignore pip install --quiet --no-cache-dir --no-index --find-links /wheels release-management \
 && useradd --system --uid 10001 --create-home --home-dir /var/lib/relman relman
USER relman
WORKDIR /var/lib/relman
VOLUME /var/lib/relman
ENTRYPOINT ["relman"]
