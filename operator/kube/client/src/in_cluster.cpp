#include "access.h"
#include "files.h"

namespace rollback::kube {

Result<Access> inClusterAccess(const CredentialsOptions& options) {
  Access access;
  const std::string& directory = options.serviceAccountDirectory;
  access.source = "the ServiceAccount mounted at " + directory;
  std::string host = options.environment("KUBERNETES_SERVICE_HOST");
  const std::string port = options.environment("KUBERNETES_SERVICE_PORT");
  if (host.empty() || port.empty()) {
    return Error{
        ErrorCode::NotFound,
        "looking for the API server of this pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not both set"};
  }
  if (host.find(':') != std::string::npos && host.front() != '[') host = "[" + host + "]";  // IPv6
  access.server = "https://" + host + ":" + port;
  access.ca.file = directory + "/ca.crt";
  access.tokenFile = directory + "/token";
  access.defaultNamespace = options.environment("POD_NAMESPACE");
  if (access.defaultNamespace.empty()) {
    const auto text = readFile(directory + "/namespace");
    if (text) access.defaultNamespace = text->substr(0, text->find_last_not_of(" \t\r\n") + 1);
  }
  if (access.defaultNamespace.empty()) access.defaultNamespace = "default";
  return access;
}

}  // namespace rollback::kube
