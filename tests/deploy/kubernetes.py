"""Validates a manifest by the schemas of Kubernetes, strictly: members that a schema does not have are wrong.

usage: kubernetes.py VERSION FILE
Prints what is wrong. With `json` as the version, prints the manifest as JSON.
"""

import json
import sys

import kubernetes_validate
import yaml

version, path = sys.argv[1:]
with open(path) as file:
    document = yaml.safe_load(file)
if version == "json":
    print(json.dumps(document))
    sys.exit()
try:
    kubernetes_validate.validate(document, version, strict=True)
except kubernetes_validate.ValidationError as error:
    print(f"{'.'.join(map(str, error.path))}: {error.message}")
