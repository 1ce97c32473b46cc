// Where the API server is and who we are: in-cluster ServiceAccount or kubeconfig (certificates, token, token file,
// exec plugin). Rotated material is picked up without a restart (client-go transport/token_source.go,
// cert_rotation.go).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

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

// A program to run for its standard output; no shell sees the words.
struct PluginCommand {
  std::vector<std::string> argv;                                 // argv[0] is looked up on PATH unless it holds a '/'
  std::vector<std::pair<std::string, std::string>> environment;  // added to our own; holds no secret of ours
  Millis deadline{0};                                            // real time, from the start; then it is killed
};

struct CredentialsOptions {
  std::string kubeconfig;  // path(s, separated by ':'); empty: $KUBECONFIG, else in-cluster, else ~/.kube/config
  std::string context;     // empty: current-context
  // Tests put their own transport here; empty: http::makeTransport.
  std::function<Result<std::shared_ptr<http::Transport>>(const http::TransportConfig&)> makeTransport;
  // Value of an environment variable, "" if unset; empty: the process' environment.
  std::function<std::string(const char* name)> environment;
  // Runs an exec plugin; Error if it cannot be started, fails or outlives the deadline. Empty: runs the program.
  std::function<Result<std::string>(const PluginCommand&)> runPlugin;
  Millis pluginDeadline{30000};  // of each run, in real time
  std::string serviceAccountDirectory = "/var/run/secrets/kubernetes.io/serviceaccount";
};

// Errors say which file, which context and which field; never their secret content.
//
// In-cluster (no kubeconfig, KUBERNETES_SERVICE_HOST set): token, ca.crt and namespace of the ServiceAccount's mount.
// Kubeconfig: several files are merged as client-go does, the first to name something wins; files of a list that do not
// exist are passed over, relative paths are relative to their file. What cannot be honoured is refused by name:
// proxy-url, auth-provider, username/password, as-groups, as-uid, as-user-extra, and exec plugins that need a terminal.
// Over http:// no credential is ever sent.
//
// Rotation: token files are read again after 50 s, CA bundles, certificates and keys as well; if they cannot be used
// then (missing, empty, a pair that does not match) the last good ones stay. An exec plugin runs again shortly before
// its credential expires or after a 401, never twice at once, and is killed at its deadline. `clock` must outlive the
// result.
Result<std::shared_ptr<Credentials>> loadCredentials(const CredentialsOptions& options, const Clock& clock);

}  // namespace rollback::kube
