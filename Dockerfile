# The sync as a container image: `python main.py` receives Pub/Sub pushes on $PORT. docs/deploy.md says how to run it.
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
WORKDIR /app
RUN python -m venv /venv
COPY requirements.txt ./
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.txt \
    && /venv/bin/pip check \
    # The image installs nothing at run time.
    && /venv/bin/pip uninstall --yes pip
COPY main.py pipeline.py sync*.toml ./
COPY core/ core/
COPY handlers/ handlers/
COPY mappers/ mappers/
COPY clients/ clients/
COPY jobs/ jobs/
RUN /venv/bin/python -m compileall -f -q .

FROM python:${PYTHON}-slim
# gunicorn needs a home directory that it can write to.
RUN useradd --uid 10001 --create-home sync
COPY --from=build /venv /venv
COPY --from=build /app /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
USER 10001
EXPOSE 8080
# main.py turns into gunicorn within the same process, so gunicorn receives SIGTERM. Messages in progress then have
# 8 seconds to finish.
CMD ["python", "main.py"]
