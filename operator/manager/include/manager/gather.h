// Gatherer: the live reads behind a decision. Nothing a step decides from comes from a cache (S8, S9): objects are read
// in the pass that acts on them; caches only tell when to look.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/snapshot.h"
#include "http/transport.h"
#include "kube/client/client.h"
#include "runtime/store.h"

namespace rollback::manager {

// Gives a fresh token at each call: text nobody guesses. Called from several threads at once.
using TokenSource = std::function<std::string()>;
// 128 random bits of the system each.
TokenSource systemTokens();

// Where the databases of a Framework live, however their addresses are written.
std::vector<std::string> databasesOf(const api::Framework& framework);

// Thread-safe.
class Gatherer {
 public:
  // `frameworks` is the cache of all Frameworks, with databasesOf as index "database": who else uses one is looked up
  // there. `rollbacks` that of all rollbacks, with the index "framework": what earlier ones took.
  Gatherer(std::shared_ptr<kube::Client> client, const Clock& clock, const runtime::Store<api::Framework>& frameworks,
           const runtime::Store<api::FrameworkRollback>& rollbacks, TokenSource tokens);

  struct Call {
    Deadline deadline;
    http::CancelToken cancel;
  };
  // An absent optional: the object is gone.
  Result<std::optional<reconcilers::RollbackSnapshot>> rollback(const std::string& namespace_, const std::string& name,
                                                                const Call& call);
  Result<std::optional<reconcilers::BackupSnapshot>> backup(const std::string& namespace_, const std::string& name,
                                                            const Call& call);
  Result<std::optional<reconcilers::FrameworkSnapshot>> framework(const std::string& namespace_,
                                                                  const std::string& name, const Call& call);
  Result<std::optional<reconcilers::RepositorySnapshot>> repository(const std::string& namespace_,
                                                                    const std::string& name, const Call& call);

 private:
  // Absent: there is none.
  Result<std::optional<std::string>> read(const kube::Request& request, const Call& call);
  template <typename T>
  Result<std::optional<T>> object(const kube::Request& request, Result<T> (*decode)(std::string_view),
                                  const Call& call) {
    auto text = read(request, call);
    if (!text) return text.error();
    if (!*text) return std::optional<T>();
    auto decoded = decode(**text);
    if (!decoded) return decoded.error();
    return std::optional<T>(std::move(*decoded));
  }
  // Calls `use` with each object of a list, which is read in pages of `pageSize` (0: in one).
  template <typename T, typename Use>
  Result<void> each(const kube::Request& request, int pageSize, Result<T> (*decode)(std::string_view), const Call& call,
                    Use use) {
    auto listed =
        client_->list(request, pageSize, call.deadline, call.cancel, [&](std::string_view item) -> Result<void> {
          auto decoded = decode(item);
          if (!decoded) return decoded.error();
          use(std::move(*decoded));
          return {};
        });
    return listed ? Result<void>() : listed.error();
  }
  // Every FrameworkBackup of a namespace, in pages.
  Result<void> backups(std::vector<api::FrameworkBackup>& out, const std::string& namespace_, const Call& call);
  // Entries, what rollbacks need of them, and which repository a framework names.
  Result<void> catalogue(reconcilers::RepositorySnapshot& out, const std::string& namespace_, const Call& call);
  // The object a snapshot is for, and what a decision about it asks for. What it does not ask for is not read: there
  // are dozens of passes in a rollback, and reads are most of what they cost.
  struct About {
    const kube::ObjectMeta& owner;
    std::string framework;         // by name; empty: none
    bool frameworkClass = true;    // of that framework
    bool workloads = true;         // of that framework, and their pods
    bool repository = true;        // and its claim
    std::string repositoryName{};  // empty: the framework's
  };
  // `out.framework` and `out.repository` may be there already: then they are not read again.
  Result<void> common(reconcilers::NamespaceSnapshot& out, const About& about, const Call& call);
  Result<void> workloads(reconcilers::NamespaceSnapshot& out, const Call& call);
  Result<void> runs(reconcilers::NamespaceSnapshot& out, const std::string& namespace_,
                    const std::vector<std::string>& cronJobs, const Call& call);
  // What choosing a target asks for: the catalogue, the ledger, and what only a plan does.
  Result<void> forTarget(reconcilers::RollbackSnapshot& out, const Call& call);
  // What only a plan asks for: the workloads' claims, and who scales them.
  Result<void> forPlan(reconcilers::RollbackSnapshot& out, const Call& call);
  Result<void> jobs(reconcilers::NamespaceSnapshot& out, const std::string& namespace_, const std::string& ownerUid,
                    const Call& call);
  Result<reconcilers::OptIn> optIn(const std::string& namespace_, const Call& call);
  std::optional<std::string> logOf(const kube::Pod& pod, int lines, const Call& call);

  std::shared_ptr<kube::Client> client_;
  const Clock& clock_;
  const runtime::Store<api::Framework>& frameworks_;
  const runtime::Store<api::FrameworkRollback>& rollbacks_;
  const TokenSource tokens_;
  std::mutex mutex_;                                                       // guards the two below
  std::map<std::string, std::pair<MonoTime, reconcilers::OptIn>> optIns_;  // by namespace, for 30 s
  std::list<std::pair<std::string, std::string>> results_;                 // pod uid → large result, newest first
};

}  // namespace rollback::manager
