#include "mover/model.h"

#include <algorithm>
#include <cstdlib>

#include "mover/outcome.h"

namespace model {
namespace {

Error sqlError(const char* state, const std::string& message) { return problem(ErrorCode::Conflict, state, message); }

bool begins(const std::string& text, const std::string& with) { return text.compare(0, with.size(), with) == 0; }

// The quoted names of a statement, in order.
std::vector<std::string> names(const std::string& statement) {
  std::vector<std::string> out;
  for (std::size_t at = 0; (at = statement.find('"', at)) != std::string::npos;) {
    const std::size_t end = statement.find('"', at + 1);
    out.push_back(statement.substr(at + 1, end - at - 1));
    at = end + 1;
  }
  return out;
}

long numberAfter(const std::string& statement, const std::string& mark) {
  return std::atol(statement.c_str() + statement.find(mark) + mark.size());
}

class FakeSession final : public Session {
 public:
  FakeSession(Server& server, std::string database)
      : server_(server), database_(std::move(database)), generation_(server.generation) {}
  ~FakeSession() override {
    for (auto it = server_.locks.begin(); it != server_.locks.end();)
      it = it->second == this ? server_.locks.erase(it) : std::next(it);
  }

  Result<Rows> query(const std::string& statement, Deadline) override {
    if (generation_ != server_.generation || over_) return lost();
    server_.log.push_back(statement);
    const auto hit = server_.nextHit();
    if (hit == Server::Hit::KillBefore) throw Killed{};
    if (hit == Server::Hit::CrashBefore) return server_.crash(), lost();
    auto rows = execute(statement);
    if (hit == Server::Hit::KillAfter) throw Killed{};
    if (hit == Server::Hit::CrashAfter) return server_.crash(), lost();
    if (hit == Server::Hit::LoseAnswer) return lost();
    return rows;
  }

 private:
  Error lost() {
    over_ = true;
    for (auto it = server_.locks.begin(); it != server_.locks.end();)
      it = it->second == this ? server_.locks.erase(it) : std::next(it);
    return Error{ErrorCode::ConnectionLost, "the connection was lost"};
  }

  std::map<std::string, Server::Base>& bases() { return inTransaction_ ? mine_ : server_.databases; }

  Result<Rows> execute(const std::string& s) {
    if (aborted_ && s != "rollback" && s != "commit") return sqlError("25P02", "the transaction is aborted");
    auto rows = run(s);
    if (!rows && inTransaction_) aborted_ = true;
    return rows;
  }

  Result<Rows> run(const std::string& s) {
    if (begins(s, "/* identity */")) return Rows{{"15.18", "150018", server_.systemIdentifier}};
    if (begins(s, "/* probe */")) {
      Rows rows;
      for (const auto& [name, base] : bases()) rows.push_back({name, std::to_string(base.oid), base.open ? "t" : "f"});
      return rows;
    }
    if (begins(s, "/* lock */")) {
      const long key = numberAfter(s, ", ");
      const auto holder = server_.locks.find(key);
      if (holder != server_.locks.end() && holder->second != this) return Rows{{"f"}};
      server_.locks[key] = this;
      return Rows{{"t"}};
    }
    if (begins(s, "/* prepared")) return texts(server_.prepared);
    if (begins(s, "/* slots")) return texts(server_.slots);
    if (begins(s, "/* subscriptions")) return texts(server_.subscriptions);
    if (begins(s, "/* sessions */")) {
      Rows rows;
      const long database = numberAfter(s, "datid = ");
      for (const auto& client : server_.clients)
        if (client.database == database)
          rows.push_back({std::to_string(client.pid), client.user, client.application, "10.0.0.9"});
      return rows;
    }
    if (begins(s, "/* terminate */")) {
      const long pid = numberAfter(s, "backend(");
      for (auto it = server_.clients.begin(); it != server_.clients.end(); ++it)
        if (it->pid == pid) {
          if (it->immortal) return sqlError("42501", "must be a superuser to terminate superuser process");
          server_.clients.erase(it);
          return Rows{{"t"}};
        }
      return Rows{{"f"}};
    }
    if (s == "begin") {
      inTransaction_ = true;
      aborted_ = false;
      mine_ = server_.databases;
      return Rows{};
    }
    if (begins(s, "set local synchronous_commit to on")) return Rows{};
    if (s == "commit" || s == "rollback") {
      if (s == "commit" && !aborted_) server_.databases = mine_;
      inTransaction_ = aborted_ = false;
      return Rows{};
    }
    if (begins(s, "alter database ") && s.find(" rename to ") != std::string::npos)
      return rename(names(s).at(0), names(s).at(1));
    if (begins(s, "alter database ") && s.find(" with allow_connections ") != std::string::npos) {
      const auto base = bases().find(names(s).at(0));
      if (base == bases().end()) return sqlError("3D000", "database does not exist");
      base->second.open = s.find("true") != std::string::npos;
      return Rows{};
    }
    if (begins(s, "drop database ")) {
      const std::string name = names(s).at(0);
      if (!bases().erase(name)) return sqlError("3D000", "database does not exist");
      server_.droppedNames.insert(name);
      return Rows{};
    }
    return sqlError("0A000", "the model does not know: " + s);
  }

  Result<Rows> rename(const std::string& from, const std::string& to) {
    const auto base = bases().find(from);
    if (base == bases().end()) return sqlError("3D000", "database \"" + from + "\" does not exist");
    if (bases().count(to)) return sqlError("42P04", "database \"" + to + "\" already exists");
    for (const auto& client : server_.clients)
      if (client.database == base->second.oid)
        return sqlError("55006", "database \"" + from + "\" is being accessed by other users");
    if (!server_.prepared.empty()) return sqlError("55006", "there is a prepared transaction");
    auto moved = bases().extract(from);
    moved.key() = to;
    bases().insert(std::move(moved));
    return Rows{};
  }

