#include "mover/swap.h"

#include <algorithm>

#include "mover/outcome.h"
#include "mover/quoting.h"

namespace rollback::mover {
namespace {

constexpr int kLockClass = 0x46524221;  // first half of the advisory lock's key: this program's
constexpr Millis kLook{100};            // between looks at what should vanish
constexpr Millis kLockPatience{60 * 1000};
constexpr Millis kEndPatience{30 * 1000};

std::string nameOf(const DatabasesSeen& databases, Oid oid) {
  for (const auto& [name, seen] : databases)
    if (oid != 0 && seen.oid == oid) return name;
  return {};
}

}  // namespace

Situation judge(const DatabasesSeen& databases, const Task& task) {
  Situation out;
  out.databases = databases;
  out.stagedName = nameOf(databases, task.expect.stageOid);
  out.originalName = nameOf(databases, task.expect.liveOid);
  const auto live = databases.find(task.postgres.database);
  if (live == databases.end()) return out;
  out.liveOpen = live->second.allowConnections;
  if (task.expect.liveOid != 0 && live->second.oid == task.expect.liveOid)
    out.live = Situation::Live::Original;
  else if (task.expect.stageOid != 0 && live->second.oid == task.expect.stageOid)
    out.live = Situation::Live::Staged;
  return out;
}

Result<Rows> SwapSession::query(const std::string& statement) {
  if (!session_) return Error{ErrorCode::ConnectionLost, "there is no session"};
  auto rows = session_->query(statement, Deadline::after(env_.clock, kStatement));
  if (!rows && connectionLost(rows.error())) session_.reset();
  return rows;
}

Result<void> SwapSession::connect(Deadline deadline) {
  SessionOptions options;
  options.interruptible = false;
  auto session = env_.database.open(task_.postgres.maintenanceDatabase, Login::Admin, options, deadline);
  if (!session) return session.error();
  session_ = std::move(*session);
  auto identity = serverIdentity(*session_, deadline);
  if (!identity) {
    session_.reset();
    return identity.error();
  }
  if (!task_.expect.systemIdentifier.empty() && identity->systemIdentifier != task_.expect.systemIdentifier)
    return problem(ErrorCode::BadInput, "WrongServer",
                   "the server at " + task_.postgres.sessionHost() + " has the identity " + identity->systemIdentifier +
                       ", the plan was made for " + task_.expect.systemIdentifier +
                       ": it was rebuilt or another one answers");
  return {};
}

Result<void> SwapSession::lock(Oid original, Deadline deadline) {
  const Deadline patience = deadline.earlier(Deadline::after(env_.clock, kLockPatience));
  const std::string statement = "/* lock */ select pg_try_advisory_lock(" + std::to_string(kLockClass) + ", " +
                                std::to_string(static_cast<std::int32_t>(original)) + ")";
  for (;;) {
    auto rows = query(statement);
    if (!rows) return rows.error();
    if (truth(rows->at(0), 0)) return {};
    if (patience.expired(env_.clock))
      return problem(ErrorCode::Unavailable, "Locked",
                     "another run still works on database " + task_.postgres.database +
                         " (its session holds the advisory lock in " + task_.postgres.maintenanceDatabase + ")");
    env_.waiter.sleep(kLook);
  }
}

Result<Situation> SwapSession::look() {
  if (!session_) return Error{ErrorCode::ConnectionLost, "there is no session"};
  auto seen = databasesSeen(*session_, Deadline::after(env_.clock, kStatement));
  if (!seen) {
    if (connectionLost(seen.error())) session_.reset();
    return seen.error();
  }
  return judge(*seen, task_);
}

Result<std::vector<ClientSession>> SwapSession::clients(Oid database) {
  if (!session_) return Error{ErrorCode::ConnectionLost, "there is no session"};
  auto found = clientSessions(*session_, database, Deadline::after(env_.clock, kStatement));
  if (!found && connectionLost(found.error())) session_.reset();
  return found;
}

Result<void> SwapSession::requireUnhindered(Oid database, const std::string& name) {
  if (!session_) return Error{ErrorCode::ConnectionLost, "there is no session"};
  auto found = obstacles(*session_, name, database, Deadline::after(env_.clock, kStatement));
  if (!found && connectionLost(found.error())) session_.reset();
  if (!found) return found.error();
  if (!found->empty()) return problem(ErrorCode::Conflict, found->front().code, found->front().message);
  return {};
}

Result<void> SwapSession::requireQuiet(Oid database, const std::string& name, const std::vector<std::string>& mayEnd,
                                       Millis grace) {
  const Deadline patience = Deadline::after(env_.clock, grace);
  for (;;) {
    if (auto ok = requireUnhindered(database, name); !ok) return ok;
    auto foreign = clients(database);
    if (!foreign) return foreign.error();
    foreign->erase(std::remove_if(foreign->begin(), foreign->end(),
                                  [&](const ClientSession& client) { return mayBeEnded(client, mayEnd); }),
                   foreign->end());
    if (foreign->empty()) return {};
    if (patience.expired(env_.clock))
      return problem(ErrorCode::Conflict, "ForeignSession",
                     "database " + name + " is in use by " + describe(*foreign) +
                         "; stop that client, or have its sessions ended: stores[].postgres.otherClients: Terminate");
    env_.waiter.sleep(kLook);
  }
}

Result<void> SwapSession::setOpen(const std::string& name, Oid oid, bool open) {
  auto seen = look();
  if (!seen) return seen.error();
  const auto found = seen->databases.find(name);
  if (found == seen->databases.end() || found->second.oid != oid)
    return problem(ErrorCode::Conflict, "WrongDatabase",
                   "database " + name + " is not the one with OID " + std::to_string(oid) + " any more");
  if (found->second.allowConnections == open) return {};
  auto done = query("alter database " + identifier(name) + " with allow_connections " + (open ? "true" : "false"));
  if (!done) return during(std::string(open ? "opening" : "closing") + " database " + name, done.error());
  return {};
}

Result<void> SwapSession::endSessions(Oid database, const std::string& name) {
  const Deadline patience = Deadline::after(env_.clock, kEndPatience);
  std::string refusal;
  for (;;) {
    auto clients = this->clients(database);
    if (!clients) return clients.error();
    if (clients->empty()) return {};
    if (patience.expired(env_.clock))
      return problem(ErrorCode::Conflict, "ForeignSession",
                     "sessions of " + describe(*clients) + " on database " + name + " cannot be ended" +
                         (refusal.empty() ? "" : ": " + refusal) + "; stop that client");
    // One by one: a role that may not end one of them would otherwise end none.
    for (const auto& client : *clients) {
      auto ended = query("/* terminate */ select pg_terminate_backend(" + std::to_string(client.pid) + ")");
      if (ended) continue;
      if (connectionLost(ended.error())) return ended.error();
      refusal = ended.error().message;
    }
    env_.waiter.sleep(kLook);
  }
}

Result<void> SwapSession::renameAll(const std::vector<Rename>& renames, const std::string& openName) {
  const auto abandon = [&](Error error) -> Result<void> {
    if (session_ && !connectionLost(error)) (void)query("rollback");
    return error;
  };
  // Checked inside the transaction, before and after: the names are what is renamed, the OIDs are what is meant.
  const auto expectAll = [&](bool after) -> Result<void> {
    auto seen = look();
    if (!seen) return seen.error();
    for (const auto& rename : renames) {
      const std::string& name = after ? rename.to : rename.from;
      const auto found = seen->databases.find(name);
      if (found == seen->databases.end() || found->second.oid != rename.oid)
        return problem(ErrorCode::Conflict, "WrongDatabase",
                       "database " + name + " is not the one with OID " + std::to_string(rename.oid));
    }
    return {};
  };
  if (auto ok = query("begin"); !ok) return ok.error();
  if (auto ok = query("set local synchronous_commit to on"); !ok) return abandon(ok.error());
  if (auto ok = expectAll(false); !ok) return abandon(ok.error());
  for (const auto& rename : renames) {
    auto done = query("alter database " + identifier(rename.from) + " rename to " + identifier(rename.to));
    if (!done) return abandon(during("renaming database " + rename.from + " to " + rename.to, done.error()));
  }
  if (!openName.empty()) {
    auto done = query("alter database " + identifier(openName) + " with allow_connections true");
    if (!done) return abandon(during("opening database " + openName, done.error()));
  }
  if (auto ok = expectAll(true); !ok) return abandon(ok.error());
  if (auto ok = query("commit"); !ok) return abandon(ok.error());
  return {};
}

}  // namespace rollback::mover
