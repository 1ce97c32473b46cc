// EventRecorder: Events (events.k8s.io/v1) about objects, for `kubectl describe`. Best effort: recording never blocks
// and never fails; what cannot be sent is dropped and counted.
//
// As client-go tools/events does: events that differ only in time and note are one series: the first is created, the
// second makes it a series of 2, later ones count here and are sent every 30 minutes and when it has been quiet for 6.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "kube/client/client.h"
#include "kube/objects/meta.h"
#include "kube/objects/request.h"
#include "runtime/metrics.h"
#include "runtime/runnable.h"
#include "runtime/timing.h"

namespace rollback::runtime {

struct ObjectReference {
  std::string apiVersion, kind, namespace_, name, uid, resourceVersion;
};
ObjectReference referenceTo(const kube::Resource& resource, const kube::ObjectMeta& meta);

struct Event {
  ObjectReference regarding;
  std::string type = "Normal";  // Normal | Warning
  std::string reason;           // CamelCase, why: "BackupVerified"
  std::string action;           // CamelCase, what was done: "Rollback"
  std::string note;             // for people; cut at 1024 bytes. No secrets.
  std::optional<ObjectReference> related{};
};

struct EventRecorderOptions {
  std::string controller;       // reportingController: "rollback.pa-ecosystem.io/operator"
  std::string instance;         // reportingInstance: the pod's name
  std::size_t capacity = 1000;  // events not yet looked at, and series remembered
  Millis flushTimeout{1500};    // for what is unsent when it stops
};

class EventRecorder final : public Runnable {
 public:
  // `client` has no write gate: an Event is no effect, and the last ones are sent after the lease is given back.
  EventRecorder(EventRecorderOptions options, std::shared_ptr<kube::Client> client, Timing timing, Registry& metrics);
  ~EventRecorder() override;

  // Thread-safe, never blocks.
  void record(Event event);

  std::string name() const override { return "event-recorder"; }
  Result<void> run(const http::CancelToken& stop) override;
  // Sends what is due now; returns when to come again. run() is this and the waiting.
  MonoTime step(const http::CancelToken& stop);

 private:
  class Machine;
  std::unique_ptr<Machine> machine_;
};

}  // namespace rollback::runtime
