#include "runtime/leader_election.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include "lease.h"
#include "runtime/logging.h"

namespace rollback::runtime {
namespace {

constexpr double kJitter = 1.2;  // of the retry period, while others lead (client-go JitterFactor)
constexpr Millis kReleaseTimeout{1500};
constexpr Millis kHealthTolerance{10000};
constexpr std::int64_t kShut = INT64_MIN;

// Until when writes may be sent. Outlives the elector in the gates given out.
struct Gate {
  const Clock& clock;
  const std::string lease;
  std::atomic<std::int64_t> until{kShut};  // MonoTime in ms

  MonoTime end() const { return MonoTime(Millis(until.load())); }
  bool open() const { return until.load() != kShut && clock.now() < end(); }
};

std::string hex(const Random& random, int digits) {
  std::string out;
  for (int i = 0; i < digits; ++i) out += "0123456789abcdef"[static_cast<int>(random() * 16) & 15];
  return out;
}

}  // namespace

std::string leaderIdentity(const std::string& hostname, const Random& random) {
  return hostname + "_" + hex(random, 8) + "-" + hex(random, 4) + "-4" + hex(random, 3) + "-a" + hex(random, 3) + "-" +
         hex(random, 12);
}

// Single-threaded but for the gate, leads_ and lastRenew_.
class LeaderElector::Machine {
 public:
  Machine(LeaderElectionOptions options, std::shared_ptr<kube::Client> client, Timing timing, LeaderCallbacks callbacks,
          Registry& metrics)
      : options_(std::move(options)),
        client_(std::move(client)),
        timing_(timing),
        callbacks_(std::move(callbacks)),
        master_(metrics.gauge("leader_election_master_status", "1 if this replica leads.", {{"name", options_.name}})),
        slowpath_(metrics.counter("leader_election_slowpath_total", "Renewals that had to read the Lease first.",
                                  {{"name", options_.name}})),
        gate_(new Gate{timing.clock, options_.namespace_ + "/" + options_.name}) {}

  Result<Millis> step(const http::CancelToken& stop) {
    const Outcome outcome = tryAcquireOrRenew(stop);
    const MonoTime now = timing_.clock.now();
    if (!leads_) {
      if (outcome == Outcome::Held && now < gate_->end()) {
        started();
        return options_.retryPeriod;
      }
      return options_.retryPeriod + Millis(static_cast<Millis::rep>(static_cast<double>(options_.retryPeriod.count()) *
                                                                    kJitter * timing_.random()));
    }
    if (outcome == Outcome::HeldByOther) return lost("another replica holds it");
    if (now >= gate_->end()) return lost("it could not be renewed in time");
    return std::min(options_.retryPeriod, gate_->end() - now);
  }

  void release() {
    if (!leads_) return;
    leads_ = false;
    shut();
    const http::CancelToken never;  // the stop that made us come here is no reason to leave without this
    const Deadline deadline = Deadline::after(timing_.clock, kReleaseTimeout);
    for (int attempt = 0; attempt < 3 && lease_; ++attempt) {
      LeaseRecord record = lease_->record;
      record.holder.clear();
      record.durationSeconds = 1;
      record.acquireTime = record.renewTime = formatMicroTime(timing_.clock.wall());
      const Result<std::string> put = client_->send(update(record), deadline, never);
      if (put) {
        log(Level::Info, "leadership given back", {{"lease", gate_->lease}});
        return;
      }
      if (put.error().code != ErrorCode::Conflict) {
        log(Level::Warn, "leadership could not be given back, it will expire",
            {{"lease", gate_->lease}, {"error", put.error()}});
        return;
      }
      if (!read(deadline, never) || lease_->record.holder != options_.identity) return;
    }
  }

  Result<void> healthy() const {
    const std::int64_t renewed = lastRenew_.load();
    if (renewed == kShut) return {};
    const Millis since = timing_.clock.now() - MonoTime(Millis(renewed));
    if (since <= options_.leaseDuration + kHealthTolerance) return {};
    return Error{ErrorCode::Fenced, "the Lease " + gate_->lease + " was last renewed " +
                                        std::to_string(since.count() / 1000) + " s ago, though this replica leads"};
  }

  const Timing& timing() const { return timing_; }
  const std::shared_ptr<Gate>& gate() const { return gate_; }
  bool leading() const { return leads_ && gate_->open(); }
  void whenLeading(std::function<void()> then) { whenLeading_.push_back(std::move(then)); }

