// kubeconfig files: whatever they hold, an access that can be used or an error that names the file and holds no secret.
#include <unistd.h>

#include <fstream>

#include "access.h"
#include "fuzz.h"

namespace {

constexpr std::string_view secret = "S3cretOfTheSeeds";

// A secret that the input also gives as a name, or as a key, is none.
bool onlySecret(std::string_view input) {
  for (auto at = input.find(secret); at != input.npos; at = input.find(secret, at + 1)) {
    const auto before = input.substr(0, at);
    if (!before.ends_with("token: ") && !before.ends_with("password: ") && !before.ends_with("value: ")) return false;
  }
  return true;
}

}  // namespace

void rollback::fuzz::one(std::string_view input) {
  static const std::string path = "/tmp/kubeconfig-fuzz-" + std::to_string(getpid());
  std::ofstream(path, std::ios::binary | std::ios::trunc) << input;
  const auto access = kube::kubeconfigAccess({path}, false, "");
  std::remove(path.c_str());
  if (!access) {
    require(!onlySecret(input) || access.error().message.find(secret) == std::string::npos, "no secret in an error");
    return;
  }
  require(!access->source.empty() && !access->defaultNamespace.empty(), "where it is from, and a namespace");
  require(access->certificate.empty() == access->key.empty() || access->exec, "a certificate and its key, or neither");
  if (access->exec) require(!access->exec->argv.empty() && !access->exec->argv[0].empty(), "a plugin has a name");
}
