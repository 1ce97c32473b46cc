// kubeconfig files: whatever they hold, an access that can be used or an error that names the file and holds no secret.
#include <unistd.h>

#include <fstream>

#include "access.h"
#include "fuzz.h"

void rollback::fuzz::one(std::string_view input) {
  static const std::string path = "/tmp/kubeconfig-fuzz-" + std::to_string(getpid());
  std::ofstream(path, std::ios::binary | std::ios::trunc) << input;
  const auto access = kube::kubeconfigAccess({path}, false, "");
  std::remove(path.c_str());
  if (!access) {
    require(access.error().message.find("S3cretOfTheSeeds") == std::string::npos, "no secret in an error");
    return;
  }
  require(!access->source.empty() && !access->defaultNamespace.empty(), "where it is from, and a namespace");
  require(access->certificate.empty() == access->key.empty() || access->exec, "a certificate and its key, or neither");
  if (access->exec) require(!access->exec->argv.empty() && !access->exec->argv[0].empty(), "a plugin has a name");
}