 private:
  // Raced: somebody wrote between our read and our write. Unknown: it may have been written.
  enum class Outcome { Held, HeldByOther, Raced, Unknown };

  // The time of a renewal is that before it was sent: the server cannot have seen it earlier.
  Outcome tryAcquireOrRenew(const http::CancelToken& stop) {
    MonoTime sent = timing_.clock.now();
    Deadline deadline{sent + std::max(options_.renewDeadline / 2, Millis(1000))};
    if (leads_) deadline = deadline.earlier(Deadline{gate_->end()});

    if (leads_ && lease_) {  // the fast path: nobody but us should have written it
      const Outcome outcome = write(update(renewal()), sent, deadline, stop);
      if (outcome != Outcome::Raced) return outcome;
    }
    slowpath_.add();
    const Result<void> present = read(deadline, stop);
    if (!present && present.error().code != ErrorCode::NotFound) {
      note("the Lease could not be read", present.error());
      return Outcome::Unknown;
    }
    sent = timing_.clock.now();
    if (!present) {
      lease_.reset();
      return write(createRequest(), sent, deadline, stop);
    }
    const std::string& holder = lease_->record.holder;
    if (holder != options_.identity) {
      if (leads_) return Outcome::HeldByOther;
      if (!holder.empty() && sent < observedAt_ + validity(lease_->record)) return Outcome::HeldByOther;
    }
    return write(update(renewal()), sent, deadline, stop);
  }

  Millis validity(const LeaseRecord& record) const {
    return record.durationSeconds > 0 ? Millis(record.durationSeconds * 1000LL) : options_.leaseDuration;
  }

  Outcome write(const kube::Request& request, MonoTime sent, Deadline deadline, const http::CancelToken& stop) {
    const Result<std::string> answer = client_->send(request, deadline, stop);
    if (!answer) {
      const ErrorCode code = answer.error().code;
      if (code == ErrorCode::Conflict || code == ErrorCode::AlreadyExists || code == ErrorCode::NotFound) {
        return Outcome::Raced;
      }
      note("the Lease could not be written", answer.error());
      return Outcome::Unknown;
    }
    const Result<Lease> lease = decodeLease(*answer);
    if (!lease || lease->record.holder != options_.identity) {
      note("the Lease could not be written",
           lease ? Error{ErrorCode::Protocol, "the answer names another holder"} : lease.error());
      return Outcome::Unknown;
    }
    observe(*lease);
    lastRenew_.store(sent.time_since_epoch().count());
    gate_->until.store((sent + options_.renewDeadline).time_since_epoch().count());
    return Outcome::Held;
  }

  Result<void> read(Deadline deadline, const http::CancelToken& stop) {
    const Result<std::string> answer =
        client_->send(kube::get(kube::resources::kLeases, options_.namespace_, options_.name), deadline, stop);
    if (!answer) return answer.error();
    const Result<Lease> lease = decodeLease(*answer);
    if (!lease) return lease.error();
    observe(*lease);
    return {};
  }

  // Whoever holds it is alive as long as the record changes: its times are by another machine's clock and prove
  // nothing.
  void observe(const Lease& lease) {
    const bool changed = !lease_ || lease.spec != observedSpec_;
    if (changed) {
      observedSpec_ = lease.spec;
      observedAt_ = timing_.clock.now();
    }
    lease_ = lease;
    if (lease.record.holder == reportedHolder_) return;
    reportedHolder_ = lease.record.holder;
    if (reportedHolder_.empty()) return;
    log(Level::Info, "new leader", {{"lease", gate_->lease}, {"leader", reportedHolder_}});
    if (callbacks_.onNew) callbacks_.onNew(reportedHolder_);
  }

  LeaseRecord renewal() const {
    LeaseRecord record = lease_->record;
    const std::string now = formatMicroTime(timing_.clock.wall());
    if (record.holder != options_.identity) {
      record.acquireTime = now;
      ++record.transitions;
    }
    record.holder = options_.identity;
    record.renewTime = now;
    record.durationSeconds = static_cast<int>(options_.leaseDuration.count() / 1000);
    return record;
  }

  kube::Request createRequest() const {
    const std::string now = formatMicroTime(timing_.clock.wall());
    const LeaseRecord record{options_.identity, static_cast<int>(options_.leaseDuration.count() / 1000), now, now, 0};
    return kube::create(kube::resources::kLeases, options_.namespace_,
                        encodeLease("", options_.namespace_, options_.name, record));
  }

