"""The running server: what is loaded, who may ask, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import tensorflow as tf

from nightshift.errors import BadDefinitionError
from nightshift.serving.config import single_model_config
from nightshift.serving.config_file import ConfigFile
from nightshift.serving.errors import ServingError
from nightshift.serving.flags import ServerFlags
from nightshift.serving.grpc_service import ModelService, PredictionService
from nightshift.serving.listeners import drain, open_grpc, open_http
from nightshift.serving.manager import ManagerSettings, ServableManager
from nightshift.serving.metrics import Metrics
from nightshift.serving.rest_api import RestApi
from nightshift.serving.saved_model import ThreadSettings

_log = logging.getLogger(__name__)

DRAIN_SECONDS: Final = 3.0
"""How long requests in flight may go on after SIGTERM."""


def run(flags: ServerFlags) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        BadDefinitionError: The configuration is wrong and will not be read again.
        UnavailableError: A port is taken.
    """
    tf.get_logger().setLevel(logging.ERROR)  # the session loader is deprecated in every line
    asyncio.run(_serve(flags))


async def _serve(flags: ServerFlags) -> None:
    metrics = Metrics()
    manager = ServableManager(manager_settings(flags), metrics)
    ended = _termination()
    config_file = await asyncio.to_thread(_configure, flags, manager)
    manager.start()
    # Ports open when the first loads are over, as in TensorFlow Serving: a balancer that finds
    # them closed asks elsewhere, one that is told NOT_FOUND does not.
    await asyncio.to_thread(manager.wait_for_first_attempts)
    gc.collect()
    gc.freeze()  # TensorFlow's million objects need not be walked again at every collection
    await _listen(flags, manager, metrics, config_file, ended)
    manager.stop()


async def _listen(
    flags: ServerFlags,
    manager: ServableManager,
    metrics: Metrics,
    config_file: ConfigFile | None,
    ended: asyncio.Event,
) -> None:
    grpc_server = http_runner = None
    if flags.port:
        pool = ThreadPoolExecutor(flags.grpc_max_threads, thread_name_prefix="grpc")
        prediction = PredictionService(manager, metrics, pool)
        grpc_server = await open_grpc(flags.host, flags.port, prediction, ModelService(manager))
    if flags.rest_api_port:
        pool = ThreadPoolExecutor(flags.rest_api_num_threads, thread_name_prefix="rest")
        api = RestApi(manager, metrics, pool, flags.rest_api_timeout_in_ms / 1000)
        http_runner = await open_http(flags.host, flags.rest_api_port, api.handle, DRAIN_SECONDS)
    polling = asyncio.create_task(_poll(config_file, flags.model_config_file_poll_wait_seconds))
    print(_ready_line(flags), flush=True)
    await ended.wait()
    _log.info("Draining for up to %g s, then leaving", DRAIN_SECONDS)
    polling.cancel()
    await drain(grpc_server, http_runner, DRAIN_SECONDS)


def manager_settings(flags: ServerFlags) -> ManagerSettings:
    """The flags that concern loading."""
    both = flags.tensorflow_session_parallelism
    return ManagerSettings(
        poll_seconds=flags.file_system_poll_wait_seconds,
        max_load_retries=flags.max_num_load_retries,
        load_retry_seconds=flags.load_retry_interval_micros / 1e6,
        load_threads=flags.num_load_threads,
        labels_before_available=flags.allow_version_labels_for_unavailable_models,
        prefer_tflite=flags.prefer_tflite_model,
        threads=ThreadSettings(
            intra_op=flags.tensorflow_intra_op_parallelism or both,
            inter_op=flags.tensorflow_inter_op_parallelism or both,
        ),
    )


def _configure(flags: ServerFlags, manager: ServableManager) -> ConfigFile | None:
    """Put the first configuration in force; the file to follow, if there is one."""
    try:
        if flags.model_config_file is None:
            assert flags.model_base_path is not None
            manager.apply(single_model_config(flags.model_name, flags.model_base_path))
            return None
        config_file = ConfigFile(flags.model_config_file, manager)
        if flags.model_config_file_poll_wait_seconds > 0:
            config_file.poll()
        else:
            config_file.load()
        return config_file
    except ServingError as error:
        raise BadDefinitionError(f"Cannot start with this model configuration: {error}") from error


async def _poll(config_file: ConfigFile | None, seconds: float) -> None:
    while config_file is not None and seconds > 0:
        await asyncio.sleep(seconds)
        await asyncio.to_thread(config_file.poll)


def _termination() -> asyncio.Event:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    return ended


def _ready_line(flags: ServerFlags) -> str:
    listening = []
    if flags.port:
        listening.append(f"gRPC at {flags.host}:{flags.port}")
    if flags.rest_api_port:
        listening.append(f"REST at http://{flags.host}:{flags.rest_api_port}")
    return f"Model server ready: {', '.join(listening)}"