  static Rows texts(const std::vector<std::string>& list) {
    Rows rows;
    for (const auto& each : list) rows.push_back({each});
    return rows;
  }

  Server& server_;
  std::string database_;
  int generation_;
  bool over_ = false, inTransaction_ = false, aborted_ = false;
  std::map<std::string, Server::Base> mine_;
};

}  // namespace

Result<std::unique_ptr<Session>> FakeDatabase::open(const std::string& database, Login, SessionOptions, Deadline) {
  if (server_.down) return problem(ErrorCode::Unavailable, "CannotConnect", "connection refused");
  if (server_.refuseConnections > 0) {
    --server_.refuseConnections;
    return problem(ErrorCode::Unavailable, "ServerStarting", "the database system is starting up");
  }
  const auto base = server_.databases.find(database);
  if (base == server_.databases.end())
    return problem(ErrorCode::NotFound, "DatabaseMissing", "no database " + database);
  if (!base->second.open) return problem(ErrorCode::Forbidden, "NotAcceptingConnections", database + " is closed");
  return std::unique_ptr<Session>(std::make_unique<FakeSession>(server_, database));
}

Result<bool> FakeFiles::exists(const std::string& path) {
  for (const auto& [name, text] : content)
    if (name == path || begins(name, path + "/")) return true;
  return false;
}

Result<std::vector<FileEntry>> FakeFiles::list(const std::string& folder) {
  std::map<std::string, FileEntry> found;
  for (const auto& [name, text] : content) {
    if (!folder.empty() && !begins(name, folder + "/")) continue;
    const std::string rest = name.substr(folder.empty() ? 0 : folder.size() + 1);
    const std::size_t slash = rest.find('/');
    FileEntry entry;
    entry.path = rest.substr(0, slash);
    entry.kind = slash != std::string::npos ? FileEntry::Kind::Folder
                 : odd.count(name)          ? odd[name]
                                            : FileEntry::Kind::File;
    found[entry.path] = entry;
  }
  std::vector<FileEntry> out;
  for (const auto& [name, entry] : found) out.push_back(entry);
  return out;
}

Result<std::vector<FileEntry>> FakeFiles::walk(const std::string& folder) {
  std::vector<FileEntry> out;
  for (const auto& [name, text] : content) {
    if (!begins(name, folder + "/")) continue;
    FileEntry entry;
    entry.path = name.substr(folder.size() + 1);
    entry.kind = odd.count(name) ? odd[name] : FileEntry::Kind::File;
    entry.size = text.size();
    entry.stamp = text;
    out.push_back(entry);
  }
  return out;
}

Result<std::string> FakeFiles::read(const std::string& path, std::size_t limit) {
  const auto file = content.find(path);
  if (file == content.end()) return problem(ErrorCode::NotFound, "", path + " does not exist");
  if (file->second.size() > limit) return problem(ErrorCode::BadInput, "TooLarge", path);
  return file->second;
}

Result<void> FakeFiles::stream(const std::string& path, const std::function<bool(std::string_view)>& sink) {
  auto text = read(path, SIZE_MAX);
  if (!text) return text.error();
  if (!sink(*text)) return problem(ErrorCode::Cancelled, "Cancelled", "stopped");
  return {};
}

Result<void> FakeFiles::makeFolders(const std::string&) { return {}; }
Result<void> FakeFiles::write(const std::string& path, std::string_view text) {
  ++writes;
  content[path] = std::string(text);
  return {};
}
Result<void> FakeFiles::sync(const std::string&) { return {}; }
Result<void> FakeFiles::rename(const std::string& from, const std::string& to) {
  std::map<std::string, std::string> moved;
  for (const auto& [name, text] : content)
    moved[begins(name, from + "/") ? to + name.substr(from.size()) : name] = text;
  content = moved;
  return {};
}
Result<void> FakeFiles::removeTree(const std::string& path) {
  for (auto it = content.begin(); it != content.end();)
    it = begins(it->first, path + "/") ? content.erase(it) : std::next(it);
  return {};
}

Result<ProgramExit> FakeProcess::run(const Command& command, const std::function<bool(std::string_view)>& sink,
                                     Deadline) {
  ran.push_back(command.argv);
  const std::string key = command.argv[0] + " " + command.argv[1];
  if (outputs.count(key)) sink(outputs[key]);
  return exits.count(key) ? exits[key] : ProgramExit{};
}

Result<int> FakeHttp::get(const std::string& url, Deadline) {
  auto& left = answers[url];
  const int status = left.empty() ? 0 : left.front();
  if (left.size() > 1) left.erase(left.begin());
  if (status == 0) return Error{ErrorCode::Unavailable, "GET " + url + ": connecting: Connection refused"};
  return status;
}

World::World() {
  server.databases["shop"] = {100, true, "original"};
  server.databases["shop_stage_ab12cd34_1"] = {200, false, "staged"};
  task.id = "ab12cd34";
  task.token = "go!";
  task.postgres.host = "db";
  task.postgres.database = "shop";
  task.expect.systemIdentifier = "7000";
  task.expect.liveOid = 100;
  task.expect.stageOid = 200;
  task.names = {"shop_stage_ab12cd34_1", "shop_prev_ab12cd34", "shop_reverted_ab12cd34"};
  go.token = "go!";
}

}  // namespace model
