"""Runs a job as Snowflake does: with the rendered specification, the image from a registry, and the real program."""

import json
import os
import subprocess

import yaml
from account import JobFailed
from paths import APP


class Containers:
    """Runs jobs with podman, in the environment that the calling test describes."""

    def __init__(self, scene, database):
        self.scene, self.database = scene, database

    def __call__(self, account, args):
        text = (APP / "job.yaml").read_text()
        for name, value in {"args": args, "secrets": account.mounts}.items():
            text = text.replace("{{ " + name + " }}", json.dumps(value))
        (container,) = yaml.safe_load(text)["spec"]["containers"]
        ran = subprocess.run(
            [*self.scene["podman"], *self.options(container), self.scene["registry"] + container["image"], *container["args"]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if ran.returncode:
            raise JobFailed(f"Job failed with exit code {ran.returncode}", log=ran.stdout)
        return ran.stdout

    def options(self, container):
        """The mounts and the environment."""
        yield f"--volume={self.scene['session']}:/snowflake/session:ro"
        for secret in container["secrets"]:
            folder = self.scene["secrets"][secret["snowflakeSecret"]["objectReference"]]
            yield f"--volume={folder}:{secret['directoryPath']}:ro"
        snowflake = {
            "SNOWFLAKE_HOST": "127.0.0.1",
            "SNOWFLAKE_PORT": os.environ["SNOWFEED_FAKESNOW_PORT"],
            "SNOWFLAKE_PROTOCOL": "http",
            "SNOWFLAKE_ACCOUNT": "tests",
            "SNOWFLAKE_DATABASE": self.database,
            "SNOWFLAKE_SCHEMA": "JOBS",
        }
        for name, value in {**snowflake, **container["env"]}.items():
            yield f"--env={name}={value}"
