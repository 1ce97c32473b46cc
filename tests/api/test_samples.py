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
        files = sorted(SAMPLES.glob("*/*.yaml"))
        self.assertGreaterEqual(len(files), 10)
        for name in {re.search(r"^  namespace: (.*)$", f.read_text(), re.MULTILINE).group(1) for f in files if f.name == "framework.yaml"}:
            cluster.namespace(name)
        for path in files:
            with self.subTest(path.relative_to(ROOT)):
                kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(path))
                kubectl("apply", "--server-side", "--validate=strict", "-f", str(path))
                kubectl("apply", "--server-side", "--validate=strict", "-f", str(path))        # GitOps applies again and again

    def test_every_kind_has_a_sample(self):
        text = "\n".join(f.read_text() for f in [*SAMPLES.glob("*/*.yaml"), *(ROOT / "manifests/classes").glob("*.yaml")])
        for kind in cluster.PLURALS:
            self.assertIn(f"kind: {kind}\n", text)

    def test_classes_apply_again(self):
        kubectl("apply", "--validate=strict", "-k", str(ROOT / "manifests/classes"))
        self.assertIn("n8n", kubectl("get", "fwc"))
