// Compares custom resources with the schemas of their makers: a JSON array on standard input, a line for each mistake on
// standard output.
import { HTTPRoute } from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute";
import { PrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule";
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";
import { readFileSync } from "node:fs";

const kinds = { HTTPRoute, PrometheusRule, ServiceMonitor };

for (const { name, thing } of JSON.parse(readFileSync(0, "utf8"))) {
  const Kind = kinds[thing.kind];
  if (Kind === undefined) {
    console.log(`${name}: there is no schema of ${thing.kind}`);
    continue;
  }
  try {
    new Kind(thing).validate();
  } catch (error) {
    console.log(`${name}: ${error.message}`);
  }
}
