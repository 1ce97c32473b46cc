// Where the API server is and who we are: in-cluster ServiceAccount or kubeconfig (certificates, token, token file, exec
// plugin). Rotated material is picked up without a restart (client-go transport/token_source.go, cert_rotation.go).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "http/transport.h"

namespace rollback::kube {

// Thread-safe.
class Credentials {
 public:
  virtual ~Credentials() = default;
  // The transport to use now; replaced when CA or client certificate changed.
  virtual Result<std::shared_ptr<http::Transport>> transport() = 0;
  // Value of the Authorization header, empty if the certificate is the credential.
  virtual Result<std::string> authorization() = 0;
  // After a 401: forget what was cached before `sent`.
  virtual void rejected(MonoTime sent) = 0;
  // The namespace to work in when none is given ("default" if the source names none).
  virtual std::string defaultNamespace() const = 0;
  // kubeconfig's own impersonation (`as`), empty if none.
  virtual std::string impersonate() const = 0;
};

struct CredentialsOptions {
  std::string kubeconfig;  // path(s, separated by ':'); empty: $KUBECONFIG, else in-cluster, else ~/.kube/config
  std::string context;     // empty: current-context
  // Tests put their own transport here.
  std::function<Result<std::shared_ptr<http::Transport>>(const http::TransportConfig&)> makeTransport;
};

// Errors say which file, which context and which field; never their secret content.
Result<std::shared_ptr<Credentials>> loadCredentials(const CredentialsOptions& options, const Clock& clock);

}  // namespace rollback::kube
