"""The manifests of deploy/kubernetes: of their kinds, of one piece, and true to what the server does."""

import json
import os
import re
import subprocess
from pathlib import Path

import certificates
import kubernetes_validate
import requests
import yaml

FOLDER = Path(__file__).parents[2] / "deploy/kubernetes"
# The oldest that upstream still mends.
KUBERNETES = "1.34"


def manifests():
    listed = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert files == set(listed)
    found = {}
    for name in listed:
        for manifest in yaml.safe_load_all((FOLDER / name).read_text()):
            found[manifest["kind"]] = manifest
    return found


def test_the_manifests_are_of_their_kinds():
    for kind, manifest in manifests().items():
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
        if kind != "Namespace":
            assert manifest["metadata"]["namespace"] == "keyfold", kind


def test_the_manifests_speak_of_each_other():
    found = manifests()
    deployment = found["Deployment"]["spec"]
    pod = deployment["template"]
    labels = pod["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels
    assert found["Service"]["spec"]["selector"] == labels
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert pod["spec"]["serviceAccountName"] == found["ServiceAccount"]["metadata"]["name"]
    [container] = pod["spec"]["containers"]
    [port] = container["ports"]
    [service] = found["Service"]["spec"]["ports"]
    assert service["targetPort"] == port["name"]
    mounted = {volume["name"]: volume["mountPath"] for volume in container["volumeMounts"]}
    assert mounted.keys() == {volume["name"] for volume in pod["spec"]["volumes"]}
    [text] = found["ConfigMap"]["data"].values()
    for path in re.findall(r'"(?:file://)?(/etc/[^"]+)"', text):
        assert str(Path(path).parent) in mounted.values(), path
    # The end of a pod leaves the time that the server takes for it.
    delay = int(re.search(r'shutdown_delay = "(\d+)s"', text)[1])
    readiness = container["readinessProbe"]
    assert delay > readiness["failureThreshold"] * (readiness["periodSeconds"] + readiness["timeoutSeconds"])
    assert pod["spec"]["terminationGracePeriodSeconds"] > delay + 30
    liveness = container["livenessProbe"]
    assert delay < liveness["failureThreshold"] * liveness["periodSeconds"]


def test_the_configuration_of_the_manifests_starts_a_server(tmp_path):
    [(name, text)] = manifests()["ConfigMap"]["data"].items()
    (tmp_path / "seal-token").write_text("hvs.a-token")
    certificates.make(tmp_path)
    for old, new in [
        ("/etc/keyfold-tls/tls.crt", "server.pem"),
        ("/etc/keyfold-tls/tls.key", "server.key"),
        ("/etc/keyfold-tls/ca.crt", "ca.pem"),
        ("/etc/keyfold-secret/seal-token", "seal-token"),
    ]:
        assert old in text
        text = text.replace(old, str(tmp_path / new))
    (tmp_path / name).write_text(text)
    command = [os.environ["KEYFOLD_BIN"], "operator", "validate-config", "-format=json", f"-config={tmp_path / name}"]
    address = "postgresql://keyfold:secret@127.0.0.1:5432/keyfold"
    environment = {"HOME": str(tmp_path), "KEYFOLD_PG_CONNECTION_URL": address}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    finding = json.loads(done.stdout)
    assert (done.returncode, finding["status"]) == (0, "ok"), done.stdout


def test_the_probes_tell_the_states_apart(fresh):
    [container] = manifests()["Deployment"]["spec"]["template"]["spec"]["containers"]

    def probes():
        paths = (container[f"{name}Probe"]["httpGet"]["path"] for name in ("liveness", "readiness"))
        return tuple(requests.get(fresh.url + path).status_code for path in paths)

    assert probes() == (200, 501)
    made = requests.put(f"{fresh.url}/v1/sys/init", json={"secret_shares": 1, "secret_threshold": 1}).json()
    assert probes() == (200, 503)
    requests.put(f"{fresh.url}/v1/sys/unseal", json={"key": made["keys"][0]}).raise_for_status()
    assert probes() == (200, 200)
