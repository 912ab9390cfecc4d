#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The dashboard for Grafana asks for what virtioctl metrics prints, and for nothing else."""
import json
import os
import re

from harness import MIB, SANITIZED, LoopTest, main, pattern
from test_stats import parse

STRICT = "--sandbox=none" if SANITIZED else "--sandbox=strict"
DASHBOARD = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                         "../../data/grafana/virtiod.json")
METRIC = re.compile(r"\bvirtiod_\w+")
OF_PROMETHEUS = {"instance"}


class Grafana(LoopTest):
    def setUp(self):
        super().setUp()
        with open(DASHBOARD, encoding="utf-8") as file:
            self.dashboard = json.load(file)
        control = self.file("control")
        daemon = self.blk(self.file("img", pattern(MIB)), f"--control={control}", STRICT)
        self.ctl("read", daemon.path, self.file("copy"))
        samples = parse(self.ctl("metrics", STRICT, control)[0].decode())
        self.labels = {}  # by metric
        for name, labels in samples:
            self.labels.setdefault(name, set(OF_PROMETHEUS)).update(dict(labels))

    def targets(self):
        for panel in self.dashboard["panels"]:
            self.assertTrue(panel["targets"], panel["title"])
            for target in panel["targets"]:
                with self.subTest(panel=panel["title"], expression=target["expr"]):
                    yield target

    def test_metrics(self):
        for target in self.targets():
            expression = target["expr"]
            names = METRIC.findall(expression)
            self.assertTrue(names)
            self.assertEqual(set(names) - set(self.labels), set())
            self.assertEqual(expression.count("("), expression.count(")"))
            for name in names:
                # What only grows is of no use as it is.
                counts = name.endswith(("_total", "_bucket"))
                self.assertEqual(bool(re.search(rf"(rate|increase)\({name}\{{", expression)),
                                 counts, name)

    def test_labels(self):
        for target in self.targets():
            common = set.intersection(*(self.labels[name]
                                        for name in METRIC.findall(target["expr"])))
            used = re.findall(r"{{(\w+)}}", target["legendFormat"])
            used += re.findall(r"[{,](\w+)=", target["expr"])
            for group in re.findall(r"by \(([^)]*)\)", target["expr"]):
                used += group.split(", ")
            self.assertEqual(set(used) - common, set())

    def test_variables(self):
        known = {v["name"] for v in self.dashboard["templating"]["list"]}
        used = set(re.findall(r"\$\{?(\w+)", json.dumps(self.dashboard)))
        self.assertEqual(used - known, {"__rate_interval", "__all"})
        self.assertEqual(known - used, set())
        for variable in self.dashboard["templating"]["list"]:
            if variable["type"] == "query":
                name, label = re.fullmatch(r"label_values\((\w+)(?:\{.*\})?, (\w+)\)",
                                           variable["query"]["query"]).groups()
                self.assertIn(label, self.labels[name])

    def test_layout(self):
        taken = set()
        ids = [panel["id"] for panel in self.dashboard["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        for panel in self.dashboard["panels"]:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24)
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}
            self.assertEqual(cells & taken, set(), panel["title"])
            taken |= cells


if __name__ == "__main__":
    main()
