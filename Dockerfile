# The sync as a container: `python main.py` serves Pub/Sub pushes on $PORT. docs/deploy.md says how to run it.
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
WORKDIR /app
RUN python -m venv /venv
COPY requirements.txt ./
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.txt \
    && /venv/bin/pip check \
    # Nothing is installed any more.
    && /venv/bin/pip uninstall --yes pip
COPY main.py pipeline.py sync*.toml ./
COPY core/ core/
COPY handlers/ handlers/
COPY mappers/ mappers/
COPY clients/ clients/
COPY jobs/ jobs/
RUN /venv/bin/python -m compileall -f -q .

FROM python:${PYTHON}-slim
# gunicorn wants a home to write to.
RUN useradd --uid 10001 --create-home sync
COPY --from=build /venv /venv
COPY --from=build /app /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
USER 10001
EXPOSE 8080
# Becomes gunicorn in the same process, so SIGTERM reaches it: what is being worked on has 8 seconds to end.
CMD ["python", "main.py"]
