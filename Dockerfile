# coverslip with the versions of the lock file: docker build -t coverslip .
# For NVIDIA GPUs: docker build --build-arg LOCK=requirements-gpu.txt -t coverslip-gpu .
FROM python:3.11-slim-bookworm

ARG LOCK=requirements.txt
COPY ${LOCK} /src/lock.txt
RUN pip install --no-cache-dir --no-deps --require-hashes -r /src/lock.txt

# The package and the workflow itself; all that they need is installed above.
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE /src/
COPY workflow /src/workflow
COPY config/config.yaml /src/config/config.yaml
COPY resources/models /src/resources/models
RUN pip install --no-cache-dir --no-deps --no-build-isolation /src \
    && rm -r /src \
    && coverslip doctor

# For any user of `docker run --user`: a folder for caches of Snakemake and Jupyter, and a name.
ENV HOME=/tmp USER=coverslip
WORKDIR /work
ENTRYPOINT ["coverslip"]
CMD ["--help"]
