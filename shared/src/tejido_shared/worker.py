"""The Celery application of a service, and the only place that puts a message on Redis.

Queues of a service: `<service>.events` brings events, `<service>.confirms` what subscribers have committed, `<service>.work` its own
tasks. Tasks are acknowledged when they start: what must not be lost is a row in PostgreSQL, and is sent or claimed again.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from celery import Celery, signals
from kombu.entity import Queue
from kombu.exceptions import OperationalError
from redis import Redis, RedisError

from tejido_shared import heartbeat, logs, outbox, seam_upkeep, telemetry
from tejido_shared.clock import now
from tejido_shared.db import Database
from tejido_shared.inbox import Handlers, receive
from tejido_shared.settings import CommonSettings, ServiceSettings

KEY_PREFIX = "tejido:"
RECEIVE, CONFIRM, UPKEEP = "tejido.receive", "tejido.confirm", "tejido.upkeep"

log = structlog.get_logger()


def events_queue(service: str) -> str:
    return f"{service}.events"


def make_celery(service: str, settings: CommonSettings, *, concurrency: int = 2) -> Celery:
    """A Celery application for `service` with everything the seam needs set; it has no tasks yet.

    The settings answer traps that were met by running: both socket timeouts, or a Redis that accepts and does not answer holds a
    publisher for ever; no default queue made on the fly, or a misspelt one swallows messages; no result backend, for state lives in
    PostgreSQL.
    """
    app = Celery(service, set_as_current=False)
    app.conf.update(
        broker_url=settings.broker_url.get_secret_value(),
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_concurrency=concurrency,
        task_time_limit=300,
        task_soft_time_limit=270,
        task_default_queue=f"{service}.work",
        task_create_missing_queues=False,
        task_queues=[Queue(events_queue(service)), Queue(f"{service}.confirms"), Queue(f"{service}.work")],
        task_serializer="json",
        accept_content=["json"],
        task_publish_retry=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": 600,
            "unacked_restore_throttle": 1,
            "health_check_interval": 10,
            "socket_timeout": 15,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "global_keyprefix": KEY_PREFIX,
        },
        worker_soft_shutdown_timeout=10,
        worker_max_tasks_per_child=5000,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        event_queue_ttl=60,
        timezone="UTC",
        enable_utc=True,
    )
    return app


def send(app: Celery, name: str, args: list[Any], queue: str, *, expires: float | None = None) -> None:
    """Puts one message on Redis. Raises `kombu.exceptions.OperationalError` within seconds when Redis is away."""
    with app.producer_or_acquire() as producer:
        app.send_task(
            name, args=args, queue=Queue(queue), producer=producer, ignore_result=True, retry=False, expires=expires
        )


def kick(app: Celery, name: str, service: str) -> None:
    """Asks a worker of `service` to run a task now. Only ever a hint: whoever needs the task also has a timetable for it."""
    try:
        send(app, name, [], f"{service}.work", expires=30)
    except (OperationalError, RedisError):
        log.info("kick_lost", task=name)


def make_worker(
    service: str,
    database: Database,
    settings: ServiceSettings,
    handlers: Handlers,
    timetable: Mapping[str, float] | None = None,
) -> Celery:
    """The Celery application that `celery -A tejido_<service>.worker` runs.

    `timetable` maps a task's name to its period in seconds; a tick that waited longer than its period is dropped.
    """
    app = make_celery(service, settings.common, concurrency=settings.worker_concurrency)

    @app.task(name=RECEIVE, shared=False)
    def receive_events(publisher: str, letters: list[dict[str, Any]]) -> None:
        confirmed = receive(database, handlers, letters)
        if confirmed:
            try:
                send(app, CONFIRM, [service, [str(id_) for id_ in confirmed]], f"{publisher}.confirms")
            except (OperationalError, RedisError):
                # The publisher sends again, the inbox knows the events, and they are confirmed then.
                log.info("confirmation_lost", events=len(confirmed))

    @app.task(name=CONFIRM, shared=False)
    def confirm_events(subscriber: str, event_ids: list[str]) -> None:
        with database.tx() as session:
            outbox.confirm(session, subscriber, [UUID(id_) for id_ in event_ids])

    @app.task(name=UPKEEP, shared=False)
    def upkeep() -> None:
        with database.tx() as session:
            seam_upkeep.forget_old(session, now())

    app.conf.beat_schedule = {
        name: {
            "task": name,
            "schedule": timedelta(seconds=period),
            "options": {"expires": period, "queue": f"{service}.work"},
        }
        for name, period in {UPKEEP: 600.0, **(timetable or {})}.items()
    }

    app.conf.update(
        beat_scheduler=heartbeat.Scheduler,
        beat_max_loop_interval=10,
        heartbeat_file=settings.common.heartbeat_file,
    )
    heartbeat.of_worker(settings.common.heartbeat_file)

    def after_fork(**_: object) -> None:
        database.forget()
        telemetry.configure(service, "worker", settings.common)

    def set_up_logging(**_: object) -> None:
        logs.configure(service, "worker", settings.common.log_level)

    signals.worker_process_init.connect(after_fork, weak=False)
    signals.setup_logging.connect(set_up_logging, weak=False)
    return app


class QueueDepths:
    """How many messages wait in a queue on Redis. Raises `redis.RedisError` when Redis is away."""

    def __init__(self, settings: CommonSettings) -> None:
        self._redis = Redis.from_url(
            settings.broker_url.get_secret_value(), socket_timeout=3, socket_connect_timeout=3, health_check_interval=10
        )

    def of(self, queue: str) -> int:
        return int(self._redis.llen(KEY_PREFIX + queue))