  // Carries the resourceVersion of the object it was made from: a stale one is a Conflict.
  kube::Request update(const LeaseRecord& record) const {
    kube::Request request = kube::get(kube::resources::kLeases, options_.namespace_, options_.name);
    request.verb = kube::Verb::Update;
    request.body = encodeLease(lease_->object, options_.namespace_, options_.name, record);
    return request;
  }

  void started() {
    master_.set(1);
    log(Level::Info, "leading", {{"lease", gate_->lease}, {"identity", options_.identity}});
    if (callbacks_.onStarted) callbacks_.onStarted();
    leads_ = true;
    for (const auto& then : whenLeading_) then();
  }

  Error lost(const char* why) {
    leads_ = false;
    shut();
    log(Level::Error, "leadership lost", {{"lease", gate_->lease}, {"why", why}});
    if (callbacks_.onLost) callbacks_.onLost();
    return Error{ErrorCode::Fenced, "leadership of Lease " + gate_->lease + " was lost: " + why +
                                        ". The process ends and starts again as a standby."};
  }

  void shut() {
    gate_->until.store(kShut);
    lastRenew_.store(kShut);
    master_.set(0);
  }

  void note(const char* what, const Error& error) {
    if (error.code != ErrorCode::Cancelled) log(Level::Warn, what, {{"lease", gate_->lease}, {"error", error}});
  }

  const LeaderElectionOptions options_;
  const std::shared_ptr<kube::Client> client_;
  const Timing timing_;
  const LeaderCallbacks callbacks_;
  std::vector<std::function<void()>> whenLeading_;
  Gauge& master_;
  Counter& slowpath_;
  const std::shared_ptr<Gate> gate_;
  std::atomic<std::int64_t> lastRenew_{kShut};  // MonoTime in ms, while we lead
  std::atomic<bool> leads_{false};              // from after onStarted to before onLost
  std::optional<Lease> lease_;                  // as last read or written
  std::string observedSpec_;
  MonoTime observedAt_{};
  std::string reportedHolder_;
};

LeaderElector::LeaderElector(std::unique_ptr<Machine> machine) : machine_(std::move(machine)) {}
LeaderElector::~LeaderElector() = default;

Result<std::shared_ptr<LeaderElector>> LeaderElector::make(LeaderElectionOptions options,
                                                           std::shared_ptr<kube::Client> client, Timing timing,
                                                           LeaderCallbacks callbacks, Registry& metrics) {
  if (options.namespace_.empty() || options.name.empty() || options.identity.empty()) {
    return Error{ErrorCode::BadInput, "leader election needs the namespace and name of its Lease and an identity"};
  }
  if (options.leaseDuration <= options.renewDeadline || options.renewDeadline * 10 <= options.retryPeriod * 12 ||
      options.retryPeriod <= Millis(0)) {
    return Error{ErrorCode::BadInput, "leader election needs lease duration > renew deadline > 1.2 × retry period > 0"};
  }
  auto machine = std::make_unique<Machine>(std::move(options), std::move(client), std::move(timing),
                                           std::move(callbacks), metrics);
  return std::shared_ptr<LeaderElector>(new LeaderElector(std::move(machine)));
}

void LeaderElector::whenLeading(std::function<void()> then) { machine_->whenLeading(std::move(then)); }
Result<Millis> LeaderElector::step(const http::CancelToken& stop) { return machine_->step(stop); }
void LeaderElector::release() { machine_->release(); }
bool LeaderElector::leading() const { return machine_->leading(); }
Result<void> LeaderElector::healthy() const { return machine_->healthy(); }

Result<void> LeaderElector::run(const http::CancelToken& stop) {
  while (!stop.cancelled()) {
    const Result<Millis> wait = machine_->step(stop);
    if (!wait) return wait.error();
    waitFor(machine_->timing(), *wait, stop);
  }
  machine_->release();
  return {};
}

kube::WriteGate LeaderElector::writeGate() const {
  return [gate = machine_->gate()]() -> Result<Deadline> {
    if (gate->open()) return Deadline{gate->end()};
    return Error{ErrorCode::Fenced,
                 "not sent: this replica does not hold the Lease " + gate->lease + ", or did not renew it in time"};
  };
}

}  // namespace rollback::runtime
