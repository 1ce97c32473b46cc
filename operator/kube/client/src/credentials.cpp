#include "kube/client/credentials.h"

#include <cstdlib>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>

#include "access.h"
#include "child_process.h"
#include "exec_plugin.h"
#include "files.h"
#include "pem.h"

namespace rollback::kube {

namespace {

// client-go reads tokens again after 60 s less 10 s of leeway, certificates after 5 min; the files are small, so ours
// share the shorter time.
constexpr Millis kReread{50000};

struct Server {
  std::string origin;  // "https://host:6443"
  std::string prefix;  // "/k8s/clusters/c-1", "" for most
  bool secure = true;
};

Result<Server> parseServer(const std::string& text, const std::string& source) {
  const auto bad = [&](const std::string& what) {
    return Error{ErrorCode::BadInput,
                 "reading the server's address in " + source + ": " + what + "; write https://host:port"};
  };
  if (text.empty()) return bad("there is none");
  Server server;
  const std::size_t scheme = text.find("://");
  if (scheme == std::string::npos) return bad("'" + text + "' has no scheme");
  server.secure = text.compare(0, scheme, "https") == 0;
  if (!server.secure && text.compare(0, scheme, "http") != 0) return bad("its scheme is neither https nor http");
  if (text.find_first_of("@?# \t\r\n") != std::string::npos) return bad("it holds more than a host, a port and a path");
  const std::size_t path = text.find('/', scheme + 3);
  server.origin = text.substr(0, path);
  if (server.origin.size() == scheme + 3) return bad("it has no host");
  if (path != std::string::npos) server.prefix = text.substr(path);
  while (!server.prefix.empty() && server.prefix.back() == '/') server.prefix.pop_back();
  return server;
}

// For servers behind a path, as some cluster managers publish them.
class PrefixTransport final : public http::Transport {
 public:
  PrefixTransport(std::shared_ptr<http::Transport> inner, std::string prefix)
      : inner_(std::move(inner)), prefix_(std::move(prefix)) {}

  Result<http::Response> send(const http::Request& request, Deadline deadline,
                              const http::CancelToken& cancel) override {
    return inner_->send(prefixed(request), deadline, cancel);
  }
  Result<void> stream(const http::Request& request, Deadline deadline, Millis idle, const http::CancelToken& cancel,
                      const std::function<bool(const http::Response&)>& onHead,
                      const std::function<bool(std::string_view)>& onBytes) override {
    return inner_->stream(prefixed(request), deadline, idle, cancel, onHead, onBytes);
  }

 private:
  http::Request prefixed(http::Request request) const {
    request.target.insert(0, prefix_);
    return request;
  }
  const std::shared_ptr<http::Transport> inner_;
  const std::string prefix_;
};

// A header value: no line ends (they would end the header), no other control characters, nothing beyond ASCII.
Result<std::string> cleanToken(const std::string& text, const std::string& from) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  const std::string token =
      begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
  for (const unsigned char c : token) {
    if (c <= 0x20 || c >= 0x7f) {
      return Error{ErrorCode::Unauthorized, "using the token of " + from + ": it holds characters no token can have"};
    }
  }
  if (token.empty()) return Error{ErrorCode::Unauthorized, "using the token of " + from + ": it is empty"};
  return token;
}

// PEM text that is fixed, or a file that rotates; nothing gives "".
class PemReader {
 public:
  PemReader(const PemSource& source, const Clock& clock) : text_(source.text) {
    if (!source.file.empty()) file_.emplace(source.file, kReread, clock);
  }
  Result<std::string> read() { return file_ ? file_->read() : Result<std::string>(text_); }
  void forget(MonoTime before) {
    if (file_) file_->forget(before);
  }

