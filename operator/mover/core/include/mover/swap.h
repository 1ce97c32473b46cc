// Which database is live, and the steps that change it. Switch and switchback are loops over `Situation`: look, do the
// one thing that is next, look again. So a run that is repeated after any crash, or that lost the answer to its COMMIT,
// goes on from what is.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "mover/environment.h"
#include "mover/server.h"
#include "mover/task.h"

namespace rollback::mover {

struct Situation {
  enum class Live {
    Original,  // live is L: not switched, or switched and taken back
    Staged,    // live is S: switched
    Unknown,   // neither, or no database of that name: hold, a person must look
  };
  Live live = Live::Unknown;
  DatabasesSeen databases;
  std::string stagedName, originalName;  // the names S and L have now; empty: there is no such database
  bool liveOpen = false;
};
Situation judge(const DatabasesSeen& databases, const Task& task);

// A session on the maintenance database, as Admin, that holds the advisory lock keyed by L: at most one step of this
// kind in the whole server. Lost with the session.
class SwapSession {
 public:
  SwapSession(Environment& env, const Task& task) : env_(env), task_(task) {}

  // Connects, checks the server's identity (WrongServer). No lock yet.
  Result<void> connect(Deadline deadline);
  // Waits for the lock keyed by the OID of a rollback's original database (Locked if it stays taken).
  Result<void> lock(Oid original, Deadline deadline);
  Result<Situation> look();

  // No prepared transaction, slot or subscription of `database`: else the code says which.
  Result<void> requireUnhindered(Oid database, const std::string& name);
  // Not one client but those that may be ended, and unhindered. Gives sessions of pods that just ended `grace` to
  // vanish.
  Result<void> requireQuiet(Oid database, const std::string& name, const std::vector<std::string>& mayEnd,
                            Millis grace);
  Result<void> setOpen(const std::string& name, Oid oid, bool open);
  // Ends every client of `database`, again and again, until none is left. ForeignSession if one stays.
  Result<void> endSessions(Oid database, const std::string& name);
  struct Rename {
    std::string from, to;
    Oid oid = 0;
  };
  // All renames, and opening `openName` if not empty, in one transaction that checks every OID first and last.
  Result<void> renameAll(const std::vector<Rename>& renames, const std::string& openName);

  Session& session() { return *session_; }
  bool connected() const { return session_ != nullptr; }
  void drop() { session_.reset(); }
  Result<Rows> query(const std::string& statement);

 private:
  Result<std::vector<ClientSession>> clients(Oid database);

  Environment& env_;
  const Task& task_;
  std::unique_ptr<Session> session_;
};

// No deadline cuts a swap; a server that does not come back for this long ends the run as Failed, and a new run goes
// on.
inline constexpr Millis kServerGone{10 * 60 * 1000};
inline constexpr Millis kStatement{60 * 1000};

}  // namespace rollback::mover
