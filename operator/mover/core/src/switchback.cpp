// switchback: the previous database is live and open again; the other is kept, closed, as `reverted`. Nothing to do is
// success, and nothing is dropped. One transaction, opening included. Without expect.stageOid nothing can have been
// switched: then it only looks, and says so if live is not the original.
//
// Where nothing was switched, nothing may be switched later either: the process of a switch whose pod was deleted by
// force, or is on a node that nobody reaches, may still be on its way to the lock. So the staged copy gets a name no
// switch looks for (a void one, which discard drops; a copy that was kept before gets `reverted`, as after a switch).
#include <nlohmann/json.hpp>

#include "mover/names.h"
#include "mover/outcome.h"
#include "mover/swap.h"
#include "mover/verbs.h"

namespace rollback::mover {
namespace {

constexpr Millis kReconnect{500};
constexpr int kTries = 10;

class SwitchBack {
 public:
  SwitchBack(const Task& task, Environment& env) : task_(task), env_(env), swap_(env, task) {}

  Outcome run() {
    MonoTime lastContact = env_.clock.now();
    Error last = problem(ErrorCode::Unavailable, "CannotConnect", "the server does not answer");
    for (int tries = 0; env_.clock.now() - lastContact < kServerGone;) {
      if (!swap_.connected()) {
        auto ok = swap_.connect(Deadline::after(env_.clock, kStatement));
        if (ok) ok = swap_.lock(task_.expect.liveOid, Deadline{});
        if (!ok) {
          last = ok.error();
          swap_.drop();
          if ((last.code != ErrorCode::Unavailable && !connectionLost(last)) || last.reason == "Locked")
            return end(last);
          env_.waiter.sleep(kReconnect);
          continue;
        }
      }
      lastContact = env_.clock.now();
      auto step = advance();
      if (step && *step) return done();
      if (step) continue;
      last = step.error();
      if (connectionLost(last) || !swap_.connected()) {
        swap_.drop();
        env_.waiter.sleep(kReconnect);
      } else if (sqlState(last).empty() || ++tries >= kTries) {
        return end(last);
      }
    }
    return end(last);
  }

 private:
  // True: live is the original, open, and the other one (if there is one) closed.
  Result<bool> advance() {
    auto seen = swap_.look();
    if (!seen) return seen.error();
    const std::string& live = task_.postgres.database;
    const Oid liveOid = task_.expect.liveOid, stageOid = task_.expect.stageOid;
    if (seen->live == Situation::Live::Original) {
      if (!seen->stagedName.empty())
        if (auto ok = swap_.setOpen(seen->stagedName, stageOid, false); !ok) return ok.error();
      if (const std::string aside = outOfReach(seen->stagedName); !aside.empty()) {
        if (auto ok = swap_.endSessions(stageOid, seen->stagedName); !ok) return ok.error();
        if (auto ok = swap_.renameAll({{seen->stagedName, aside, stageOid}}, ""); !ok) return ok.error();
        return false;
      }
      reverted_ = seen->stagedName == task_.names.reverted;
      if (seen->liveOpen) return true;
      if (auto ok = swap_.setOpen(live, liveOid, true); !ok) return ok.error();
      return false;
    }
    if (seen->live == Situation::Live::Unknown)
      return problem(ErrorCode::Conflict, "WrongDatabase",
                     "database " + live + " is neither the original (OID " + std::to_string(liveOid) +
                         ") nor the staged one (OID " + std::to_string(stageOid) +
                         "); nothing is done until a person has looked");
    if (seen->originalName.empty())
      return problem(
          ErrorCode::NotFound, "PreviousMissing",
          "the previous database with OID " + std::to_string(liveOid) + " does not exist any more: it was cleaned up");
    if (seen->originalName != task_.names.prev)
      return problem(ErrorCode::Conflict, "WrongDatabase",
                     "the previous database is called " + seen->originalName + ", not " + task_.names.prev);
    if (seen->databases.count(task_.names.reverted))
      return problem(ErrorCode::Conflict, "NameTaken",
                     "a database " + task_.names.reverted + " exists already; names of kept copies are used once");
    // Going back must not fail for a client that came meanwhile: what it wrote is kept in the other copy.
    changed_ = true;
    if (auto ok = swap_.setOpen(live, stageOid, false); !ok) return ok.error();
    if (auto ok = swap_.endSessions(stageOid, live); !ok) return ok.error();
    if (auto ok = swap_.requireQuiet(stageOid, live, {"*"}, Millis(0)); !ok) return ok.error();
    if (auto ok = swap_.renameAll({{live, task_.names.reverted, stageOid}, {task_.names.prev, live, liveOid}}, live);
        !ok)
      return ok.error();
    return false;
  }

  // What a staged copy is to be called so that no switch finds it; empty: it is out of reach already, or not there.
  std::string outOfReach(const std::string& stagedName) const {
    const std::string& live = task_.postgres.database;
    const int attempt = stageAttempt(stagedName, live, task_.id);
    if (attempt == 0) return stagedName == task_.names.stage ? task_.names.reverted : std::string();
    const std::string aside = voidName(live, task_.id, attempt);
    return stagedName == aside ? std::string() : aside;
  }

  // Every ending leaves live open, whichever it is, even if an earlier run closed it.
  Outcome end(const Error& error) {
    if (swap_.connected()) {
      auto seen = swap_.look();
      if (seen && seen->live != Situation::Live::Unknown && !seen->liveOpen) {
        const Oid oid = seen->live == Situation::Live::Staged ? task_.expect.stageOid : task_.expect.liveOid;
        if (auto ok = swap_.setOpen(task_.postgres.database, oid, true); !ok)
          return failed(
              during("database " + task_.postgres.database + " is closed and could not be opened again", ok.error()));
      }
    }
    return changed_ ? failed(error) : refused(error);
  }

  Outcome done() {
    return succeeded(
        nlohmann::json{{"liveOid", task_.expect.liveOid}, {"revertedOid", reverted_ ? task_.expect.stageOid : 0}}
            .dump());
  }

  const Task& task_;
  Environment& env_;
  SwapSession swap_;
  bool changed_ = false;
  bool reverted_ = false;  // as seen in the look that found it done; nothing is asked of the server after that
};

}  // namespace

Outcome switchBack(const Task& task, Environment& env) {
  if (task.expect.liveOid == 0 || task.names.prev.empty() || task.names.reverted.empty())
    return refused(problem(ErrorCode::BadInput, "BadTask", "going back needs expect.liveOid and names"));
  if (isReserved(task.postgres.database, task.postgres.maintenanceDatabase))
    return refused(
        problem(ErrorCode::BadInput, "ReservedDatabase", "database " + task.postgres.database + " is never renamed"));
  return SwitchBack(task, env).run();
}

}  // namespace rollback::mover
