// switch: the staged copy becomes live, the live database is put aside under `prev`, closed. Started early, it waits
// for the go token with its connection made, so that downtime holds nothing but the swap.
//
//   look → not switched: quiet? → close live → end sessions → both renames in one transaction → look
//        → switched:     prev closed, live opened → done
//
// The loop is entered anew after a lost connection; whoever comes second finds it done. Before the go token nothing is
// changed; after it neither a deadline nor SIGTERM ends the run between closing live and opening it.
#include <nlohmann/json.hpp>

#include "mover/names.h"
#include "mover/outcome.h"
#include "mover/swap.h"
#include "mover/verbs.h"

namespace rollback::mover {
namespace {

constexpr Millis kGoPoll{50};
constexpr Millis kKeepAlive{10 * 1000};  // between signs of life of the waiting session
constexpr Millis kReconnect{500};
constexpr Millis kGrace{5 * 1000};  // for backends of pods that just ended
constexpr int kSwapTries = 10;

class SwitchOver {
 public:
  SwitchOver(const Task& task, Environment& env) : task_(task), env_(env), swap_(env, task) {}

  Outcome run() {
    const Deadline deadline = Deadline::after(env_.clock, std::chrono::seconds(task_.deadlineSeconds));
    if (auto ok = waitForGo(deadline); !ok) return refused(ok.error());
    started_ = env_.clock.now();
    return converge();
  }

 private:
  // What can be known while the application still serves is found then: staging may have taken hours since the plan.
  // Whose sessions are left when it has stopped is not.
  Result<void> probe(Deadline deadline) {
    if (auto ok = swap_.connect(deadline); !ok) return ok;
    auto seen = swap_.look();
    if (!seen) return seen.error();
    if (auto ok = possible(*seen); !ok || seen->live != Situation::Live::Original) return ok;
    return swap_.requireUnhindered(task_.expect.liveOid, task_.postgres.database);
  }

  // Whether the situation is one this switch may act in.
  Result<void> possible(const Situation& seen) const {
    const auto& names = task_.names;
    if (seen.live == Situation::Live::Staged) return {};
    if (seen.live == Situation::Live::Unknown)
      return problem(ErrorCode::Conflict, "WrongDatabase",
                     "database " + task_.postgres.database + " is neither the one the plan saw (OID " +
                         std::to_string(task_.expect.liveOid) + ") nor the staged one (OID " +
                         std::to_string(task_.expect.stageOid) + "); nothing is done until a person has looked");
    if (seen.stagedName == names.reverted)
      return problem(ErrorCode::Conflict, "AlreadyReverted",
                     "this switch was done and taken back; it is not done twice");
    if (seen.stagedName != names.stage)
      return problem(ErrorCode::Conflict, "StageMissing",
                     "the staged copy with OID " + std::to_string(task_.expect.stageOid) +
                         (seen.stagedName.empty() ? " does not exist" : " is called " + seen.stagedName) + ", not " +
                         names.stage);
    for (const std::string* name : {&names.prev, &names.reverted})
      if (seen.databases.count(*name))
        return problem(ErrorCode::Conflict, "NameTaken",
                       "a database " + *name + " exists already; names of kept copies are used once");
    return {};
  }

  Result<void> waitForGo(Deadline deadline) {
    if (auto ok = probe(deadline); !ok) return ok;
    MonoTime alive = env_.clock.now();
    for (;;) {
      const std::string go = env_.go.read();
      // Said again it has a number behind it, so that the kubelet has something new to show.
      if (!go.empty() && go.substr(0, go.find(' ')) != task_.token)
        return problem(ErrorCode::BadInput, "WrongToken",
                       "the go token is not this task's: it was meant for another attempt");
      if (!go.empty()) return {};
      if (env_.stop.requested())
        return problem(ErrorCode::Cancelled, "Cancelled", "asked to end before the go token was given");
      if (deadline.expired(env_.clock))
        return problem(ErrorCode::Timeout, "NoGo", "no go token came within the deadline");
      env_.progress.report(0, 0, "", "waiting for go");
      env_.waiter.sleep(kGoPoll);
      if (env_.clock.now() - alive < kKeepAlive) continue;
      alive = env_.clock.now();
      // A server that restarted meanwhile costs nothing yet: connect again.
      if (swap_.connected() && swap_.look()) continue;
      if (auto ok = probe(deadline); !ok && ok.error().code != ErrorCode::Unavailable && !connectionLost(ok.error()))
        return ok;
    }
  }

