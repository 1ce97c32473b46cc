// Reflector<T>: keeps a Store<T> equal to one resource of the API server and says what changed.
//
//   Store<kube::Pod> pods;
//   Reflector<kube::Pod> reflector({"pods", kube::list(kube::resources::kPods, "")}, client, timing, pods,
//                                  [](std::string_view json) { return shared(kube::decodePod(json)); },
//                                  [&](const std::string& key, const auto& before, const auto& after) { queue.add(key);
//                                  }, metrics);
//
// How it lists, watches and recovers: runtime/watch_loop.h.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "kube/client/client.h"
#include "runtime/metrics.h"
#include "runtime/runnable.h"
#include "runtime/store.h"
#include "runtime/timing.h"
#include "runtime/watch_loop.h"

namespace rollback::runtime {

// Result<T> → Result<shared_ptr<const T>>, for the decoders of kube/objects and api.
template <typename T>
Result<std::shared_ptr<const T>> shared(Result<T> decoded) {
  if (!decoded) return decoded.error();
  return std::shared_ptr<const T>(std::make_shared<T>(std::move(*decoded)));
}

// What a Manager needs to know of a Reflector of whatever type.
class Synced : public Runnable {
 public:
  virtual bool hasSynced() const = 0;  // thread-safe
};

template <typename T>
class Reflector final : public Synced, private WatchSink {
 public:
  using Ptr = std::shared_ptr<const T>;
  using Decode = std::function<Result<Ptr>(std::string_view json)>;
  // After the store changed, on the reflector's thread, in the order of the changes; must not block (enqueue the key).
  // `before` null: added; `after` null: deleted, delivered once, with the last state seen. An object deleted and made
  // again while nobody watched is one call whose two uids differ.
  using OnChange = std::function<void(const std::string& key, const Ptr& before, const Ptr& after)>;

  // `store` and `metrics` outlive the reflector.
  Reflector(WatchOptions options, std::shared_ptr<kube::Client> client, Timing timing, Store<T>& store, Decode decode,
            OnChange onChange, Registry& metrics)
      : store_(store),
        decode_(std::move(decode)),
        onChange_(std::move(onChange)),
        loop_(std::move(options), std::move(client), std::move(timing), *this, metrics) {}

  std::string name() const override { return loop_.name(); }
  Result<void> run(const http::CancelToken& stop) override { return loop_.run(stop); }
  bool hasSynced() const override { return loop_.hasSynced(); }
  // For tests and simulations, instead of run(): see WatchLoop::step.
  Millis step(const http::CancelToken& stop) { return loop_.step(stop); }

 private:
  void beginList() override { store_.beginEpoch(); }
  Result<std::string> put(std::string_view object) override {
    Result<Ptr> decoded = decode_(object);
    if (!decoded) return decoded.error();
    const auto& meta = metaOf(**decoded);  // lives as long as `decoded`
    if (meta.name.empty() || meta.resourceVersion.empty()) {
      return Error{ErrorCode::Protocol, "the object has no metadata.name or no metadata.resourceVersion"};
    }
    const auto change = store_.put(*decoded);
    if (change.changed && onChange_) onChange_(change.key, change.before, *decoded);
    return meta.resourceVersion;
  }
  void endList(const std::string& resourceVersion, bool unreadable) override {
    if (!unreadable) {
      for (const auto& [key, before] : store_.sweep(resourceVersion)) {
        if (onChange_) onChange_(key, before, nullptr);
      }
    }
    store_.sawVersion(resourceVersion);
  }
  void remove(const kube::ObjectMeta& meta) override {
    const std::string key = objectKey(meta);
    const Ptr before = store_.remove(key, meta.resourceVersion);
    if (before && onChange_) onChange_(key, before, nullptr);
  }
  void keep(const kube::ObjectMeta& meta) override { store_.touch(objectKey(meta)); }
  void sawVersion(const std::string& resourceVersion) override { store_.sawVersion(resourceVersion); }
  std::size_t size() const override { return store_.size(); }

  Store<T>& store_;
  Decode decode_;
  OnChange onChange_;
  WatchLoop loop_;
};

}  // namespace rollback::runtime