 private:
  const std::string text_;
  std::optional<RotatingFile> file_;
};

bool same(const http::TlsConfig& a, const http::TlsConfig& b) {
  return a.caPem == b.caPem && a.certificatePem == b.certificatePem && a.keyPem == b.keyPem;  // the rest is fixed
}

class LiveCredentials final : public Credentials {
 public:
  LiveCredentials(Access access, Server server, const CredentialsOptions& options, const Clock& clock,
                  const std::string& clusterInfo)
      : access_(std::move(access)),
        server_(std::move(server)),
        makeTransport_(options.makeTransport),
        ca_(access_.ca, clock),
        certificate_(access_.certificate, clock),
        key_(access_.key, clock) {
    if (!access_.tokenFile.empty()) tokenFile_.emplace(access_.tokenFile, kReread, clock);
    if (access_.exec)
      plugin_.emplace(*access_.exec, access_.source, clusterInfo, options.runPlugin, options.pluginDeadline, clock);
  }

  Result<std::shared_ptr<http::Transport>> transport() override;
  Result<std::string> authorization() override;
  void rejected(MonoTime sent) override;
  std::string defaultNamespace() const override { return access_.defaultNamespace; }
  std::string impersonate() const override { return access_.impersonate; }

 private:
  Result<http::TlsConfig> readTls();
  Result<void> check(const http::TlsConfig& tls) const;

  const Access access_;
  const Server server_;
  const std::function<Result<std::shared_ptr<http::Transport>>(const http::TransportConfig&)> makeTransport_;
  PemReader ca_, certificate_, key_;
  std::optional<RotatingFile> tokenFile_;
  std::optional<ExecPlugin> plugin_;

