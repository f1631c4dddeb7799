# Both commands, for the manifests in deploy/. See deploy/README.md for how to build it.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
# Where packages come from is pip's own configuration; on x86_64 it must offer a CPU build of torch.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG CUDA=refused
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/tidegate
ENV PATH=/opt/tidegate/bin:$PATH
WORKDIR /src
COPY constraints.txt ./
# A CUDA build brings gigabytes of libraries that nothing here uses: ask what it would be first.
RUN pip install --dry-run --quiet --no-deps --constraint constraints.txt --report torch.json torch \
 && if [ "$CUDA" = refused ] && grep -q '"nvidia-' torch.json; then \
      echo "torch would be a CUDA build: give --build-arg PIP_EXTRA_INDEX_URL=<an index of CPU" \
           "builds>, or --build-arg CUDA=accepted for an image of several GB" >&2; exit 1; \
    fi
RUN pip install --constraint constraints.txt torch
COPY LICENSE README.md pyproject.toml ./
COPY forecaster forecaster
COPY scaler scaler
RUN pip install --constraint constraints.txt '.[grpc,otel,s3]' && pip check

FROM python:${PYTHON}-slim
COPY --from=build /opt/tidegate /opt/tidegate
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