  Outcome converge() {
    MonoTime lastContact = env_.clock.now();
    Error last = problem(ErrorCode::Unavailable, "CannotConnect", "the server does not answer");
    for (int tries = 0; env_.clock.now() - lastContact < kServerGone;) {
      if (!swap_.connected()) {
        auto ok = swap_.connect(Deadline::after(env_.clock, kStatement));
        if (ok) ok = swap_.lock(task_.expect.liveOid, Deadline{});
        if (!ok) {
          last = ok.error();
          swap_.drop();
          if (last.code != ErrorCode::Unavailable && !connectionLost(last)) return give(last);
          if (last.reason == "Locked") return give(last);
          env_.waiter.sleep(kReconnect);
          continue;
        }
        locked_ = true;
      } else if (!locked_) {
        auto ok = swap_.lock(task_.expect.liveOid, Deadline{});
        if (!ok && !connectionLost(ok.error())) return give(ok.error());
        if (!ok) continue;
        locked_ = true;
      }
      lastContact = env_.clock.now();
      auto step = advance();
      if (step && *step) return done();
      if (step) continue;
      last = step.error();
      if (connectionLost(last) || !swap_.connected()) {
        swap_.drop();
        env_.waiter.sleep(kReconnect);
        continue;
      }
      if (!again(last) || ++tries >= kSwapTries) return give(last);
    }
    return give(last);
  }

  // One look and what follows from it. True: live is the staged copy, open, and prev is closed.
  Result<bool> advance() {
    auto seen = swap_.look();
    if (!seen) return seen.error();
    if (auto ok = possible(*seen); !ok) return ok.error();
    const std::string& live = task_.postgres.database;
    const Oid liveOid = task_.expect.liveOid, stageOid = task_.expect.stageOid;
    if (seen->live == Situation::Live::Staged) {
      if (!seen->originalName.empty())
        if (auto ok = swap_.setOpen(seen->originalName, liveOid, false); !ok) return ok.error();
      const auto prev = seen->databases.find(task_.names.prev);
      kept_ = prev != seen->databases.end() && prev->second.oid == liveOid;
      if (seen->liveOpen) return true;
      if (auto ok = swap_.setOpen(live, stageOid, true); !ok) return ok.error();
      return false;  // looked at once more
    }
    // Live may be closed already, by a run that ended here.
    if (auto ok = swap_.requireQuiet(liveOid, live, task_.otherClients, kGrace); !ok) return ok.error();
    if (auto ok = swap_.requireQuiet(stageOid, task_.names.stage, {}, kGrace); !ok) return ok.error();
    if (auto ok = swap_.setOpen(task_.names.stage, stageOid, false); !ok) return ok.error();
    if (auto ok = swap_.setOpen(live, liveOid, false); !ok) return ok.error();
    // Who came between the look and the closing is no straggler but a client that was not stopped.
    if (auto ok = swap_.requireQuiet(liveOid, live, task_.otherClients, Millis(0)); !ok) return ok.error();
    if (auto ok = swap_.endSessions(liveOid, live); !ok) return ok.error();
    if (auto ok = swap_.renameAll({{live, task_.names.prev, liveOid}, {task_.names.stage, live, stageOid}}, ""); !ok)
      return ok.error();
    swappedAt_ = formatMicroTime(env_.clock.wall());
    return false;
  }

  // Errors of a rename that time may mend: somebody is still connected, or changed the catalog at the same moment.
  static bool again(const Error& error) {
    const std::string state = sqlState(error);
    return state == "55006" || state == "40001" || state == "40P01" || state == "55P03" || state == "XX000";
  }

  // No way forward. Not switched: back to service, and nothing was changed.
  Outcome give(const Error& error) {
    if (!locked_ || !swap_.connected()) return started(error);
    auto seen = swap_.look();
    if (!seen) return failed(during("the state of the databases is not known", seen.error()));
    if (seen->live != Situation::Live::Original) return failed(error);
    if (auto ok = swap_.setOpen(task_.postgres.database, task_.expect.liveOid, true); !ok)
      return failed(
          during("database " + task_.postgres.database + " is closed and could not be opened again", ok.error()));
    return refused(error);
  }
  Outcome started(const Error& error) const { return locked_ ? failed(error) : refused(error); }

  Outcome done() {
    const auto took = env_.clock.now() - started_;
    nlohmann::json result = {{"liveOid", task_.expect.stageOid},
                             {"prevOid", kept_ ? task_.expect.liveOid : 0},
                             {"swappedAt", swappedAt_},
                             {"openedAt", formatMicroTime(env_.clock.wall())},
                             {"milliseconds", took.count()}};
    return succeeded(result.dump());
  }

  const Task& task_;
  Environment& env_;
  SwapSession swap_;
  bool locked_ = false;
  bool kept_ = false;  // as seen in the look that found it done
  MonoTime started_;
  std::string swappedAt_;  // empty if an earlier run did it
};

}  // namespace

Outcome switchOver(const Task& task, Environment& env) {
  if (task.expect.liveOid == 0 || task.expect.stageOid == 0 || task.names.stage.empty() || task.names.prev.empty() ||
      task.token.empty())
    return refused(
        problem(ErrorCode::BadInput, "BadTask", "a switch needs expect.liveOid, expect.stageOid, names and a token"));
  if (isReserved(task.postgres.database, task.postgres.maintenanceDatabase))
    return refused(
        problem(ErrorCode::BadInput, "ReservedDatabase", "database " + task.postgres.database + " is never renamed"));
  return SwitchOver(task, env).run();
}

}  // namespace rollback::mover
