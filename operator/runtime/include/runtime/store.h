// Store<T>: the objects of one resource as last seen, by key, with indexes. One Reflector writes it, everybody reads.
//
//   Store<kube::Pod> pods({{"app", [](const kube::Pod& pod) { return std::vector{pod.meta.labels.at("app")}; }}});
//   for (const auto& pod : pods.byIndex("app", "shop")) ...
//
// T has a member `meta`, or is one: a namespace_, a name and a resourceVersion, as kube::ObjectMeta has. What a reader
// gets is an immutable snapshot it may keep. Thread-safe. Index functions run under the store's lock: pure, and no call
// back into the store.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kube/objects/meta.h"
#include "runtime/object_key.h"

namespace rollback::runtime {

template <typename T>
const auto& metaOf(const T& object) {
  if constexpr (requires { object.meta; })
    return object.meta;
  else
    return object;
}

template <typename T>
class Store {
 public:
  using Ptr = std::shared_ptr<const T>;
  using IndexFunction = std::function<std::vector<std::string>(const T&)>;

  explicit Store(std::map<std::string, IndexFunction> indexes = {}) {
    for (auto& [name, function] : indexes) indexes_[name].function = std::move(function);
  }

  // Null if there is none.
  Ptr get(const std::string& key) const {
    const std::lock_guard<std::mutex> hold(mutex_);
    const auto found = entries_.find(key);
    return found == entries_.end() ? nullptr : found->second.object;
  }
  Ptr get(const std::string& namespace_, const std::string& name) const { return get(objectKey(namespace_, name)); }

  // In the order of the keys; of one namespace, or of all if it is empty.
  std::vector<Ptr> list(const std::string& namespace_ = "") const {
    const std::lock_guard<std::mutex> hold(mutex_);
    std::vector<Ptr> out;
    const std::string prefix = namespace_.empty() ? "" : namespace_ + "/";
    for (auto each = entries_.lower_bound(prefix); each != entries_.end(); ++each) {
      if (each->first.compare(0, prefix.size(), prefix) != 0) break;
      out.push_back(each->second.object);
    }
    return out;
  }

  // The objects for which index function `index` gave `value`, in the order of the keys; none if there is no such
  // index.
  std::vector<Ptr> byIndex(const std::string& index, const std::string& value) const {
    const std::lock_guard<std::mutex> hold(mutex_);
    std::vector<Ptr> out;
    const auto found = indexes_.find(index);
    if (found == indexes_.end()) return out;
    const auto keys = found->second.keys.find(value);
    if (keys == found->second.keys.end()) return out;
    for (const std::string& key : keys->second) out.push_back(entries_.at(key).object);
    return out;
  }

  std::size_t size() const {
    const std::lock_guard<std::mutex> hold(mutex_);
    return entries_.size();
  }

  // The newest resourceVersion the watch has delivered, of an object or a bookmark; empty before the first list is
  // complete.
  std::string seenVersion() const {
    const std::lock_guard<std::mutex> hold(mutex_);
    return seen_;
  }

  // Puts the answer of a write of one's own in, so that the next read sees it before the watch does. Ignored if the
  // watch has come that far already (it knows better: the object may be gone again) or nothing was listed yet. The
  // event of that very write will then change nothing and is not delivered.
  void offer(Ptr object) {
    const std::lock_guard<std::mutex> hold(mutex_);
    const std::string& version = metaOf(*object).resourceVersion;
    if (seen_.empty() || !olderVersion(seen_, version)) return;
    const std::string key = objectKey(metaOf(*object));
    const auto found = entries_.find(key);
    if (found != entries_.end() && !olderVersion(metaOf(*found->second.object).resourceVersion, version)) return;
    replace(key, std::move(object)).offered = true;
  }

  // --- for the writer, the Reflector ---------------------------------------------------------------------------------

