"""Dataflow jobs that are built and written here, submitted nowhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.coders import Coder
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.pipeline_context import PipelineContext

from pipelines import runner

IMAGE = "europe-docker.example/project/threefold-worker:1"


@dataclass(frozen=True)
class Job:
    """What a template and its pipeline say."""

    template: dict[str, Any]
    pipeline: beam_runner_api_pb2.Pipeline
    template_bytes: int
    pipeline_bytes: int

    @property
    def images(self) -> set[str]:
        """Return the container images of all environments; raise where one is no container."""
        found = set()
        for environment in self.pipeline.components.environments.values():
            assert environment.urn == common_urns.environments.DOCKER.urn
            payload = beam_runner_api_pb2.DockerPayload.FromString(environment.payload)
            found.add(payload.container_image)
        return found

    def key_coders(self) -> dict[str, Coder]:
        """Return the key coder of every GroupByKey by the transform's name."""
        parts = self.pipeline.components
        context = PipelineContext(parts)
        found = {}
        for transform in parts.transforms.values():
            if transform.spec.urn == common_urns.primitives.GROUP_BY_KEY.urn:
                [collection] = transform.inputs.values()
                coder = context.coders.get_by_id(parts.pcollections[collection].coder_id)
                found[transform.unique_name] = coder.key_coder()
        return found


def arguments(folder: Path) -> list[str]:
    """Return the options that write a template into a folder and submit nothing."""
    return [
        "--runner=DataflowRunner",
        "--dataflow_endpoint=http://localhost:1",
        "--no_auth",
        "--project=offline-project",
        "--region=europe-west1",
        f"--sdk_container_image={IMAGE}",
        f"--temp_location={folder}",
        f"--staging_location={folder}",
        f"--template_location={folder}/template.json",
    ]


def write_job(folder: Path, build: Callable[[beam.Pipeline], None]) -> Job:
    """Build a pipeline, have Dataflow's runner write it, and read what it wrote."""
    folder.mkdir()
    pipeline = runner.create_pipeline(arguments(folder), 1, 1)
    build(pipeline)
    assert runner.run(pipeline) is False
    return read_job(folder)


def read_job(folder: Path) -> Job:
    """Return the job that was written into a folder."""
    template = folder / "template.json"
    [proto] = folder.rglob("pipeline.pb")
    return Job(
        json.loads(template.read_text()),
        beam_runner_api_pb2.Pipeline.FromString(proto.read_bytes()),
        template.stat().st_size,
        proto.stat().st_size,
    )
