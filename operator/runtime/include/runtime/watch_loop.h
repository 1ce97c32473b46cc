// WatchLoop: keeps a sink equal to one resource of the API server, for ever: list, then watch from there, again after
// every failure. It knows nothing of the objects' type; Reflector<T> is the sink everybody uses.
//
// Rules, from client-go tools/cache/reflector.go unless said otherwise:
// - Lists carry no resourceVersion (a consistent read, so a lagging server cannot take the cache back in time), in
// pages.
// - A watch resumes at the version of the last event or bookmark. The server ends it after a random 5 to 10 minutes.
// - 410 lists again. 429, refused and lost connections watch again at the same version: no list for a server in need.
//   Five watches in a row that fail otherwise, without one event, list again.
// - Back-off between failures 800 ms doubling to 30 s, each plus up to as much again; forgotten after 2 minutes
// without.
//   A watch that ends within a second and without an event is a failure too.
// - A stream silent for 70 to 90 s is dead: bookmarks come every minute, and the server remembers about 75 s of events.
//   If such a stream never had a bookmark, this server sends none, and from then on silence may last as long as the
//   watch.
// - An item that cannot be decoded is counted and logged, and stops nothing.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "kube/client/client.h"
#include "kube/objects/meta.h"
#include "runtime/metrics.h"
#include "runtime/runnable.h"
#include "runtime/timing.h"

namespace rollback::runtime {

// Called on the loop's thread only.
class WatchSink {
 public:
  virtual ~WatchSink() = default;
  virtual void beginList() = 0;
  // The object's JSON, from a list or an event; returns its resourceVersion. An error: it cannot be decoded.
  virtual Result<std::string> put(std::string_view object) = 0;
  // `unreadable`: not even the metadata of some item could be read; nothing may be concluded from an absence.
  virtual void endList(const std::string& resourceVersion, bool unreadable) = 0;
  virtual void remove(const kube::ObjectMeta& meta) = 0;
  // It is there, but put() failed: what is known of it stays.
  virtual void keep(const kube::ObjectMeta& meta) = 0;
  virtual void sawVersion(const std::string& resourceVersion) = 0;
  virtual std::size_t size() const = 0;
};

struct WatchOptions {
  std::string name;    // for logs and metrics: "frameworkrollbacks"
  kube::Request list;  // kube::list(…), selectors in its query; `asServiceAccount` is kept
  int pageSize = 500;
  Millis listTimeout{300000};  // of a whole list
};

class WatchLoop final : public Runnable {
 public:
  // `sink` and `metrics` outlive the loop.
  WatchLoop(WatchOptions options, std::shared_ptr<kube::Client> client, Timing timing, WatchSink& sink,
            Registry& metrics);
  ~WatchLoop() override;

  std::string name() const override;
  Result<void> run(const http::CancelToken& stop) override;

  // One list or one watch, as the state demands. Returns how long to wait before the next; run() is this and the
  // waiting.
  Millis step(const http::CancelToken& stop);

  // The first list is complete and in the sink. Thread-safe.
  bool hasSynced() const;

 private:
  class Machine;
  std::unique_ptr<Machine> machine_;
};

}  // namespace rollback::runtime