  struct Change {
    std::string key;
    Ptr before;            // null: it is new
    bool changed = false;  // false: it is there already, or something newer that was offered
  };

  // A list begins: what is not put or touched until sweep() is gone.
  void beginEpoch() {
    const std::lock_guard<std::mutex> hold(mutex_);
    ++epoch_;
  }

  Change put(Ptr object) {
    const std::lock_guard<std::mutex> hold(mutex_);
    Change change;
    change.key = objectKey(metaOf(*object));
    const auto found = entries_.find(change.key);
    if (found != entries_.end()) {
      Entry& entry = found->second;
      change.before = entry.object;
      entry.epoch = epoch_;
      const std::string& known = metaOf(*change.before).resourceVersion;
      const std::string& version = metaOf(*object).resourceVersion;
      if (entry.offered && olderVersion(version, known)) return change;
      entry.offered = false;
      if (version == known) return change;
    }
    change.changed = true;
    replace(change.key, std::move(object));
    return change;
  }

  // It is there but cannot be read: the last version that could stays.
  void touch(const std::string& key) {
    const std::lock_guard<std::mutex> hold(mutex_);
    const auto found = entries_.find(key);
    if (found != entries_.end()) found->second.epoch = epoch_;
  }

  // Returns what was there; null if nothing, or if what is there was offered later than `version`.
  Ptr remove(const std::string& key, const std::string& version) {
    const std::lock_guard<std::mutex> hold(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end() || found->second.offeredAfter(version)) return nullptr;
    Ptr before = found->second.object;
    unindex(key, *before);
    entries_.erase(found);
    return before;
  }

  // The list, as of `version`, is complete: removes and returns what it did not hold, except what was offered since.
  std::vector<std::pair<std::string, Ptr>> sweep(const std::string& version) {
    const std::lock_guard<std::mutex> hold(mutex_);
    std::vector<std::pair<std::string, Ptr>> gone;
    for (auto each = entries_.begin(); each != entries_.end();) {
      if (each->second.epoch == epoch_ || each->second.offeredAfter(version)) {
        ++each;
        continue;
      }
      unindex(each->first, *each->second.object);
      gone.emplace_back(each->first, each->second.object);
      each = entries_.erase(each);
    }
    return gone;
  }

  void sawVersion(const std::string& version) {
    const std::lock_guard<std::mutex> hold(mutex_);
    seen_ = version;
  }

 private:
  struct Entry {
    Ptr object;
    std::uint64_t epoch = 0;  // of the last list or event that held it
    // By offer(), and not seen in the watch since. Only then versions are compared: otherwise what the server says last
    // is so, even if its versions went back because etcd was restored.
    bool offered = false;

    bool offeredAfter(const std::string& version) const {
      return offered && olderVersion(version, metaOf(*object).resourceVersion);
    }
  };
  struct Index {
    IndexFunction function;
    std::map<std::string, std::set<std::string>> keys;  // by value
  };

  // Both: with mutex_ held.
  Entry& replace(const std::string& key, Ptr object) {
    Entry& entry = entries_[key];
    if (entry.object) unindex(key, *entry.object);
    for (auto& [name, index] : indexes_) {
      for (const std::string& value : index.function(*object)) index.keys[value].insert(key);
    }
    entry.object = std::move(object);
    entry.epoch = epoch_;
    return entry;
  }
  void unindex(const std::string& key, const T& object) {
    for (auto& [name, index] : indexes_) {
      for (const std::string& value : index.function(object)) {
        const auto keys = index.keys.find(value);
        if (keys == index.keys.end()) continue;
        keys->second.erase(key);
        if (keys->second.empty()) index.keys.erase(keys);
      }
    }
  }

  mutable std::mutex mutex_;  // guards everything below
  std::map<std::string, Entry> entries_;
  std::map<std::string, Index> indexes_;
  std::uint64_t epoch_ = 0;
  std::string seen_;
};

}  // namespace rollback::runtime
