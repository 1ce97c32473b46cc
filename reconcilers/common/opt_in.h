// What to say where a namespace has not let us in, with the command that does.
#pragma once

#include <string>

#include "api/resources.h"

namespace rollback::reconcilers {

inline constexpr const char* kNotOptedIn = "NotOptedIn";

inline std::string optInCommand(const std::string& namespace_) {
  const std::string runner = api::kRunner;
  return "kubectl create serviceaccount " + runner + " -n " + namespace_ + "; kubectl create rolebinding " + runner +
         " -n " + namespace_ + " --clusterrole=" + runner + " --serviceaccount=" + namespace_ + ":" + runner;
}

inline std::string notOptedIn(const std::string& namespace_) {
  return "namespace " + namespace_ + " has not opted in: its ServiceAccount " + api::kRunner +
         " may not act here, so nothing is done. To opt in: " + optInCommand(namespace_);
}

}  // namespace rollback::reconcilers
