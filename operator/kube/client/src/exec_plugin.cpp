#include "exec_plugin.h"

#include <nlohmann/json.hpp>

#include "pem.h"

namespace rollback::kube {

namespace {

using nlohmann::json;

constexpr Millis kExpiryLeeway{10000};  // a request must arrive before its token expires, not only leave

std::string text(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

Result<ExecCredential> decodeExecCredential(const std::string& printed, const std::string& apiVersion) {
  const auto wrong = [](const std::string& what) { return Error{ErrorCode::Protocol, "the plugin's output " + what}; };
  const json document = json::parse(printed, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object() || text(document, "kind") != "ExecCredential") return wrong("is no ExecCredential");
  if (text(document, "apiVersion") != apiVersion) {
    return wrong("has another apiVersion than the kubeconfig names (" + apiVersion + ")");
  }
  const auto status = document.find("status");
  if (status == document.end() || !status->is_object()) return wrong("has no status");
  ExecCredential credential;
  credential.token = text(*status, "token");
  credential.certificatePem = text(*status, "clientCertificateData");
  credential.keyPem = text(*status, "clientKeyData");
  if (credential.certificatePem.empty() != credential.keyPem.empty())
    return wrong("has a certificate or a key, not both");
  if (credential.token.empty() && credential.keyPem.empty()) return wrong("has neither a token nor a certificate");
  if (!credential.keyPem.empty()) {
    if (const auto pair = checkKeyPair(credential.certificatePem, credential.keyPem); !pair) {
      return wrong("cannot be used: " + pair.error().message);
    }
  }
  if (const std::string expires = text(*status, "expirationTimestamp"); !expires.empty()) {
    WallTime at;
    if (!parseTime(expires, at)) return wrong("has an expirationTimestamp that is no RFC 3339 time");
    credential.expires = at;
  }
  return credential;
}

ExecPlugin::ExecPlugin(ExecPluginConfig config, const std::string& source, const std::string& clusterInfo, Run run,
                       Millis deadline, const Clock& clock)
    : config_(std::move(config)), source_(source), run_(std::move(run)), clock_(clock) {
  json info = {{"apiVersion", config_.apiVersion}, {"kind", "ExecCredential"}, {"spec", {{"interactive", false}}}};
  if (config_.provideClusterInfo) info["spec"]["cluster"] = json::parse(clusterInfo, nullptr, false);
  command_.argv = config_.argv;
  command_.environment = config_.environment;
  command_.environment.emplace_back("KUBERNETES_EXEC_INFO", info.dump(-1, ' ', false, json::error_handler_t::replace));
  command_.deadline = deadline;
}

bool ExecPlugin::usable() const {
  return cached_ && (!cached_->expires || clock_.wall() + kExpiryLeeway < *cached_->expires);
}

Result<ExecCredential> ExecPlugin::runOnce() const {
  const auto explain = [&](Error error) {
    error.message = "asking the exec plugin of " + source_ + " for a credential: " + error.message;
    if (error.code == ErrorCode::NotFound && !config_.installHint.empty()) error.message += "; " + config_.installHint;
    error.code = ErrorCode::Unauthorized;
    return error;
  };
  const auto printed = run_(command_);
  if (!printed) return explain(printed.error());
  auto credential = decodeExecCredential(*printed, config_.apiVersion);
  if (!credential) return explain(credential.error());
  return credential;
}

Result<ExecCredential> ExecPlugin::credential() {
  std::unique_lock<std::mutex> lock(mutex_);
  if (usable()) return *cached_;
  while (running_) {
    const std::uint64_t seen = runs_;
    ended_.wait(lock, [&] { return runs_ != seen; });  // bounded by the child's deadline
    if (failure_) return *failure_;
    if (cached_) return *cached_;  // else it was refused in the meantime
  }
  running_ = true;
  const MonoTime started = clock_.now();
  lock.unlock();
  auto fresh = runOnce();
  lock.lock();
  running_ = false;
  ++runs_;
  failure_.reset();
  cached_.reset();
  if (fresh) {
    cached_ = *fresh;
    obtained_ = started;
  } else {
    failure_ = fresh.error();
  }
  ended_.notify_all();
  return fresh;
}

void ExecPlugin::forget(MonoTime before) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (cached_ && obtained_ <= before) cached_.reset();
}

}  // namespace rollback::kube