  std::mutex mutex_;  // guards transport_ and tls_
  std::shared_ptr<http::Transport> transport_;
  http::TlsConfig tls_;  // what transport_ was made of
};

Result<http::TlsConfig> LiveCredentials::readTls() {
  http::TlsConfig tls;
  tls.serverName = access_.tlsServerName;
  tls.insecureSkipVerify = access_.insecureSkipVerify;
  auto ca = ca_.read(), certificate = certificate_.read(), key = key_.read();
  for (const auto* each : {&ca, &certificate, &key}) {
    // Never NotFound: to whoever sends a request that would say the object is not there.
    if (!*each) return Error{ErrorCode::Tls, each->error().message};
  }
  tls.caPem = std::move(*ca);
  tls.certificatePem = std::move(*certificate);
  tls.keyPem = std::move(*key);
  if (plugin_) {
    auto credential = plugin_->credential();
    if (!credential) return credential.error();
    if (!credential->keyPem.empty()) {
      tls.certificatePem = std::move(credential->certificatePem);
      tls.keyPem = std::move(credential->keyPem);
    }
  }
  return tls;
}

Result<void> LiveCredentials::check(const http::TlsConfig& tls) const {
  Result<void> fine;
  if (!tls.caPem.empty()) fine = checkCertificates(tls.caPem);
  const char* what = "the certificate authority";
  if (fine && !tls.keyPem.empty()) {
    fine = checkKeyPair(tls.certificatePem, tls.keyPem);
    what = "the client certificate";
  }
  if (fine) return fine;
  return Error{ErrorCode::Tls, std::string("using ") + what + " of " + access_.source + ": " + fine.error().message};
}

Result<std::shared_ptr<http::Transport>> LiveCredentials::transport() {
  http::TlsConfig tls;
  if (server_.secure) {
    auto read = readTls();
    if (!read) return read.error();
    tls = std::move(*read);
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (transport_ && same(tls, tls_)) return transport_;
  }
  // New material. Whatever is wrong with it, the transport that worked goes on working (a rotation half done).
  const auto keepOr = [&](Error error) -> Result<std::shared_ptr<http::Transport>> {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (transport_) return transport_;
    return error;
  };
  if (const auto fine = check(tls); !fine) return keepOr(fine.error());
  http::TransportConfig config;
  config.origin = server_.origin;
  config.tls = tls;
  auto made = makeTransport_(config);
  if (!made) return keepOr(made.error());
  std::shared_ptr<http::Transport> fresh = std::move(*made);
  if (!server_.prefix.empty()) fresh = std::make_shared<PrefixTransport>(fresh, server_.prefix);
  const std::lock_guard<std::mutex> lock(mutex_);
  transport_ = fresh;  // the old one, and its connections with the old identity, die with their last request
  tls_ = std::move(tls);
  return fresh;
}

Result<std::string> LiveCredentials::authorization() {
  if (!server_.secure) return std::string();  // nothing secret over a connection anybody can read
  std::string token = access_.token, from = access_.source;
  if (tokenFile_) {
    auto text = tokenFile_->read();
    if (!text) return Error{ErrorCode::Unauthorized, text.error().message};
    token = std::move(*text);
    from = tokenFile_->path();
  } else if (plugin_) {
    auto credential = plugin_->credential();
    if (!credential) return credential.error();
    token = std::move(credential->token);
    from = "the exec plugin of " + from;
  }
  if (token.empty()) return std::string();
  const auto clean = cleanToken(token, from);
  if (!clean) return clean.error();
  return "Bearer " + *clean;
}

void LiveCredentials::rejected(MonoTime sent) {
  if (tokenFile_) tokenFile_->forget(sent);
  if (plugin_) plugin_->forget(sent);
  for (PemReader* each : {&certificate_, &key_}) each->forget(sent);
}

// spec.cluster of the ExecCredential a plugin is given; the CA as it is now.
Result<std::string> clusterInfo(const Access& access) {
  nlohmann::json cluster = {{"server", access.server}};
  if (!access.tlsServerName.empty()) cluster["tls-server-name"] = access.tlsServerName;
  if (access.insecureSkipVerify) cluster["insecure-skip-tls-verify"] = true;
  std::string ca = access.ca.text;
  if (!access.ca.file.empty()) {
    auto text = readFile(access.ca.file);
    if (!text) return text.error();
    ca = std::move(*text);
  }
  if (!ca.empty()) cluster["certificate-authority-data"] = encodeBase64(ca);
  if (access.exec && !access.exec->clusterConfig.empty()) {
    cluster["config"] = nlohmann::json::parse(access.exec->clusterConfig, nullptr, false);
  }
  return cluster.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::vector<std::string> splitPaths(const std::string& list) {
  std::vector<std::string> paths;
  std::size_t begin = 0;
  while (begin <= list.size()) {
    const std::size_t end = std::min(list.find(':', begin), list.size());
    if (end > begin) paths.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return paths;
}

// The order users know from kubectl and controller-runtime: what was asked for, $KUBECONFIG, the pod, the home
// directory.
Result<Access> findAccess(const CredentialsOptions& options) {
  const auto asked = splitPaths(options.kubeconfig);
  if (!asked.empty()) return kubeconfigAccess(asked, asked.size() > 1, options.context);
  const auto variable = splitPaths(options.environment("KUBECONFIG"));
  if (!variable.empty()) return kubeconfigAccess(variable, true, options.context);
  if (!options.environment("KUBERNETES_SERVICE_HOST").empty()) return inClusterAccess(options);
  const std::string home = options.environment("HOME");
  if (!home.empty()) return kubeconfigAccess({home + "/.kube/config"}, true, options.context);
  return Error{
      ErrorCode::NotFound,
      "looking for credentials: no kubeconfig was named, $KUBECONFIG and $HOME are not set and this is no pod"};
}

std::string processEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

Result<std::shared_ptr<Credentials>> loadCredentials(const CredentialsOptions& given, const Clock& clock) {
  CredentialsOptions options = given;
  if (!options.environment) options.environment = processEnvironment;
  if (!options.runPlugin) options.runPlugin = runChild;
  if (!options.makeTransport) {
    options.makeTransport = [&clock](const http::TransportConfig& config) {
      return http::makeTransport(config, clock);
    };
  }
  auto access = findAccess(options);
  if (!access) return access.error();
  auto server = parseServer(access->server, access->source);
  if (!server) return server.error();
  std::string info = "{}";
  if (access->exec && access->exec->provideClusterInfo) {
    auto described = clusterInfo(*access);
    if (!described) return described.error();
    info = std::move(*described);
  }
  return std::shared_ptr<Credentials>(
      std::make_shared<LiveCredentials>(std::move(*access), std::move(*server), options, clock, info));
}

}  // namespace rollback::kube
