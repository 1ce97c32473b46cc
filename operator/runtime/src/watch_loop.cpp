#include "runtime/watch_loop.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include "backoff.h"
#include "kube/objects/workloads.h"
#include "runtime/logging.h"

namespace rollback::runtime {
namespace {

constexpr Millis kWatchLeast{300000}, kWatchMost{600000};  // timeoutSeconds, for the server
constexpr Millis kWatchSlack{30000};                       // then we end it
constexpr Millis kPatience{5000};                          // silence beyond timeoutSeconds, without bookmarks
constexpr Millis kIdle{80000};                             // silence, with bookmarks: ± an eighth
constexpr Millis kVeryShort{1000};
constexpr int kFailuresBeforeList = 5;

Millis between(Millis least, Millis most, const Random& random) {
  return least + Millis(static_cast<Millis::rep>(static_cast<double>((most - least).count()) * random()));
}

// The server or the way to it is in trouble; the version to resume from is not.
bool worthResuming(const Error& error) {
  switch (error.code) {
    case ErrorCode::TooManyRequests:
    case ErrorCode::ConnectionLost:
    case ErrorCode::Timeout:
      return true;
    case ErrorCode::Unavailable:
      return error.httpStatus != 500;  // 500 may be about this very watch
    default:
      return false;
  }
}

struct Instruments {
  Instruments(Registry& metrics, const std::string& resource, const WatchSink& sink)
      : registry(metrics),
        resource_(resource),
        decodeErrors(metrics.counter("reflector_decode_errors_total", "Objects that could not be decoded.",
                                     {{"resource", resource}})),
        size(metrics.gaugeCallback("reflector_store_objects", "Objects in the store.", {{"resource", resource}},
                                   [&sink] { return static_cast<double>(sink.size()); })) {}

  void list(const std::string& reason) {
    registry
        .counter("reflector_lists_total", "Lists begun, by what made them necessary.",
                 {{"reason", reason}, {"resource", resource_}})
        .add();
  }
  void watch(const std::string& end) {
    registry.counter("reflector_watches_total", "Watches ended, by how.", {{"end", end}, {"resource", resource_}})
        .add();
  }
  void event(const char* type) {
    registry
        .counter("reflector_watch_events_total", "Watch events received.", {{"resource", resource_}, {"type", type}})
        .add();
  }

  Registry& registry;
  const std::string resource_;
  Counter& decodeErrors;
  const std::shared_ptr<void> size;
};

}  // namespace

class WatchLoop::Machine {
 public:
  Machine(WatchOptions options, std::shared_ptr<kube::Client> client, Timing timing, WatchSink& sink, Registry& metrics)
      : options_(std::move(options)),
        client_(std::move(client)),
        timing_(timing),
        sink_(sink),
        instruments_(metrics, options_.name, sink),
        backoff_(timing) {}

  Millis step(const http::CancelToken& stop) { return state_ == State::List ? list(stop) : watch(stop); }

  const WatchOptions& options() const { return options_; }
  const Timing& timing() const { return timing_; }
  bool synced() const { return synced_.load(); }

 private:
  enum class State { List, Watch };

  Millis list(const http::CancelToken& stop) {
    instruments_.list(listReason_);
    bool unreadable = false;
    sink_.beginList();
    const Result<kube::ListMeta> listed =
        client_->list(options_.list, options_.pageSize, Deadline::after(timing_.clock, options_.listTimeout), stop,
                      [&](std::string_view item) -> Result<void> {
                        const Result<std::string> put = sink_.put(item);
                        if (!put && !keepUndecoded(item, put.error())) unreadable = true;
                        return {};
                      });
    if (!listed) {
      if (stop.cancelled()) return Millis(0);
      listReason_ = "error";
      return failed("list failed, will be tried again", listed.error());
    }
    if (listed->resourceVersion.empty()) {
      listReason_ = "error";
      return failed("list failed, will be tried again", Error{ErrorCode::Protocol, "the list has no resourceVersion"});
    }
    sink_.endList(listed->resourceVersion, unreadable);
    resumeAt_ = listed->resourceVersion;
    failures_ = 0;
    state_ = State::Watch;
    if (!synced_.exchange(true))
      log(Level::Info, "cache synced", {{"resource", options_.name}, {"objects", sink_.size()}});
    return Millis(0);
  }

  // One watch and what came of it.
  struct Stream {
    MonoTime started;
    int events = 0;  // without bookmarks
    bool bookmarks = false;
    bool unreadable = false;
  };

  Millis watch(const http::CancelToken& stop) {
    const Millis asked = between(kWatchLeast, kWatchMost, timing_.random);
    const auto timeoutSeconds = std::chrono::duration_cast<std::chrono::seconds>(asked);
    const Millis idle = bookmarksExpected_ ? jittered(kIdle, 0.125, timing_.random) : asked + kPatience;
    kube::Request request = options_.list;
    request.verb = kube::Verb::Watch;
    request.query.emplace_back("allowWatchBookmarks", "true");
    request.query.emplace_back("resourceVersion", resumeAt_);
    request.query.emplace_back("timeoutSeconds", std::to_string(timeoutSeconds.count()));

    Stream stream{timing_.clock.now()};
    const Result<void> ended = client_->watch(request, Deadline::after(timing_.clock, asked + kWatchSlack), idle, stop,
                                              [&](const kube::WatchEvent& event) { return take(event, stream); });
    if (stop.cancelled()) return Millis(0);
    if (stream.bookmarks) bookmarksExpected_ = true;
    if (stream.events > 0) failures_ = 0;
    if (stream.unreadable) {
      instruments_.watch("unreadable");
      return listAgain("unreadable", Error{ErrorCode::Protocol, "an event has no readable metadata"});
    }
    return ended ? endedWell(stream) : endedBadly(stream, idle, ended.error());
  }

