"""The files that start clusters: what Ray makes of them, here and on a simulated AWS."""

import ast
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from moto import mock_aws
from ray.autoscaler._private.aws.config import bootstrap_aws
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.util import prepare_config, validate_config

from tune.machine import Machine, Node, Workers, plan_workers, read_growth

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "scripts" / "cluster").glob("*.yaml"))


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "scripts" / "cluster" / name).read_text())


@pytest.fixture
def in_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)  # mounts are named from there
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, in_root: None) -> Iterator[dict[str, Any]]:
    """aws.yaml as Ray completes it, on an account prepared as docs/cluster.md says."""
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "test")
    with mock_aws():
        iam = boto3.client("iam")
        iam.create_role(RoleName="tandem", AssumeRolePolicyDocument="{}")
        iam.create_instance_profile(InstanceProfileName="tandem")
        iam.add_role_to_instance_profile(InstanceProfileName="tandem", RoleName="tandem")
        image = boto3.client("ec2", "us-east-1").describe_images()["Images"][0]["ImageId"]
        config = read("aws.yaml")
        for node in config["available_node_types"].values():
            assert node["node_config"]["ImageId"] == "AMI"
            node["node_config"]["ImageId"] = image
        yield bootstrap_aws(prepare_config(config))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_cluster_file_follows_rays_schema(path: Path, in_root: None) -> None:
    validate_config(prepare_config(read(path.name)))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_a_cluster_file_sends_is_all_that_an_installation_needs(path: Path) -> None:
    mounts = read(path.name)["file_mounts"]
    sent = {local for remote, local in mounts.items() if remote == f"~/tandem/{local}"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert sent == {
        *project["tool"]["setuptools"]["packages"],
        project["project"]["readme"],
        "pyproject.toml",
        "constraints.txt",
        "scripts",
    }
    assert all((ROOT / local).exists() for local in sent)
    assert mounts["~/.ray/auth_token"] == "~/.ray/auth_token"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_cluster_wants_a_token_keeps_its_dashboard_on_loopback_and_trains_nothing_on_its_head(path: Path) -> None:
    config = read(path.name)
    assert any("RAY_AUTH_MODE=token" in line and ".bashrc" in line for line in config["setup_commands"])
    start = next(line for line in config["head_start_ray_commands"] if "ray start" in line)
    assert {"--dashboard-host=127.0.0.1", "--num-cpus=0", "--num-gpus=0"} <= set(start.split())


def test_hosts_of_ones_own_keep_the_rays_of_others() -> None:
    config = read("onprem.yaml")
    assert not any("ray stop" in line for key in config if key.endswith("commands") for line in config[key])


def test_both_files_install_the_same() -> None:
    assert read("aws.yaml")["file_mounts"] == read("onprem.yaml")["file_mounts"]


def test_scripts_are_thin_enough_to_be_sent_alone() -> None:
    """`ray submit` sends one file, so it may import nothing that stays behind."""
    scripts = list((ROOT / "scripts").glob("*.py"))
    left_behind = {"scripts", "benchmarks", "tests", *(script.stem for script in scripts)}
    for script in scripts:
        imports = [node for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.ImportFrom)]
        assert imports
        assert not {str(node.module).split(".")[0] for node in imports} & left_behind, script


def test_aws_takes_the_head_and_spot_workers_that_the_file_describes(aws: dict[str, Any]) -> None:
    provider = AWSNodeProvider(aws["provider"], aws["cluster_name"])
    for kind, role in (("head", "head"), ("gpu", "worker")):
        tags = {
            "ray-node-name": f"ray-tandem-{kind}",
            "ray-node-type": role,
            "ray-user-node-type": kind,
            "ray-launch-config": "x",
        }
        provider.create_node(aws["available_node_types"][kind]["node_config"], tags, 1)
    reservations = boto3.client("ec2", "us-east-1").describe_instances()["Reservations"]
    made = {one["InstanceType"]: one for reservation in reservations for one in reservation["Instances"]}
    assert set(made) == {"m7i.xlarge", "g6.2xlarge"}
    assert made["g6.2xlarge"]["InstanceLifecycle"] == "spot"
    assert "InstanceLifecycle" not in made["m7i.xlarge"]
    for one in made.values():
        assert one["IamInstanceProfile"]["Arn"].endswith("/tandem")
        assert one["BlockDeviceMappings"][0]["Ebs"]["DeleteOnTermination"]


def test_aws_opens_ssh_to_the_world_and_nothing_else(aws: dict[str, Any]) -> None:
    groups = boto3.client("ec2", "us-east-1").describe_security_groups()["SecurityGroups"]
    rules = next(group["IpPermissions"] for group in groups if group["GroupName"] == "tandem")
    from_outside = [rule for rule in rules if rule["IpRanges"]]
    assert [(rule["FromPort"], rule["ToPort"]) for rule in from_outside] == [(22, 22)]


def test_a_search_on_aws_plans_for_the_gpus_that_the_cluster_may_grow_to(aws: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "ray_bootstrap_config.yaml"
    path.write_text(json.dumps(aws))  # as Ray leaves it on the head
    growth = read_growth(path)
    assert growth is not None
    assert growth.least_nodes == 1
    assert plan_workers(None, None, growth.machine(Machine((Node(1, 0),)))) == Workers(8, 8, 1.0)
