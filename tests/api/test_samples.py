"""Every sample applies, as its README says, with the API server's strictest checks."""
import re
import unittest

import cluster
from cluster import ROOT, kubectl

SAMPLES = ROOT / "manifests/samples"


def setUpModule():
    cluster.install()


class Samples(unittest.TestCase):
    def test_every_sample_applies(self):
        """In namespaces of the test: the samples' own may be in use on an existing cluster."""
        files = sorted(SAMPLES.glob("*/*.yaml"))
        self.assertGreaterEqual(len(files), 10)
        for path in files:
            space = path.parent.name
            cluster.namespace(f"api-test-{space}")
            text = re.sub(rf"(namespace: |serviceaccount=){space}\b", rf"\1api-test-{space}", path.read_text())
            with self.subTest(path.relative_to(ROOT)):
                kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", given=text)
                if cluster.existing() and "namespace: " not in text:
                    continue
                for _ in range(2):                        # GitOps applies again and again
                    kubectl("apply", "--server-side", "--validate=strict", "-f", "-", given=text)

    def test_every_kind_has_a_sample(self):
        text = "\n".join(f.read_text() for f in [*SAMPLES.glob("*/*.yaml"), *(ROOT / "manifests/classes").glob("*.yaml")])
        for kind in cluster.PLURALS:
            self.assertIn(f"kind: {kind}\n", text)

    def test_the_commands_of_the_readme_name_files_that_are_there(self):
        for name in re.findall(r"-f (\S+\.yaml)", (SAMPLES / "README.md").read_text()):
            self.assertTrue((ROOT / name).is_file(), name)

    def test_classes_apply_again(self):
        kubectl("apply", "--validate=strict", "-k", str(ROOT / "manifests/classes"))
        self.assertIn("n8n", kubectl("get", "fwc"))