  Millis endedWell(const Stream& stream) {
    instruments_.watch("server");
    if (stream.events > 0 || stream.bookmarks || timing_.clock.now() - stream.started >= kVeryShort) return Millis(0);
    return failedAgain(Error{ErrorCode::Protocol, "the server ended the watch at once, without an event"});
  }

  Millis endedBadly(const Stream& stream, Millis idle, const Error& error) {
    if (error.code == ErrorCode::Expired) {
      instruments_.watch("expired");
      return listAgain("expired", error);
    }
    const bool silent = error.code == ErrorCode::Timeout && timing_.clock.now() - stream.started >= idle;
    if (silent) {
      instruments_.watch("silent");
      if (!stream.bookmarks) bookmarksExpected_ = false;  // until one is seen
      log(Level::Info, "watch was silent, watching again", {{"resource", options_.name}, {"after", idle}});
      return Millis(0);
    }
    instruments_.watch("error");
    if (worthResuming(error)) return failed("watch failed, will be resumed", error);
    return failedAgain(error);
  }

  // Not clear whether the version to resume from is to blame.
  Millis failedAgain(const Error& error) {
    if (++failures_ >= kFailuresBeforeList) return listAgain("failing", error);
    return failed("watch failed, will be resumed", error);
  }

  Millis listAgain(const char* reason, const Error& error) {
    state_ = State::List;
    listReason_ = reason;
    return failed("watch cannot be resumed, will list again", error);
  }

  Millis failed(const char* what, const Error& error) {
    const Millis wait = std::max(backoff_.next(), Millis(error.retryAfter.value_or(std::chrono::seconds(0))));
    const bool expected = error.code == ErrorCode::Expired;
    log(expected ? Level::Info : Level::Warn, what, {{"resource", options_.name}, {"error", error}, {"wait", wait}});
    return wait;
  }

  // False ends the stream.
  bool take(const kube::WatchEvent& event, Stream& stream) {
    std::string version;
    switch (event.type) {
      case kube::WatchEvent::Type::Added:
      case kube::WatchEvent::Type::Modified: {
        instruments_.event(event.type == kube::WatchEvent::Type::Added ? "ADDED" : "MODIFIED");
        ++stream.events;
        if (const Result<std::string> put = sink_.put(event.object)) {
          version = *put;
        } else if (const auto meta = keepUndecoded(event.object, put.error())) {
          version = meta->resourceVersion;
        }
        break;
      }
      case kube::WatchEvent::Type::Deleted: {
        instruments_.event("DELETED");
        ++stream.events;
        const Result<kube::ObjectMeta> meta = kube::decodeMeta(event.object);
        if (meta && !meta->name.empty()) {
          sink_.remove(*meta);
          version = meta->resourceVersion;
        }
        break;
      }
      case kube::WatchEvent::Type::Bookmark: {
        instruments_.event("BOOKMARK");
        stream.bookmarks = true;
        if (const Result<kube::ObjectMeta> meta = kube::decodeMeta(event.object)) version = meta->resourceVersion;
        break;
      }
      case kube::WatchEvent::Type::Error:  // the client returns it as its error
        return true;
    }
    if (version.empty()) {  // what it was about may be lost: only a list can tell
      instruments_.decodeErrors.add();
      stream.unreadable = true;
      return false;
    }
    resumeAt_ = version;
    sink_.sawVersion(version);
    return true;
  }

  // An object put() could not decode: its metadata, if at least that can be read.
  std::optional<kube::ObjectMeta> keepUndecoded(std::string_view object, const Error& error) {
    instruments_.decodeErrors.add();
    const Result<kube::ObjectMeta> meta = kube::decodeMeta(object);
    if (!meta || meta->name.empty()) {
      log(Level::Error, "an object cannot be read",
          {{"resource", options_.name}, {"bytes", object.size()}, {"error", error}});
      return std::nullopt;
    }
    log(Level::Error, "an object cannot be decoded, its last readable version stays",
        {{"resource", options_.name},
         {"namespace", meta->namespace_},
         {"name", meta->name},
         {"resourceVersion", meta->resourceVersion},
         {"error", error}});
    sink_.keep(*meta);
    return *meta;
  }

  const WatchOptions options_;
  const std::shared_ptr<kube::Client> client_;
  const Timing timing_;
  WatchSink& sink_;
  Instruments instruments_;
  Backoff backoff_;
  State state_ = State::List;
  std::string listReason_ = "start";
  std::string resumeAt_;           // State::Watch: where the next watch begins
  int failures_ = 0;               // watches in a row that failed for no clear reason
  bool bookmarksExpected_ = true;  // this server sends them, as far as is known
  std::atomic<bool> synced_{false};
};

WatchLoop::WatchLoop(WatchOptions options, std::shared_ptr<kube::Client> client, Timing timing, WatchSink& sink,
                     Registry& metrics)
    : machine_(std::make_unique<Machine>(std::move(options), std::move(client), std::move(timing), sink, metrics)) {}

WatchLoop::~WatchLoop() = default;

std::string WatchLoop::name() const { return machine_->options().name; }
bool WatchLoop::hasSynced() const { return machine_->synced(); }
Millis WatchLoop::step(const http::CancelToken& stop) { return machine_->step(stop); }

Result<void> WatchLoop::run(const http::CancelToken& stop) {
  while (!stop.cancelled()) waitFor(machine_->timing(), machine_->step(stop), stop);
  return {};
}

}  // namespace rollback::runtime
