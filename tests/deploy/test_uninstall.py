"""The job that puts floors back before tidegate goes."""

from __future__ import annotations

import argparse

from scaler.commands import restore
from tests.deploy.manifests import BASE, UNINSTALL, one, resources

JOB = one(resources(UNINSTALL), "Job", "tidegate-uninstall")
POD = JOB["spec"]["template"]["spec"]


def test_scaler_restore_understands_what_it_is_started_with():
    (container,) = POD["containers"]
    command, *options = container["args"]
    assert command == "restore"
    parser = argparse.ArgumentParser()
    restore.add_arguments(parser)
    args = parser.parse_args(options)
    # While the Deployment still runs: it must not raise floors again in between.
    assert (args.release, args.hold, args.service) == (True, "1h", None)


def test_it_has_the_rights_of_the_scaler_and_runs_before_that_is_deleted():
    assert POD["serviceAccountName"] == one(resources(BASE), "ServiceAccount")["metadata"]["name"]
    told = JOB["metadata"]["annotations"]
    assert told["helm.sh/hook"] == "pre-delete"
    assert told["argocd.argoproj.io/hook"] == "PreDelete"


def test_it_runs_under_the_restricted_standard():
    (container,) = POD["containers"]
    assert POD["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
