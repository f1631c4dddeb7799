# Both commands, for the manifests in deploy/; or, as the target `service`, what `scaler run` needs.
# `make image` and `make image-service` build them; see deploy/README.md.
# The image of Python that they stand on, by digest: NAME@sha256:...
ARG BASE

FROM ${BASE} AS source
ARG BASE
RUN case "$BASE" in *@sha256:*) ;; *) echo "BASE is $BASE, but must name a digest: run make image" >&2; exit 1 ;; esac
# Where packages come from is pip's own configuration; it must offer a CPU build of torch.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/tidegate
ENV PATH=/opt/tidegate/bin:$PATH
WORKDIR /src
COPY image.lock service.lock ./
COPY LICENSE README.md pyproject.toml setup.py ./
COPY forecaster forecaster
COPY scaler scaler
# What `scaler files` writes.
COPY deploy deploy
COPY examples examples
COPY models/pretrained models/pretrained

FROM source AS build
RUN pip install --require-hashes --only-binary :all: --requirement image.lock || { \
      echo "If torch is what is not found, give --build-arg PIP_EXTRA_INDEX_URL=<an index of CPU builds>;" \
           "if its hash is another, that index has another build: run make lock with it" >&2; exit 1; }
# All that it needs, the build backend too, is there by now.
RUN pip install --no-deps --no-index --no-build-isolation . && pip check

FROM source AS build-service
RUN pip install --no-compile --require-hashes --only-binary :all: --requirement service.lock
# What only training, files and plots need is left out, so `pip check` would miss it.
RUN pip install --no-compile --no-deps --no-index --no-build-isolation . && \
    pip uninstall --yes --quiet setuptools pip && \
    find /opt/tidegate/lib -type d -name tests -prune -exec rm -r {} +

FROM ${BASE} AS runtime
# The root may be read-only: whatever is written goes below /tmp.
ENV PATH=/opt/tidegate/bin:$PATH \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /tmp
# A number, so that a cluster can see that it is not root.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["scaler"]
CMD ["--help"]

FROM runtime AS service
COPY --from=build-service /opt/tidegate /opt/tidegate

FROM runtime
COPY --from=build /opt/tidegate /opt/tidegate
