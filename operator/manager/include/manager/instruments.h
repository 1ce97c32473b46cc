// Instruments: the operator's own metrics, rollback_…, on top of those every controller has. Counters and histograms
// count what this process did; gauges are the census of the caches at the moment of a scrape. All are described in
// docs/metrics.md, and a test compares.
//
// Labels are bounded by what exists: the series of a Framework come and go with it, and what is about a Framework that
// does not exist is counted under an empty name.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "manager/census.h"
#include "manager/observations.h"
#include "runtime/metrics.h"

namespace rollback::manager {

// Thread-safe.
class Instruments {
 public:
  // `metrics` and `clock` outlive it. `caches` is asked at every scrape, `known` whether a Framework exists.
  Instruments(runtime::Registry& metrics, const Clock& clock, std::function<Caches()> caches,
              std::function<bool(const std::string& namespace_, const std::string& name)> known);

  // After a status write the server accepted.
  void wrote(const api::FrameworkRollback& before, const api::FrameworkRollback& after);
  void wrote(const api::FrameworkBackup& before, const api::FrameworkBackup& after);
  // There is such a Framework: its counters begin at 0, so that the first ending is an increase.
  void know(const std::string& namespace_, const std::string& framework);
  // The Framework is gone.
  void forget(const std::string& namespace_, const std::string& framework);

 private:
  using Key = std::pair<std::string, std::string>;  // namespace, name
  Key keyOf(const std::string& namespace_, const std::string& framework) const;
  // All with mutex_ held.
  runtime::Counter& reverts(const Key& of);
  runtime::Counter& endings(const Key& of, const std::string& phase);
  runtime::Counter& backupEndings(const Key& of, const std::string& phase);

  runtime::Registry& metrics_;
  const Clock& clock_;
  const std::function<bool(const std::string&, const std::string&)> known_;
  std::mutex mutex_;  // keeps use and removal of a series apart
  const std::shared_ptr<void> census_;
};

}  // namespace rollback::manager
