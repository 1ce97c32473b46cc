#!/usr/bin/env python3
"""queries.py DASHBOARD           the dashboard's queries as recording rules, for promtool to parse
queries.py --fires ALERT TESTS    ends with 0 if a test of that promtool file expects the alert to fire"""
import json
import re
import sys

VARIABLES = {"$__rate_interval": "5m", "$__range": "1d", "$namespace": ".*", "$framework": ".*"}


def main():
    if sys.argv[1] == "--fires":
        _, _, alert, tests = sys.argv
        text = open(tests).read()
        fires = re.search(r"alertname: %s\n +exp_alerts:\n +- exp_labels" % re.escape(alert), text)
        sys.exit(0 if fires else 1)
    print("groups:\n- name: dashboard\n  rules:")
    for panel in json.load(open(sys.argv[1]))["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"]
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            if "$" in query:
                sys.exit(f"panel {panel['title']}: what is {query}?")
            print(f"  - record: panel:{panel['id']}:{target['refId']}\n    expr: {json.dumps(query)}")


if __name__ == "__main__":
    main()
