"""`deploy/kubernetes.yaml` is a PyTorchJob as the training operator's own models have it: no key that they do not know."""

import json
import sys
import types

import yaml
from kubeflow.training import models
from kubeflow.training.api_client import ApiClient


def main(path):
    with open(path, encoding="utf-8") as file:
        written = yaml.safe_load(file)
    client = ApiClient()
    job = client.deserialize(types.SimpleNamespace(data=json.dumps(written)), models.KubeflowOrgV1PyTorchJob)
    read = client.sanitize_for_serialization(job)
    if read != written:
        raise SystemExit(f"{path} has what a PyTorchJob has not:\n{json.dumps(written)}\nis read as\n{json.dumps(read)}")
    replicas = job.spec.pytorch_replica_specs
    for kind, spec in replicas.items():
        names = [container.name for container in spec.template.spec.containers]
        if names != ["pytorch"]:
            raise SystemExit(f"{path}: the operator looks for a container `pytorch` in {kind}, there is {names}")
    print(f"{path}: a PyTorchJob of {sum(spec.replicas for spec in replicas.values())} ranks")


if __name__ == "__main__":
    main(sys.argv[1])
