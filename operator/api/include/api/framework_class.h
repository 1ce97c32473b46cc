// FrameworkClass: knowledge about a framework, cluster-scoped. Adding a framework is applying one of these.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kube/objects/meta.h"

namespace rollback::api {

struct HttpProbe {
  int port = 0;  // of the pod; through the component's Service when it has one
  std::string path = "/";
  std::vector<int> status{};  // accepted statuses; empty: 200-399
};

struct HealthCheck {
  std::string name;
  HttpProbe http;
  int timeoutSeconds = 300;
};

struct Component {
  std::string name;
  bool optional = false;
  std::vector<std::string> dependsOn;  // started before this one; stopped after it
  std::vector<HealthCheck> health;
};

struct DataCheck {
  std::string name;
  std::string query;  // one row, one column
  std::optional<std::int64_t> min;
};

// SQL run on the staged copy once it was found equal to the backup.
struct AfterStageStatement {
  std::string name, statement;
};

struct StoreClass {
  std::string name;
  std::string driver = "postgres";
  bool optional = false;
  std::string schemaQuery;  // spec.stores[].schema.query: its rows, as a set, are the schema level
  std::vector<DataCheck> checks;
  std::vector<AfterStageStatement> afterStage;  // in this order
};

struct KeyClass {
  std::string name, component, env;
};

struct VersionRule {
  std::string crossing;            // a step from at or above this version to below it
  std::vector<std::string> scope;  // what must go back with it: Databases
  std::string note;
};

// An integration check, run in Verify: any of the component's pods behind its Service answers.
struct ClassCheck {
  std::string name, component;
  HttpProbe http;
};

struct FrameworkClassSpec {
  std::vector<Component> components;
  std::vector<StoreClass> stores;
  std::vector<KeyClass> keys;
  std::vector<VersionRule> rules;
  std::vector<ClassCheck> checks;
};

struct FrameworkClass {
  kube::ObjectMeta meta;
  FrameworkClassSpec spec;
};

Result<FrameworkClass> decodeFrameworkClass(std::string_view json);
// The spec alone, as it is frozen into a rollback's status.
std::string encodeFrameworkClassSpec(const FrameworkClassSpec& spec);
Result<FrameworkClassSpec> decodeFrameworkClassSpec(std::string_view json);

}  // namespace rollback::api
