"""The limit of the seam: a Celery worker whose task does nothing, with the settings our workers have."""

from tejido_shared.settings import CommonSettings
from tejido_shared.worker import make_celery

app = make_celery("noop", CommonSettings(), concurrency=2)


@app.task(name="noop.nothing", shared=False)
def nothing(_: str) -> None:
    """Does nothing."""
