// ExecPlugin: a credential that a program prints (ExecCredential, KEP-541), kept until it expires or is refused.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "access.h"
#include "base/clock.h"
#include "base/result.h"

namespace rollback::kube {

struct ExecCredential {
  std::string token;
  std::string certificatePem, keyPem;  // both or neither
  std::optional<WallTime> expires;
};

// Protocol error, without a word of the text, unless it is an ExecCredential of that apiVersion with a token, or with
// certificate and key that belong together.
Result<ExecCredential> decodeExecCredential(const std::string& text, const std::string& apiVersion);

// Thread-safe. One run at a time: who comes while the program runs waits for it (at most its deadline) and gets its
// result.
class ExecPlugin {
 public:
  using Run = std::function<Result<std::string>(const PluginCommand&)>;
  // `clusterInfo`: JSON of spec.cluster for plugins that want it.
  ExecPlugin(ExecPluginConfig config, const std::string& source, const std::string& clusterInfo, Run run,
             Millis deadline, const Clock& clock);

  Result<ExecCredential> credential();
  // Forgets a credential obtained at `before` or earlier; a newer one has not been refused yet.
  void forget(MonoTime before);

 private:
  Result<ExecCredential> runOnce() const;
  bool usable() const;

  const ExecPluginConfig config_;
  const std::string source_;
  const Run run_;
  const Clock& clock_;
  PluginCommand command_;

  std::mutex mutex_;  // guards all below
  std::condition_variable ended_;
  bool running_ = false;
  std::uint64_t runs_ = 0;  // ended ones
  std::optional<ExecCredential> cached_;
  MonoTime obtained_{};
  std::optional<Error> failure_;  // of the last run
};

}  // namespace rollback::kube
