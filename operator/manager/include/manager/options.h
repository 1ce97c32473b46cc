// Command line and environment of rollback-operator.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace rollback::manager {

struct Options {
  std::string metricsAddress = ":8080";
  std::string healthAddress = ":8081";
  std::string moverImage;  // --mover-image or $MOVER_IMAGE
  std::string imagePullPolicy = "IfNotPresent";
  std::string kubeconfig;      // empty: in-cluster or $KUBECONFIG
  std::string leaseNamespace;  // $POD_NAMESPACE, else the credentials' own
  std::string instance;        // $POD_NAME, else the host's name
  std::string logFormat = "json", logLevel = "info";
  bool leaderElection = true;
  int workers = 4;
  bool help = false;
};

// BadInput names the flag and what it takes.
Result<Options> parseOptions(const std::vector<std::string>& arguments);
const char* usage();

}  // namespace rollback::manager
