// A PostgreSQL server as far as the swap needs one: databases with OIDs and doors, clients, advisory locks,
// transactions. It reads the statements the mover sends, so the order and the text of them is what is tested. And the
// rest of a verb's world, all fake.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "mover/environment.h"
#include "mover/swap.h"
#include "mover/task.h"

namespace model {

using namespace rollback;
using namespace rollback::mover;

struct Killed {};  // thrown through a verb: the mover is gone, and its sessions with it

class FakeClock final : public Clock {
 public:
  WallTime wall() const override { return WallTime(Millis(1'795'500'000'000) + time); }
  MonoTime now() const override { return MonoTime(time); }
  Millis time{1000};
};

class Server {
 public:
  struct Base {
    Oid oid = 0;
    bool open = true;
    std::string content;  // who wrote here last, for people
  };
  struct Client {
    int pid = 0;
    Oid database = 0;
    std::string user, application;
    bool immortal = false;  // of a superuser: cannot be ended
  };
  std::map<std::string, Base> databases{{"postgres", {5, true, ""}}};
  std::vector<Client> clients;
  std::vector<std::string> prepared, slots, subscriptions;
  std::string systemIdentifier = "7000";
  bool down = false;
  int refuseConnections = 0;          // the next so many logins fail as a server that starts does
  std::map<long, const void*> locks;  // key → session
  std::set<std::string> droppedNames;
  std::vector<std::string> log;  // every statement, as it came

  // What happens at the n-th statement from now (1 is the next).
  enum class Hit { None, KillBefore, KillAfter, CrashBefore, CrashAfter, LoseAnswer };
  void hitAt(int statement, Hit hit) {
    left_ = statement;
    hit_ = hit;
  }
  int statements = 0;  // so far
  int generation = 0;  // counts crashes: a session of an earlier one is dead

  Hit nextHit() {
    ++statements;
    if (hit_ == Hit::None || --left_ > 0) return Hit::None;
    const Hit hit = hit_;
    hit_ = Hit::None;
    return hit;
  }
  void crash() {
    ++generation;
    locks.clear();
    clients.clear();
  }

 private:
  int left_ = 0;
  Hit hit_ = Hit::None;
};

class FakeDatabase final : public Database {
 public:
  explicit FakeDatabase(Server& server) : server_(server) {}
  Result<std::unique_ptr<Session>> open(const std::string& database, Login login, SessionOptions options,
                                        Deadline deadline) override;
  std::string user(Login login) const override { return login == Login::App ? "shop" : "postgres"; }

 private:
  Server& server_;
};

// Files in memory; enough for backups.
class FakeFiles final : public Files {
 public:
  std::map<std::string, std::string> content;
  std::map<std::string, FileEntry::Kind> odd;  // links and devices
  int writes = 0;
  std::string absolute(const std::string& path) const override { return "/repository/" + path; }
  Result<bool> exists(const std::string& path) override;
  Result<std::vector<FileEntry>> list(const std::string& folder) override;
  Result<std::vector<FileEntry>> walk(const std::string& folder) override;
  Result<std::string> read(const std::string& path, std::size_t limit) override;
  Result<void> stream(const std::string& path, const std::function<bool(std::string_view)>& sink) override;
  Result<void> makeFolders(const std::string& path) override;
  Result<void> write(const std::string& path, std::string_view text) override;
  Result<void> sync(const std::string& path) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> removeTree(const std::string& path) override;
};

class FakeProcess final : public Process {
 public:
  std::map<std::string, ProgramExit> exits;  // by the first two words
  std::map<std::string, std::string> outputs;
  std::vector<std::vector<std::string>> ran;
  Result<ProgramExit> run(const Command& command, const std::function<bool(std::string_view)>& sink,
                          Deadline deadline) override;
};

class FakeHttp final : public HttpProbe {
 public:
  std::map<std::string, std::vector<int>> answers;  // the last one stays; 0: refused
  Result<int> get(const std::string& url, Deadline deadline) override;
};

class FakeGo final : public GoToken {
 public:
  std::string token;
  int after = 0;  // reads that see nothing yet
  std::string read() override { return after-- > 0 ? std::string() : token; }
};

class FakeWaiter final : public Waiter {
 public:
  explicit FakeWaiter(FakeClock& clock) : clock_(clock) {}
  std::function<void()> meanwhile = [] {};
  void sleep(Millis time) override {
    clock_.time += time;
    meanwhile();
  }

 private:
  FakeClock& clock_;
};

class FakeRandom final : public Random {
 public:
  std::string bytes(std::size_t count) override { return std::string(count, static_cast<char>('a' + next_++ % 26)); }

 private:
  int next_ = 0;
};

class FakeStop final : public Stop {
 public:
  bool asked = false;
  bool requested() const override { return asked; }
};

class FakeProgress final : public Progress {
 public:
  std::vector<std::string> said;
  void report(std::uint64_t, std::uint64_t, const std::string&, const std::string& what) override {
    said.push_back(what);
  }
};

// All of it, and the database `shop` (OID 100, live) beside its staged copy (OID 200, closed).
struct World {
  World();
  Server server;
  FakeClock clock;
  FakeDatabase database{server};
  FakeFiles repository, scratch;
  FakeProcess process;
  FakeHttp http;
  FakeGo go;
  FakeWaiter waiter{clock};
  FakeRandom random;
  FakeStop stop;
  FakeProgress progress;
  std::map<std::size_t, std::string> keys;
  Environment env{
      database, repository,
      scratch,  process,
      http,     go,
      clock,    waiter,
      random,   stop,
      progress, [this](std::size_t i) { return keys.count(i) ? std::optional<std::string>(keys[i]) : std::nullopt; }};
  Task task;
};

}  // namespace model
