// metav1: the parts of every object that code of ours reads or writes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"

namespace rollback::kube {

struct OwnerReference {
  std::string apiVersion, kind, name, uid;
  bool controller = false;
  bool blockOwnerDeletion = false;
};

struct ObjectMeta {
  std::string name, namespace_, uid, resourceVersion;
  std::int64_t generation = 0;
  std::string creationTimestamp;  // RFC 3339, as the server wrote it
  std::string deletionTimestamp;  // empty: not being deleted
  std::map<std::string, std::string> labels, annotations;
  std::vector<std::string> finalizers;
  std::vector<OwnerReference> ownerReferences;

  bool deleting() const { return !deletionTimestamp.empty(); }
};

// metav1.Condition. lastTransitionTime moves only when status flips (setCondition does that).
struct Condition {
  std::string type;
  std::string status;  // True, False, Unknown
  std::string reason;  // CamelCase, never empty
  std::string message;
  std::string lastTransitionTime;  // RFC 3339
  std::int64_t observedGeneration = 0;
  bool operator==(const Condition&) const = default;
};

// Adds or replaces by type; keeps lastTransitionTime when the status stays.
void setCondition(std::vector<Condition>& conditions, Condition next);
const Condition* findCondition(const std::vector<Condition>& conditions, const std::string& type);

}  // namespace rollback::kube
