#include "manager/reconcile.h"

#include "runtime/logging.h"
#include "runtime/object_key.h"

namespace rollback::manager {
namespace {

constexpr Millis kStale{100};
// Whoever has more to write goes on after those that wait: nobody starves, a thousand at once begin at once.
constexpr Millis kTurn{1};

enum class Sent { Yes, Stale };

Result<Sent> send(kube::Client& client, const kube::Request& request, const runtime::ReconcileContext& context,
                  const Decided& decided) {
  auto answer = client.send(request, context.deadline, context.cancel);
  if (answer) {
    runtime::log(runtime::Level::Debug, "sent", {{"request", request.describe()}});
    if (decided.accepted) decided.accepted(request, *answer);
    return Sent::Yes;
  }
  const Error& error = answer.error();
  // Create-once names: whose it is shows in the next snapshot. Deleting what is gone is done.
  if (error.code == ErrorCode::AlreadyExists && request.verb == kube::Verb::Create) return Sent::Yes;
  if (error.code == ErrorCode::NotFound && request.verb == kube::Verb::Delete) return Sent::Yes;
  if (error.code == ErrorCode::Conflict || error.code == ErrorCode::NotFound ||
      (error.code == ErrorCode::Invalid && request.verb == kube::Verb::Patch &&
       request.patchType == kube::PatchType::Json)) {
    runtime::log(runtime::Level::Debug, "stale write refused", {{"request", request.describe()}, {"error", error}});
    return Sent::Stale;
  }
  return Error{error.code, request.describe() + ": " + error.message, error.httpStatus, error.reason, error.retryAfter};
}

}  // namespace

runtime::Reconcile reconcileLoop(Decide decide, std::shared_ptr<kube::Client> client,
                                 runtime::EventRecorder& recorder) {
  return [decide = std::move(decide), client = std::move(client), &recorder](
             const std::string& key, const runtime::ReconcileContext& context) -> Result<runtime::ReconcileResult> {
    const auto [namespace_, name] = runtime::splitObjectKey(key);
    const Gatherer::Call call{context.deadline, context.cancel};
    auto decided = decide(namespace_, name, call);
    if (!decided) return decided.error();
    if (!*decided) return runtime::ReconcileResult{};
    const auto& decision = (*decided)->decision;
    const auto tell = [&] {
      for (const auto& event : decision.events) {
        recorder.record({(*decided)->regarding, event.type, event.reason, event.action, event.note, {}});
        runtime::log(event.type == "Warning" ? runtime::Level::Warn : runtime::Level::Info, event.note,
                     {{"reason", event.reason}});
      }
    };
    if (decision.requests.empty()) tell();
    for (const auto& request : decision.requests) {
      auto sent = send(*client, request, context, **decided);
      if (!sent) return sent.error();
      if (*sent == Sent::Stale) return runtime::ReconcileResult{kStale, {}};
      if (&request == &decision.requests.front()) tell();  // what they tell of is written, whatever becomes of the rest
      if (request.mutates() && request.subresource != "status")
        runtime::log(runtime::Level::Info, "acted", {{"request", request.describe()}});
    }
    return runtime::ReconcileResult{decision.again && !decision.requests.empty() ? kTurn : decision.requeueAfter, {}};
  };
}

}  // namespace rollback::manager
