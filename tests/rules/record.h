// One write to the API server, as its audit log tells it: who, what, with which body, and the answer.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace rollback::rules {

using nlohmann::json;

// `request` and `response` point into what it was made from and may be null: the audit policy leaves bodies of some
// kinds out.
struct Record {
  WallTime at{};
  std::string user;          // who sent it
  std::string impersonated;  // whom it was sent as, empty: as itself
  std::string verb;          // create, update, patch, delete, deletecollection
  std::string group, resource, subresource, namespace_, name;
  int code = 200;
  bool dryRun = false;
  const json* request = nullptr;
  const json* response = nullptr;

  bool accepted() const { return code / 100 == 2 && !dryRun; }
  std::string what() const {
    return verb + " " + resource + (subresource.empty() ? "" : "/" + subresource) + " " + namespace_ + "/" + name;
  }
};

// A line of an audit log (audit.k8s.io/v1 Event). `request` and `response` of the result point into `line`. Absent: not
// a write, or not yet answered.
std::optional<Record> recordOf(const json& line);

}  // namespace rollback::rules
