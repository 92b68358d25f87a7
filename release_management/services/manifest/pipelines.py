"""Compare the file's pipelines with the recorded ones."""

from collections.abc import Iterator, Mapping

from release_management.domain import pipeline as pipelines
from release_management.domain.pipeline import ConfigurePipeline
from release_management.kernel.types import Refused
from release_management.services.manifest.change import (
    ManifestChange,
    Row,
    differences,
)
from release_management.services.manifest.models import Manifest, PipelinePart
from release_management.services.manifest.yaml_file import YamlFile


def changed_pipelines(
    manifest: Manifest,
    file: YamlFile,
    environments: tuple[str, ...],
    recorded: Mapping[str, Row],
    policies: Mapping[str, Row],
) -> Iterator[ManifestChange]:
    """Return new and differing pipelines; `environments` are all that will exist, in order."""
    chosen: dict[str, str] = {}
    for name, part in manifest.pipelines.items():
        other = chosen.setdefault(part.application, name)
        if other != name:
            reason = f"application {part.application} walks the pipeline {other} already; state one for each"
            raise file.refusal(("pipelines", name), reason)
        stages = _stages(name, part, file, environments)
        row = recorded.get(name)
        if row is not None:
            _check_owner(name, part, file, row)
        commands = ((ConfigurePipeline.NAME, {"name": name, **part.model_dump(mode="json", exclude_none=True)}),)
        if row is None:
            sentence = f"{part.application} walks {' → '.join(stages)}"
            yield ManifestChange("+", "pipeline", name, (sentence,), commands)
            continue
        before = {
            "label": row["label"],
            "application": row["application"],
            "stages": [stage["environment"] for stage in row["stages"]],
            "chosen": policies.get(part.application, {}).get("pipeline"),
        }
        after = {"label": part.label or row["label"], "application": part.application, "stages": stages, "chosen": name}
        if details := differences(before, after):
            yield ManifestChange("~", "pipeline", name, details, commands)


def _check_owner(name: str, part: PipelinePart, file: YamlFile, row: Row) -> None:
    try:
        pipelines.check_owner(name, part.application, row["application"])
    except Refused as refused:
        raise file.refusal(("pipelines", name), refused.reason, refused.code) from None


def _stages(name: str, part: PipelinePart, file: YamlFile, environments: tuple[str, ...]) -> list[str]:
    command = pipelines.ConfigurePipeline(name=name, application=part.application, stages=part.stages)
    try:
        [fact] = pipelines.decide(command, pipelines.Pipeline(), pipelines.PipelineFacts(environments))
    except Refused as refused:
        raise file.refusal(("pipelines", name, "stages"), refused.reason, refused.code) from None
    return [stage.environment for stage in fact.stages]
