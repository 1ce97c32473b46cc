// What a kubeconfig context or the ServiceAccount's mount says about one API server, before anything is read again or
// run: the common input of both sources to Credentials.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "kube/client/credentials.h"

namespace rollback::kube {

// A plugin that prints an ExecCredential (client.authentication.k8s.io).
struct ExecPluginConfig {
  std::string apiVersion;  // client.authentication.k8s.io/v1 or v1beta1
  std::vector<std::string> argv;
  std::vector<std::pair<std::string, std::string>> environment;
  std::string installHint;
  bool provideClusterInfo = false;
  std::string clusterConfig;  // JSON of the cluster's extension for plugins, "" if none
};

// PEM text, or the file it is read from; neither: absent.
struct PemSource {
  std::string text, file;

  bool empty() const { return text.empty() && file.empty(); }
};

struct Access {
  std::string source;  // "context demo of /home/me/.kube/config": where errors send the reader
  std::string server;  // as written, "https://host:6443/prefix"
  PemSource ca, certificate, key;
  bool insecureSkipVerify = false;
  std::string tlsServerName;
  std::string token, tokenFile;
  std::optional<ExecPluginConfig> exec;
  std::string impersonate;
  std::string defaultNamespace = "default";
};

Result<Access> inClusterAccess(const CredentialsOptions& options);

// Reads, merges and checks the files of `paths`. `optional`: a missing file is passed over, unless all are missing
// (NotFound).
Result<Access> kubeconfigAccess(const std::vector<std::string>& paths, bool optional, const std::string& context);

}  // namespace rollback::kube
