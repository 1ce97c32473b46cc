#include "api/framework_class.h"

#include <nlohmann/json.hpp>

#include "codec.h"

namespace rollback::api {
namespace {

using namespace codec;

HttpProbe probe(const json& at) {
  HttpProbe out;
  out.port = static_cast<int>(integer(at, "port"));
  out.path = text(at, "path", "/");
  for (const auto& status : child(at, "status"))
    if (status.is_number_integer()) out.status.push_back(status.get<int>());
  return out;
}
json probe(const HttpProbe& p) {
  json out = {{"port", p.port}, {"path", p.path}};
  if (!p.status.empty()) out["status"] = p.status;
  return out;
}

FrameworkClassSpec decode(const json& spec) {
  FrameworkClassSpec out;
  for (const auto& c : child(spec, "components")) {
    Component component{text(c, "name"), flag(c, "optional"), texts(child(c, "dependsOn")), {}};
    for (const auto& h : child(c, "health"))
      component.health.push_back(
          {text(h, "name"), probe(child(h, "http")), static_cast<int>(integer(h, "timeoutSeconds", 300))});
    out.components.push_back(std::move(component));
  }
  for (const auto& s : child(spec, "stores")) {
    StoreClass store;
    store.name = text(s, "name");
    store.driver = text(s, "driver", "postgres");
    store.optional = flag(s, "optional");
    store.schemaQuery = text(child(s, "schema"), "query");
    for (const auto& c : child(s, "checks")) {
      DataCheck check{text(c, "name"), text(c, "query"), std::nullopt};
      if (child(c, "min").is_number_integer()) check.min = integer(c, "min");
      store.checks.push_back(std::move(check));
    }
    for (const auto& a : child(s, "afterStage")) store.afterStage.push_back({text(a, "name"), text(a, "statement")});
    out.stores.push_back(std::move(store));
  }
  for (const auto& k : child(spec, "keys")) out.keys.push_back({text(k, "name"), text(k, "component"), text(k, "env")});
  for (const auto& r : child(spec, "rules"))
    out.rules.push_back({text(r, "crossing"), texts(child(r, "scope")), text(r, "note")});
  for (const auto& c : child(spec, "checks")) {
    const json& http = child(c, "http");
    out.checks.push_back({text(c, "name"), text(http, "component"), probe(http)});
  }
  return out;
}

}  // namespace

Result<FrameworkClass> decodeFrameworkClass(std::string_view document) {
  FrameworkClass out;
  auto doc = object(document, kFrameworkClasses, out.meta);
  if (!doc) return doc.error();
  out.spec = decode(child(*doc, "spec"));
  return out;
}

Result<FrameworkClassSpec> decodeFrameworkClassSpec(std::string_view document) {
  const json doc = json::parse(document, nullptr, false);
  if (!doc.is_object()) return Error{ErrorCode::Protocol, "the frozen class is not a JSON object"};
  return decode(doc);
}

std::string encodeFrameworkClassSpec(const FrameworkClassSpec& spec) {
  json out = {{"components", json::array()}, {"stores", json::array()}};
  for (const auto& c : spec.components) {
    json component = {{"name", c.name}};
    put(component, "optional", c.optional);
    put(component, "dependsOn", json(c.dependsOn));
    json health = json::array();
    for (const auto& h : c.health)
      health.push_back({{"name", h.name}, {"http", probe(h.http)}, {"timeoutSeconds", h.timeoutSeconds}});
    put(component, "health", health);
    out["components"].push_back(std::move(component));
  }
  for (const auto& s : spec.stores) {
    json store = {{"name", s.name}, {"driver", s.driver}};
    put(store, "optional", s.optional);
    if (!s.schemaQuery.empty()) store["schema"] = {{"query", s.schemaQuery}};
    json checks = json::array();
    for (const auto& c : s.checks) {
      json check = {{"name", c.name}, {"query", c.query}};
      if (c.min) check["min"] = *c.min;
      checks.push_back(std::move(check));
    }
    put(store, "checks", checks);
    json afterStage = json::array();
    for (const auto& a : s.afterStage) afterStage.push_back({{"name", a.name}, {"statement", a.statement}});
    put(store, "afterStage", afterStage);
    out["stores"].push_back(std::move(store));
  }
  json keys = json::array(), rules = json::array(), checks = json::array();
  for (const auto& k : spec.keys) keys.push_back({{"name", k.name}, {"component", k.component}, {"env", k.env}});
  for (const auto& r : spec.rules) rules.push_back({{"crossing", r.crossing}, {"scope", r.scope}, {"note", r.note}});
  for (const auto& c : spec.checks) {
    json http = probe(c.http);
    http["component"] = c.component;
    checks.push_back({{"name", c.name}, {"http", http}});
  }
  put(out, "keys", keys);
  put(out, "rules", rules);
  put(out, "checks", checks);
  return dump(out);
}

}  // namespace rollback::api
